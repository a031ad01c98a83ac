package plan

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
)

// What refers to the children of an index, by the API: asked for where the rule
// says so, when the image is brought and when it is asked about again.
func TestReferrersOfChildren(t *testing.T) {
	const image = "v1=ix[m1(c1)@linux/amd64 iy[m2(c2)@linux/arm64]] "
	const signed = image + "m2<s2(e b) s2<s3(e b3)"
	for _, tt := range []struct{ name, source, target, want string }{
		{"first", signed, "", "copy c1; put m1; copy c2; put m2; put iy; copy e; copy b; put s2; copy b3; put s3; put ix as v1"},
		{"later", signed, "app: v1=ix", "copy e; copy b; put s2; copy b3; put s3; attach v1"},
		{"of a nested index", image + "iy<s2(e b)", "app: v1=ix", "copy e; copy b; put s2; attach v1"},
		{"nothing new", signed, "app: v1=ix x=s2 y=s3", ""},
		{"a child that has a tag", signed + " v2=m2", "app: v1=ix v2=m2", "copy e; copy b; put s2; copy b3; put s3; attach v2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, children := range []bool{true, false} {
				w := newWorld(t, tt.source, tt.target)
				w.rule.Children = children
				p := Diff(w.facts())
				if got := w.steps(p); children && got != tt.want {
					t.Errorf("got %s\nwant %s", got, tt.want)
				}
				src := w.asked.Source[Place{"src", "app"}]
				if !children && tt.target != "" && (len(src.Manifests) > 2 || len(src.Referrers) > 4) {
					t.Errorf("without children it asks %+v", src)
				}
				w.apply(p)
				if again := Diff(w.facts()); !again.Empty() {
					t.Errorf("after applying, still to do: %s", w.steps(again))
				}
			}
		})
	}
}

// What is not selected is not asked about, nor is an index that a rewrite changes.
func TestReferrersOfSelectedChildren(t *testing.T) {
	for _, mode := range []policy.Mode{policy.Sparse, policy.Rewrite} {
		w := newWorld(t, "v1=ix[m1(c1)@linux/amd64 m2(c2)@linux/arm64 iy[m3(c3)@linux/amd64 m4(c4)@linux/arm64]] "+
			"m1<s1(e b1) m2<s2(e b2) iy<s3(e b3) m3<s4(e b4)", "")
		w.rule.Children, w.caps.SparseIndex = true, providers.Yes
		w.rule.Platforms = policy.Platforms{Only: []policy.Platform{{OS: "linux", Architecture: "amd64"}}, Mode: mode}
		want := map[policy.Mode]string{
			policy.Sparse:  "copy c1; put m1; copy c3; put m3; put iy; copy e; copy b1; put s1; copy b3; put s3; copy b4; put s4; put ix as v1",
			policy.Rewrite: "copy c1; put m1; copy c3; put m3; put rewritten iy; copy e; copy b1; put s1; copy b4; put s4; put rewritten ix as v1",
		}[mode]
		p := Diff(w.facts())
		if got := w.steps(p); got != want {
			t.Errorf("%s: got %s\nwant %s", mode, got, want)
		}
		w.apply(p)
		if again := Diff(w.facts()); !again.Empty() {
			t.Errorf("%s: after applying, still to do: %s", mode, w.steps(again))
		}
		w.parse("m1<s9(e b9)")
		if got, want := w.steps(Diff(w.facts())), "copy b9; put s9; attach v1"; got != want {
			t.Errorf("%s: a late signature: got %s, want %s", mode, got, want)
		}
	}
}

// A bulk listing shows a late signature of a child at no cost, so it is brought
// at once, whatever the rule says of children.
func TestBulkListingShowsChildren(t *testing.T) {
	w := newWorld(t, "v1=ix[m1(c1)] m1<s1(e b) s1<s2(e b2)", "app: v1=ix")
	w.bulk = true
	p := Diff(w.facts())
	if got, want := w.steps(p), "copy e; copy b; put s1; copy b2; put s2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if src := w.asked.Source[Place{"src", "app"}]; len(src.Referrers) > 0 || len(src.Manifests) > 2 {
		t.Errorf("asked %+v", src)
	}
	w.apply(p)
	if again := Diff(w.facts()); !again.Empty() || len(w.asked.Source[Place{"src", "app"}].Manifests) > 0 {
		t.Errorf("still to do: %s, asked %+v", w.steps(again), w.asked)
	}
}

// A rule without referrers that wants a child by a tag of its own does not take
// them from the rule that wants the index.
func TestChildOfAnotherRule(t *testing.T) {
	w := newWorld(t, "v1=ix[m1(c1)] v2=m1 m1.sig=g1(e b)", "")
	f := w.facts()
	other := *w.rule
	other.Name, other.Referrers = "plain", false
	for i := range f.Wants {
		if f.Wants[i].Tag == "v2" {
			f.Wants[i].Rule = &other
		}
	}
	if got, want := w.steps(Diff(f)), "copy c1; put m1; copy e; copy b; put g1 as m1.sig; put ix as v1; put m1 as v2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Rechecks that the source's limits put off leave the image as it is, and are told.
func TestRecheckIsPutOff(t *testing.T) {
	w := newWorld(t, "v1=ix[m1(c1)] v2=m2(c2) ix<s1(e b) m1<s2(e b)", "app: v1=ix v2=m2")
	w.rule.Children, w.rule.RecheckSaid, w.busy = true, time.Minute, true
	p := Diff(w.facts())
	if src := w.asked.Source[Place{"src", "app"}]; !p.Empty() || p.InStep != 2 || len(src.Manifests) > 0 {
		t.Errorf("got %s, %d in step, asked %+v", w.steps(p), p.InStep, src)
	}
	if want := (Slowed{"r", "src", time.Minute, time.Hour, 2}); len(p.Rechecks) != 1 || p.Rechecks[0] != want {
		t.Errorf("told %+v, want %+v", p.Rechecks, want)
	}
	w.busy = false
	if got, want := w.steps(Diff(w.facts())), "copy e; copy b; put s1; put s2; attach v1"; got != want {
		t.Errorf("later: got %s, want %s", got, want)
	}
}

// A source may list what refers to something else, or to nothing at all, and it may
// list in a circle: what is right is brought, once, under what it refers to.
func TestListsOfStrangers(t *testing.T) {
	w := newWorld(t, "v1=m1(c1) v2=m2(c2) m2<s2(e b) s2<s3(e b3)", "")
	f := w.facts()
	src := f.Sources[Place{"src", "app"}]
	var all []v1.Descriptor
	for digest, m := range src.Manifests {
		all = append(all, v1.Descriptor{Digest: digest, MediaType: m.MediaType})
	}
	for digest, list := range src.Referrers {
		src.Referrers[digest] = append(list, all...)
	}
	p := Diff(f)
	for _, img := range p.Images {
		for _, r := range img.Referrers {
			if m := src.Manifests[r.Digest]; m.Subject == nil || r.Subject != m.Subject.Digest {
				t.Errorf("%s is to be listed under %s, and refers to %v", w.names[r.Digest], w.names[r.Subject], m.Subject)
			}
		}
	}
	if needs := Missing(f); !needs.Empty() {
		t.Errorf("it goes on asking: %+v", needs)
	}
}

// What the target holds is not read to plan: the plan says which of it a fallback
// index of the source names, as only that may list what names no subject.
func TestWhoListsWhatTheTargetHolds(t *testing.T) {
	w := newWorld(t, "v1=m1(c1) fallback-m1=fx[s1(e)] m1<s2(e b)", "app: v1=m1 s1=s1 s2=s2 other=m2(c2)")
	w.caps.Referrers = providers.No
	clear(w.ours)
	w.referrers[w.hash("m1")] = append(w.referrers[w.hash("m1")], w.desc("m2", 1, types.OCIManifestSchema1))
	indexed := map[string]bool{}
	for _, r := range Diff(w.facts()).Images[0].Referrers {
		if !r.Here || !r.Fallback {
			t.Errorf("%s: here %t, fallback %t", w.names[r.Digest], r.Here, r.Fallback)
		}
		indexed[w.names[r.Digest]] = r.Indexed
	}
	if want := map[string]bool{"s1": true, "s2": false, "m2": false}; !maps.Equal(indexed, want) {
		t.Errorf("a fallback index lists %v, want %v", indexed, want)
	}
}

// A source that lists referrers of referrers without end costs a bounded decision.
func TestReferrersWithoutEnd(t *testing.T) {
	w := newWorld(t, "v1=m1(c1) m1<s1(e b)", "")
	f := w.facts()
	src := f.Sources[Place{"src", "app"}]
	var list []v1.Descriptor
	for i := range maxNodes + 1 {
		list = append(list, v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%064x", i)}})
	}
	for digest := range src.Referrers {
		src.Referrers[digest] = list
	}
	p := Diff(f)
	if len(p.Images) != 0 || len(p.Kept) != 1 || p.Kept[0].Kind != LeftFailed || p.Kept[0].Hint == "" {
		t.Errorf("got %s, kept %+v", w.steps(p), p.Kept)
	}
}

// A signature that the API lists and cosign's tag names gets its tag too.
func TestListedAndTagged(t *testing.T) {
	w := newWorld(t, "v1=m1(c1) m1.sig=g1(e b)", "")
	f := w.facts()
	src := f.Sources[Place{"src", "app"}]
	for digest, m := range src.Manifests {
		if m.ArtifactType == "" && len(m.Blobs()) == 2 {
			for subject := range src.Referrers {
				if subject != digest {
					src.Referrers[subject] = append(src.Referrers[subject], v1.Descriptor{Digest: digest, MediaType: m.MediaType})
				}
			}
		}
	}
	if got := w.steps(Diff(f)); !strings.Contains(got, "as m1.sig") {
		t.Errorf("got %s", got)
	}
}
