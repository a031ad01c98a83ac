package plan

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers"
)

// What a target cannot hold is refused before anything moves, and told again in
// each pass without being read again.
func TestDiffCapacity(t *testing.T) {
	// In this notation a layer has 1000 bytes and a manifest 100.
	for _, tt := range []struct {
		name, source, target string
		caps                 func(*providers.Caps)
		want                 string
	}{
		{"all fits", "v1=m1(c1 l1)", "", func(c *providers.Caps) { c.MaxBlob, c.MaxManifest = 1000, 100 }, "copy c1; copy l1; put m1 as v1"},
		{"a layer is too large", "v1=m1(c1 l1)", "", func(c *providers.Caps) { c.MaxBlob = 999 }, "refused v1"},
		{"a manifest is too large", "v1=m1(c1 l1)", "", func(c *providers.Caps) { c.MaxManifest = 99 }, "refused v1"},
		{"a child is too large", "v1=ix[m1(c1 l1)] v2=m2()", "", func(c *providers.Caps) { c.MaxBlob = 999 }, "put m2 as v2; refused v1"},
		{"a large layer that is there", "v1=m1(c1 l1) v2=m2(c1 l1)", "app: v1=m1", func(c *providers.Caps) { c.MaxBlob = 999 }, "put m2 as v2"},
		{"a large layer that is mounted", "v1=m1(c1 base)", "lib: v7=m7(c1 base)", func(c *providers.Caps) { c.MaxBlob = 999 },
			"mount base from lib; mount c1 from lib; put m1 as v1"},
		{"no such name", "v1=m1(c1 l1) v2=m2(c1 l1)", "", func(c *providers.Caps) { c.Names.MinDepth = 2 }, "refused *"},
		{"a name as it has to be", "v1=m1(c1 l1)", "", func(c *providers.Caps) { c.Names.Pattern = "[a-z]+" }, "copy c1; copy l1; put m1 as v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.source, tt.target)
			tt.caps(&w.caps)
			p := Diff(w.facts())
			if got := w.steps(p); !sameSteps(got, tt.want) {
				t.Fatalf("got %s\nwant %s", got, tt.want)
			}
			for _, k := range p.Kept {
				if k.Reason == "" || k.Hint == "" || k.Kind != LeftRefused {
					t.Errorf("refused without a reason or a remedy: %+v", k)
				}
			}
			w.apply(p)
			again := Diff(w.facts())
			if len(again.Images) > 0 || len(again.Kept) != len(p.Kept) {
				t.Errorf("after applying the plan: %s", w.steps(again))
			}
			if n := len(w.asked.Source[Place{"src", "app"}].Manifests); n > 0 {
				t.Errorf("what is refused was read again: %d manifests", n)
			}
		})
	}
}

func sameSteps(a, b string) bool {
	steps := func(s string) map[string]int {
		all := map[string]int{}
		for step := range strings.SplitSeq(s, "; ") {
			all[step]++
		}
		return all
	}
	x, y := steps(a), steps(b)
	for step, n := range x {
		if y[step] != n {
			return false
		}
	}
	return len(x) == len(y)
}

// Once the limit is raised the image is brought.
func TestCapacityThatGrows(t *testing.T) {
	w := newWorld(t, "v1=m1(c1 l1)", "")
	w.caps.MaxBlob = 999
	p := Diff(w.facts())
	if len(p.Kept) != 1 || !strings.Contains(p.Kept[0].Reason, "layers of 999 B") {
		t.Fatalf("kept %+v", p.Kept)
	}
	w.apply(p)
	w.caps.MaxBlob = 2000
	if got, want := w.steps(Diff(w.facts())), "copy c1; copy l1; put m1 as v1"; got != want {
		t.Errorf("with a higher limit: %s, want %s", got, want)
	}
}
