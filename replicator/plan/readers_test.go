package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
)

// other makes a repository of another registry, written as REGISTRY/REPOSITORY,
// hold what text says.
func (w *world) other(place, text string) {
	registry, repo, _ := strings.Cut(place, "/")
	r := &repoModel{has: map[v1.Hash]bool{}}
	for _, d := range w.parse(text) {
		w.hold(r, d)
	}
	if w.others == nil {
		w.others = map[Place]*repoModel{}
	}
	w.others[Place{registry, repo}] = r
}

// readers reads names, of which those with a question mark are not listed.
func readers(names string) (all []policy.Reader) {
	for name := range strings.FieldsSeq(names) {
		registry, cheaper := strings.CutPrefix(name, "?")
		all = append(all, policy.Reader{Registry: registry, Listed: !cheaper})
	}
	return all
}

// reads tells where the blobs of p are read.
func (w *world) reads(p Plan) string {
	var all []string
	for i := range p.Images {
		for n := range p.Images[i].nodes() {
			for _, b := range n.Blobs {
				if b.Have == Upload {
					all = append(all, fmt.Sprintf("%s from %s", w.name(b.Digest), p.reads(&p.Images[i], b)))
				}
			}
		}
	}
	return strings.Join(all, "; ")
}

func TestReaders(t *testing.T) {
	const both = "v1=m1(c1 l1)"
	for _, tt := range []struct {
		name, readers string
		prices        map[string]float64
		others        map[string]string // REGISTRY/REPOSITORY
		want          string
	}{
		{"none", "", nil, map[string]string{"eu/app": both}, "c1 from src/app; l1 from src/app"},
		{"listed", "eu", nil, map[string]string{"eu/app": both}, "c1 from eu/app; l1 from eu/app"},
		{"under another name", "eu", nil, map[string]string{"eu/x/y": both}, "c1 from eu/x/y; l1 from eu/x/y"},
		{"it holds nothing", "eu", nil, map[string]string{"eu/app": "v9=m9(c9 l9)"}, "c1 from src/app; l1 from src/app"},
		{"it holds a layer", "eu", nil, map[string]string{"eu/app": "v0=m0(c0 l1)"}, "c1 from src/app; l1 from eu/app"},
		{"cheaper", "?eu", map[string]float64{"src": 0.09, "eu": 0.02}, map[string]string{"eu/app": both}, "c1 from eu/app; l1 from eu/app"},
		{"listed though dearer", "eu", map[string]float64{"src": 0.02, "eu": 0.09}, map[string]string{"eu/app": both}, "c1 from eu/app; l1 from eu/app"},
		{"the cheapest of the listed", "eu ap", map[string]float64{"src": 0.09, "eu": 0.05, "ap": 0.04},
			map[string]string{"eu/app": both, "ap/app": both}, "c1 from ap/app; l1 from ap/app"},
		{"the first of the listed, at one price", "eu ap", map[string]float64{"src": 0.09, "eu": 0.05, "ap": 0.05},
			map[string]string{"eu/app": both, "ap/app": both}, "c1 from eu/app; l1 from eu/app"},
		{"cheaper before listed", "eu ?ap", map[string]float64{"src": 0.09, "eu": 0.05, "ap": 0.04},
			map[string]string{"eu/app": both, "ap/app": both}, "c1 from ap/app; l1 from ap/app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, both, "")
			w.rule.Readers, w.prices = readers(tt.readers), tt.prices
			for place, text := range tt.others {
				w.other(place, text)
			}
			p := Diff(w.facts())
			if got := w.reads(p); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
			if tt.readers == "" && len(w.asked.Elsewhere) > 0 {
				t.Errorf("without readers it asks for %d digests", len(w.asked.Elsewhere))
			}
		})
	}
}

// Of one reader each place is named once, whether it is known by the blob or by the
// manifest that names it.
func TestReaderKnownByManifest(t *testing.T) {
	w := newWorld(t, "v1=m1(c1 l1)", "")
	w.rule.Readers = readers("eu")
	w.other("eu/app", "v1=m1")
	w.other("eu/all", "v1=m1")
	delete(w.others[Place{"eu", "app"}].has, w.hash("l1"))
	p := Diff(w.facts())
	want := []Place{{"eu", "all"}, {"eu", "app"}}
	for _, b := range p.Images[0].Root.Blobs {
		if got := slices.Clone(b.Readers); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is at %v, want %v", w.name(b.Digest), got, want)
		}
	}
}

// What is at the target, or is mounted there, is not asked for elsewhere, and an
// unchanged target asks for nothing.
func TestReadersAreAskedForUploads(t *testing.T) {
	w := newWorld(t, "v1=m1(c1 l1 base)", "app: v0=m0(c0 l1); lib: v7=m7(c7 base)")
	w.rule.Readers = readers("eu")
	w.apply(Diff(w.facts()))
	if got, want := w.asked.Elsewhere, []v1.Hash{w.hash("c1"), w.hash("m1")}; len(got) != 2 ||
		!slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	Diff(w.facts())
	if len(w.asked.Elsewhere) > 0 {
		t.Errorf("in step, it asks for %v", w.asked.Elsewhere)
	}
}

// A run tells what it reads where, and what that costs and saves.
func TestReadersCost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		prices map[string]float64
		want   []Nearer
		price  float64
		text   string
	}{
		{"saves", map[string]float64{"src": 90_000, "eu": 20_000}, []Nearer{{"eu", "src", 1000, 0.07}}, 0.11,
			"1 kB from eu instead of src, which saves about 0.07 USD"},
		{"costs", map[string]float64{"src": 20_000, "eu": 90_000}, []Nearer{{"eu", "src", 1000, -0.07}}, 0.11,
			"1 kB from eu instead of src, which costs about 0.07 USD more"},
		{"the same", map[string]float64{"src": 20_000, "eu": 20_000}, []Nearer{{"eu", "src", 1000, 0}}, 0.04,
			"1 kB from eu instead of src"},
		{"no price", map[string]float64{"src": 90_000}, []Nearer{{"eu", "src", 1000, 0}}, 0.09,
			"1 kB from eu instead of src"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "v1=m1(c1 l1) v2=m2(c1 l1)", "")
			w.rule.Readers, w.prices = readers("eu"), tt.prices
			w.other("eu/app", "v1=m9(c9 l1)")
			p := Diff(w.facts())
			c := p.Cost
			if c.Read != 2000 || fmt.Sprintf("%.4f", c.Price) != fmt.Sprintf("%.4f", tt.price) {
				t.Errorf("reads %d bytes for %v USD", c.Read, c.Price)
			}
			if len(c.Nearer) != 1 || fmt.Sprintf("%.4v", c.Nearer[0]) != fmt.Sprintf("%.4v", tt.want[0]) {
				t.Errorf("nearer is %+v, want %+v", c.Nearer, tt.want)
			}
			if got := c.Nearer[0].String(); got != tt.text {
				t.Errorf("it says %q, want %q", got, tt.text)
			}
			if text := p.String(); !strings.Contains(text, tt.text) || !strings.Contains(text, "from src/app, 1 kB from eu\n") {
				t.Errorf("the plan says\n%s", text)
			}
			if text := strings.Join(p.Explain("v1"), "\n"); !strings.Contains(text, tt.text) {
				t.Errorf("the explanation is %q", text)
			}
		})
	}
}

// Two plans of a run that read a blob from different registries read it once.
func TestReadersCostOnceInARun(t *testing.T) {
	w := newWorld(t, "v1=m1(c1 l1)", "")
	w.prices = map[string]float64{"src": 90_000, "eu": 20_000}
	first := Diff(w.facts())
	w.rule.Readers = readers("eu")
	w.other("eu/app", "v1=m1")
	second := Diff(w.facts())
	second.Target.Registry = "two"
	if c := Share([]Plan{first, second}); c.Read != 2000 || len(c.Nearer) != 0 {
		t.Errorf("reads %d bytes, %v nearer", c.Read, c.Nearer)
	}
	if c := Share([]Plan{second, first}); c.Read != 2000 || len(c.Nearer) != 1 || c.Nearer[0].Bytes != 2000 {
		t.Errorf("reads %d bytes, %v nearer", c.Read, c.Nearer)
	}
}

// A registry that mounts nothing is read at the target before others, on equal price.
func TestNearest(t *testing.T) {
	source, sibling := Place{"src", "app"}, Place{"dst", "lib"}
	eu, ap := Place{"eu", "app"}, Place{"ap", "app"}
	for _, tt := range []struct {
		name   string
		prices map[string]float64
		want   []Place
	}{
		{"no prices", nil, []Place{sibling, eu, ap, source}},
		{"a sibling that is dearer", map[string]float64{"dst": 0.1}, []Place{eu, ap, source, sibling}},
		{"listed and dearest", map[string]float64{"src": 0.05, "eu": 0.09, "dst": 0.06, "ap": 0.02}, []Place{ap, eu, source, sibling}},
		{"the source is free", map[string]float64{"src": 0, "eu": 0.09, "dst": 0.06, "ap": 0.02}, []Place{eu, source, ap, sibling}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Plan{Target: Place{"dst", "app"}, Prices: tt.prices}
			img := &Image{From: source, Readers: readers("eu ?ap")}
			got := []Place{sibling, eu, ap, source}
			slices.Reverse(got)
			p.Nearest(img, got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A mountless target's sibling is read before the source, and the plan says so.
func TestMountlessSiblingIsNearer(t *testing.T) {
	w := newWorld(t, "v1=m1(c1 base)", "lib: v7=m7(c7 base)")
	w.caps.Mount = providers.No
	p := Diff(w.facts())
	if got, want := w.reads(p), "c1 from src/app; base from dst/lib"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(p.Cost.Nearer) != 1 || p.Cost.Nearer[0].From != "dst" || p.Cost.Nearer[0].Bytes != 1000 {
		t.Errorf("nearer is %+v", p.Cost.Nearer)
	}
}
