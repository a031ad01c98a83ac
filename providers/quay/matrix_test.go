package quay

import (
	"flag"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/quay/quaytest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

var update = flag.Bool("update", false, "write the row of docs/providers.md")

// TestMatrix proves what docs/providers.md says of quay.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider:  "quay",
		Source:    registrytest.Cell{Says: "public ones as nobody; robots, users", Test: testSource},
		Target:    registrytest.Cell{Says: "yes; reading asks for no token to push, as that makes the repository", Test: TestLookingMakesNothing},
		Bulk:      registrytest.Cell{Says: "100 tags a call with digests (public, or `apiToken`); else names and a HEAD each", Test: TestRowsOfTheAPI},
		Creation:  registrytest.Cell{Says: "by the push, where the account may create in the namespace", Test: TestLookingMakesNothing},
		Referrers: registrytest.Cell{Says: "API; none for a subject that is not there; fallback tags on old ones", Test: TestReferrers},
		Mount:     registrytest.Cell{Says: "from repositories that the account may read", Test: TestMount},
		Conflict:  registrytest.Cell{Says: "409 TAG_IMMUTABLE, told with what to do", Test: TestRefusals},
		Expiry:    registrytest.Cell{Says: "untagged manifests after an hour: children are put again in time; tokens renewed", Test: testExpiry},
		Throttle:  registrytest.Cell{Says: "429; no figures are published", Test: testThrottle},
		Update:    *update,
	}.Run(t)
}

func testSource(t *testing.T) {
	s, m := serve(t)
	s.Publish("acme/app")
	for _, r := range []*Registry{open(t, s, "", "", source), open(t, s, "acme+sync", s.Account("acme+sync", quaytest.Read("acme/app")), source)} {
		got, err := r.Manifest(t.Context(), "acme/app", "v1")
		if err != nil || got.Digest != m.Digest {
			t.Errorf("%v (%v)", got.Digest, err)
		}
		body, err := r.Open(t.Context(), "acme/app", m.Blobs[0].Descriptor, 0)
		if err != nil {
			t.Fatal(err)
		}
		body.Close()
	}
}

func testExpiry(t *testing.T) {
	TestUntaggedEnds(t)
	TestTokensEnd(t)
}

func testThrottle(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, quaytest.Write("acme/app"))
	if err := trial.Push(t, r, "acme/app", "v2", m); err != nil {
		t.Fatal(err)
	}
	width := r.Limiter().Width()
	s.Next(1, registrytest.ManifestPut, registrytest.Fault{Status: 429})
	if err := trial.Push(t, r, "acme/app", "v3", content.Image("z", nil)); err != nil || r.Limiter().Width() >= width {
		t.Errorf("after a 429: %v; width %d, before %d", err, r.Limiter().Width(), width)
	}
	if caps, _ := r.Caps(t.Context()); len(caps.Quotas) != 0 || caps.Mount != providers.Yes {
		t.Errorf("caps %+v", caps)
	}
}
