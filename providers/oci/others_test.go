package oci

import (
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/others"
	"github.com/transship/transship/state/statetest/needs"
)

// TestOthers holds that the provider does with registries of other makers what it
// does with ours, and what each of them does otherwise. zot and olareg are no
// packages: TRANSSHIP_REGISTRIES names the folder where they were built.
func TestOthers(t *testing.T) {
	differ := map[others.Maker]registrytest.Harness{
		others.GGCR:         {NoMount: true, NoIfMatch: true, TakesAnything: true},
		others.Distribution: {NoIfMatch: true, NoReferrers: true, MissesAgain: true},
		others.Zot:          {NoIfMatch: true, NoDocker: true, WantsForeign: true, LackIsInvalid: true, DropsMoved: true, TryLeaves: true},
		others.Olareg:       {NoIfMatch: true, NoCatalog: true, EmptyIsThere: true},
	}
	for _, m := range others.Makers() {
		t.Run(string(m), func(t *testing.T) {
			h := differ[m]
			page := 4
			if m == others.GGCR {
				page = 0 // its catalog ends after the first
			}
			h.OpenStore = func(t *testing.T) providers.Registry {
				r, err := New(Options{Host: others.Start(t, m, needs.Tool), PlainHTTP: true, PageSize: page, Push: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { r.Close() })
				return r
			}
			registrytest.Conformance(t, h)
		})
	}
}
