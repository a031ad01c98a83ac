package plan

import (
	"strings"
	"testing"
	"time"
)

// A target that drops what no tag names: what is wanted by its digest alone is
// refused, unless a subject keeps it, an index brings it, or it is there.
func TestDiffFleeting(t *testing.T) {
	for _, tt := range []struct {
		name, source, target string
		digests              []string
		want                 string
	}{
		{"nothing keeps it", "v1=m1(c1) v2=m2(c2)", "", []string{"m1"}, "copy c2; put m2 as v2; refused "},
		{"its index is brought", "v2=ix[m1(c1)]", "", []string{"m1"}, "copy c1; put m1; put ix as v2"},
		{"its index is there", "v2=ix[m1(c1)]", "app: v2=ix", []string{"m1"}, ""},
		{"it has a subject", "v1=m1(c1) v2=m2(c2) m2<s1(e b)", "app: v2=m2", []string{"s1"}, "copy e; copy b; put s1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.source, tt.target)
			w.caps.UntaggedLife = time.Hour
			delete(w.source, "v1")
			f := w.facts()
			for _, name := range tt.digests {
				f.Wants = append(f.Wants, Want{Rule: w.rule, From: Place{"src", "app"}, Ref: w.hash(name).String(), Digest: w.hash(name)})
			}
			p := Diff(w.answered(f))
			if got := w.steps(p); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
			for _, k := range p.Kept {
				if k.Kind != LeftRefused || !strings.Contains(k.Reason, "an hour after") || !strings.Contains(k.Hint, "give it a tag") {
					t.Errorf("kept %+v", k)
				}
			}
		})
	}
}

// What is below a root that a tag names already stays; where nothing ends, nobody
// has to know.
func TestDiffSecured(t *testing.T) {
	for life, want := range map[time.Duration]bool{0: false, time.Hour: true} {
		w := newWorld(t, "v1=m1(c1) v2=m1 v3=m3(c3)", "app: v1=m1")
		w.caps.UntaggedLife = life
		for _, img := range Diff(w.facts()).Images {
			if got := img.Secured; got != (want && img.Root.Digest == w.hash("m1")) {
				t.Errorf("%s is secured: %v", w.name(img.Root.Digest), got)
			}
		}
	}
}

func TestLifeOf(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "an hour", 2 * time.Hour: "2 hours", 90 * time.Minute: "1h30m0s"} {
		if got := lifeOf(d); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
