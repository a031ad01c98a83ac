package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

func TestDiff(t *testing.T) {
	for _, tt := range []struct{ name, source, target, want string }{
		{"nothing anywhere", "", "", ""},
		{"nothing new", "v1=m1(c1 l1)", "app: v1=m1", ""},
		{"first image", "v1=m1(c1 l1)", "", "copy c1; copy l1; put m1 as v1"},
		{"an alias is one image with two tags", "v1=m1(c1 l1) latest=m1", "", "copy c1; copy l1; put m1 as latest; put m1 as v1"},
		{"an alias of what is there", "v1=m1(c1 l1) v2=m1", "app: v1=m1", "put m1 as v2"},
		{"layer held by a sibling is mounted", "v1=m1(c1 base)", "lib: v7=m7(c7 base)",
			"copy c1; mount base from lib; put m1 as v1"},
		{"a layer of two images is brought once", "v1=m1(c1 base) v2=m2(c2 base)", "",
			"copy c1; copy base; put m1 as v1; copy c2; put m2 as v2"},
		{"children before the index", "v1=ix[m1(c1 l1) m2(c2 l1)]", "",
			"copy c1; copy l1; put m1; copy c2; put m2; put ix as v1"},
		{"a child that is there is not put again", "v1=ix[m1(c1 l1) m2(c2 l1)] v0=m1", "app: v0=m1",
			"copy c2; put m2; put ix as v1"},
		{"moved at the source", "v1=m2(c2 l1)", "app: v1=m1(c1 l1)", "copy c2; update v1 to m2"},
		{"referrer before its image", "v1=m1(c1 l1) m1<s1(e b)", "",
			"copy e; copy b; put s1; copy c1; copy l1; put m1 as v1"},
		{"referrer of a referrer after it", "v1=m1(c1) m1<s1(e b) s1<s2(e b2)", "",
			"copy e; copy b; put s1; copy b2; put s2; copy c1; put m1 as v1"},
		{"a new referrer is attached", "v1=m1(c1) m1<s1(e b)", "app: v1=m1",
			"copy e; copy b; put s1; attach v1"},
		{"cosign's tag goes before its image", "v1=m1(c1) m1.sig=g1(e b)", "",
			"copy e; copy b; put g1 as m1.sig; copy c1; put m1 as v1"},
		{"a new cosign tag is attached", "v1=m1(c1) m1.sig=g1(e b)", "app: v1=m1",
			"copy e; copy b; put g1 as m1.sig; attach v1"},
		{"cosign's tag that is listed as a referrer, too", "v1=m1(c1) m1<s1(e b) m1.sig=s1", "",
			"copy e; copy b; put s1 as m1.sig; copy c1; put m1 as v1"},
		{"cosign's tag of a child", "v1=ix[m1(c1)] m1.sig=g1(e b)", "",
			"copy c1; put m1; copy e; copy b; put g1 as m1.sig; put ix as v1"},
		{"cosign's tag of a child of what is there", "v1=ix[m1(c1)] m1.sig=g1(e b)", "app: v1=ix",
			"copy e; copy b; put g1 as m1.sig"},
		{"cosign's tag of what is not wanted", "v1=m1(c1) m9.sig=g1(e b)", "app: v1=m1", ""},
		{"a fallback index is merged, not copied", "v1=m1(c1) m1<s1(e b) fallback-m1=fx[s1]", "",
			"copy e; copy b; put s1; copy c1; put m1 as v1"},
		{"an index lists a blob, as caches do", "v1=ix[]", "", "put ix as v1"},
		{"a child is missing at the source", "v1=ix[m1(c1)] v2=iy[m9] v3=m3(c3)", "",
			"copy c1; put m1; put ix as v1; copy c3; put m3 as v3; failed v2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.source, tt.target)
			p := Diff(w.facts())
			if got := w.steps(p); got != tt.want {
				t.Errorf("Diff\n got %s\nwant %s", got, tt.want)
			}
			w.apply(p)
			again := Diff(w.facts())
			again.Kept = nil
			if got := w.steps(again); got != "" {
				t.Errorf("after applying the plan, still to do: %s", got)
			}
		})
	}
}

// The target's tag was put by somebody, or vanished: what the rule says counts.
func TestDiffConflict(t *testing.T) {
	type change func(w *world)
	lose := func(w *world) { w.forgotten = true }
	foreign := func(w *world) {
		w.ours["v1"] = state.TargetTag{Name: "v1", Source: w.hash("m0"), Digest: w.hash("m0"), PutAt: w.at}
	}
	adopted := func(w *world) {
		w.ours["v1"] = state.TargetTag{Name: "v1", Digest: w.repos["app"].tags["v1"], VerifiedAt: w.at}
	}
	vanish := func(w *world) { delete(w.repos["app"].tags, "v1") }
	keep := func(w *world) { w.rule.OnConflict = policy.Keep }
	leave := func(w *world) { w.rule.OnGone = policy.Leave }
	immutable := func(w *world) { w.caps.Immutable = providers.Yes }
	restored := func(w *world) {
		k := w.ours["v1"]
		k.Restored, k.RestoredAt = k.Digest, w.at.Add(-time.Hour)
		w.ours["v1"] = k
	}
	const same, other = "app: v1=m1(c1)", "app: v1=m2(c2)"
	for _, tt := range []struct {
		name, target string
		changes      []change
		want         string
	}{
		{"ours", other, nil, "copy c1; update v1 to m1"},
		{"ours, kept on conflict", other, []change{keep}, "copy c1; update v1 to m1"},
		{"somebody else's", other, []change{foreign}, "copy c1; overwrite v1 to m1"},
		{"somebody else's, kept", other, []change{foreign, keep}, "conflict v1"},
		{"unknown", other, []change{lose}, "copy c1; update v1 to m1"},
		{"unknown, kept", other, []change{lose, keep}, "conflict v1"},
		{"adopted", other, []change{adopted, keep}, "copy c1; update v1 to m1"},
		{"immutable", other, []change{immutable}, "refused v1"},
		{"immutable, right", same, []change{immutable, lose}, ""},
		{"vanished", same, []change{vanish}, "restore v1 to m1"},
		{"vanished, left", same, []change{vanish, leave}, "gone v1"},
		{"vanished again", same, []change{vanish, restored}, "gone v1"},
		{"vanished, state lost", same, []change{vanish, lose}, "copy c1; put m1 as v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "v1=m1(c1)", tt.target)
			for _, c := range tt.changes {
				c(w)
			}
			if got := w.steps(Diff(w.facts())); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// "The index exists" does not prove that its children do (I1).
func TestDiffMend(t *testing.T) {
	w := newWorld(t, "v1=ix[m1(c1) m2(c2)]", "app: v1=ix")
	w.forgotten = true
	delete(w.repos["app"].has, w.hash("m2"))
	p := Diff(w.facts())
	if got, want := w.steps(p), "copy c1; copy c2; put m2; mend v1"; got != want && got != "copy c2; put m2; mend v1" {
		t.Errorf("got %s, want %s", got, want)
	}
	w.apply(p)
	w.forgotten = false
	if got := w.steps(Diff(w.facts())); got != "" {
		t.Errorf("after mending: %s", got)
	}
}

func TestDiffPlatforms(t *testing.T) {
	const source = "v1=ix[m1(c1)@linux/amd64 m2(c2)@linux/arm64 m3(c3)@windows/amd64]"
	linux := []policy.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}
	for _, tt := range []struct {
		name   string
		only   []policy.Platform
		mode   policy.Mode
		sparse providers.Tri
		want   string
	}{
		{"sparse", linux, policy.Sparse, providers.Yes, "copy c1; put m1; copy c2; put m2; put ix as v1"},
		{"sparse, not known", linux, policy.Sparse, providers.Maybe, "copy c1; put m1; copy c2; put m2; put ix as v1"},
		{"sparse, refused", linux, policy.Sparse, providers.No, "refused v1"},
		{"rewrite", linux, policy.Rewrite, providers.No, "copy c1; put m1; copy c2; put m2; put rewritten ix as v1"},
		{"all are selected", append(linux, policy.Platform{OS: "windows", Architecture: "amd64"}), policy.Rewrite, providers.No,
			"copy c1; put m1; copy c2; put m2; copy c3; put m3; put ix as v1"},
		{"none is selected", []policy.Platform{{OS: "plan9", Architecture: "amd64"}}, policy.Rewrite, providers.No, "skipped v1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, source, "")
			w.caps.SparseIndex = tt.sparse
			w.rule.Platforms = policy.Platforms{Only: tt.only, Mode: tt.mode}
			p := Diff(w.facts())
			if got := w.steps(p); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
			w.apply(p)
			again := Diff(w.facts())
			if len(again.Images) > 0 {
				t.Errorf("after applying, still to do: %s", w.steps(again))
			}
		})
	}
}

// Two sources that want one tag with different content get neither.
func TestDiffCollision(t *testing.T) {
	w := newWorld(t, "v1=m1(c1) v2=m2(c2)", "")
	f := w.facts()
	for i := range f.Wants {
		f.Wants[i].Tag = "same"
	}
	if got, want := w.steps(Diff(f)), "collision same; collision same"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f.Wants[1].Digest = f.Wants[0].Digest
	if got := w.steps(Diff(f)); strings.Contains(got, "collision") {
		t.Errorf("equal digests collide: %s", got)
	}
}

// A pass without a change asks nothing of the target, and reads nothing.
func TestNothingIsAskedTwice(t *testing.T) {
	w := newWorld(t, "v1=m1(c1 l1) v2=ix[m1 m2(c2 l1)] m1<s1(e b) m1.sig=g1(e b)", "")
	w.rule.Recheck = 0
	w.apply(Diff(w.facts()))
	w.facts()
	src := w.asked.Source[Place{"src", "app"}]
	if len(w.asked.Tags)+len(w.asked.Probe)+len(src.Manifests)+len(src.Read)+len(src.Referrers) > 0 || len(src.Resolve) != 1 {
		t.Errorf("asked in a pass without change: %+v", w.asked)
	}
}

// Random worlds: equal facts give equal bytes in any order of the wants, and
// carrying the plan out leaves nothing to do.
func TestDiffProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, randomSource(r), "lib: x=base(cb l1 l2)")
		w.caps.SparseIndex = []providers.Tri{providers.Maybe, providers.Yes, providers.No}[r.IntN(3)]
		w.caps.Referrers = []providers.Tri{providers.Yes, providers.No}[r.IntN(2)]
		w.caps.Fallback = []providers.Tri{providers.Maybe, providers.Yes, providers.No}[r.IntN(3)]
		w.rule.Children, w.bulk = r.IntN(2) == 0, r.IntN(3) == 0
		f := w.facts()
		p := Diff(f)
		first, _ := json.Marshal(p)
		r.Shuffle(len(f.Wants), func(i, k int) { f.Wants[i], f.Wants[k] = f.Wants[k], f.Wants[i] })
		if second, _ := json.Marshal(Diff(f)); string(first) != string(second) {
			t.Fatalf("seed %d: the order of the wants shows:\n%s\n%s", seed, first, second)
		}
		w.apply(p)
		if again := Diff(w.facts()); !again.Empty() {
			t.Fatalf("seed %d: after applying, still to do: %s", seed, w.steps(again))
		}
		w.forgotten = true
		again := Diff(w.facts())
		if !again.Empty() {
			t.Fatalf("seed %d: after losing state: %s", seed, w.steps(again))
		}
		w.forgotten = false
		w.remember(again)
		if last := Diff(w.facts()); !last.Empty() || len(last.Found) > 0 {
			t.Fatalf("seed %d: after finding all again: %s %+v", seed, w.steps(last), last.Found)
		}
	}
}

// randomSource writes a source in the notation of world.
func randomSource(r *rand.Rand) string {
	var b strings.Builder
	n := 1 + r.IntN(6)
	for i := range n {
		fmt.Fprintf(&b, "a%d=m%d(c%d l%d l%d) ", i, i, i, r.IntN(4), r.IntN(4))
	}
	for i := range r.IntN(3) {
		fmt.Fprintf(&b, "x%d=ix%d[m%d m%d] ", i, i, r.IntN(n), r.IntN(n))
	}
	for i := range r.IntN(3) {
		fmt.Fprintf(&b, "m%d<s%d(e b%d) ", r.IntN(n), i, i)
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "s%d<t%d(e t%d) ", i, i, i)
		}
	}
	for i := range r.IntN(3) {
		fmt.Fprintf(&b, "m%d.sig=g%d(e gb%d) ", r.IntN(n), i, i)
	}
	return b.String()
}

// What no registry should hold ends in a refusal, and in bounded time.
func TestDiffHostile(t *testing.T) {
	deep := "m(c)"
	for i := range providers.MaxDepth {
		deep = fmt.Sprintf("i%d[%s]", i, deep)
	}
	w := newWorld(t, "v1="+deep+" v2=m", "")
	if got, want := w.steps(Diff(w.facts())), "copy c; put m as v2; failed v1"; got != want {
		t.Errorf("too deep: got %s, want %s", got, want)
	}
	// Each of ten indexes on a level lists all ten of the next: ten to the sixth images.
	var all strings.Builder
	fmt.Fprint(&all, "v0=m(c) ")
	below := "m"
	for level := range 6 {
		var names []string
		for i := range 10 {
			name := fmt.Sprintf("x%d-%d", level, i)
			fmt.Fprintf(&all, "t%s=%s[%s] ", name, name, below)
			names = append(names, name)
		}
		below = strings.Join(names, " ")
	}
	w = newWorld(t, all.String(), "")
	w.rule.Referrers = false
	f := w.facts()
	var last []Want
	for _, want := range f.Wants {
		if want.Tag == "tx5-0" {
			last = append(last, want)
		}
	}
	f.Wants = last
	if got := w.steps(Diff(f)); got != "failed tx5-0" {
		t.Errorf("an index that lists it all again and again: %.80s", got)
	}
}

// GitLab resolves the fallback tag to the subject itself; its children are no referrers.
func TestFallbackTagThatIsTheSubject(t *testing.T) {
	w := newWorld(t, "v1=ix[m1(c1)] fallback-ix=ix", "")
	if got, want := w.steps(Diff(w.facts())), "copy c1; put m1; put ix as v1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A fallback index that lists a manifest which names no subject is merged by hand
// at any target, as the API would never list it.
func TestFallbackWithoutSubject(t *testing.T) {
	w := newWorld(t, "v1=m1(c1) fallback-m1=fx[s1(e)]", "")
	p := Diff(w.facts())
	if got, want := w.steps(p), "copy e; put s1 listed for m1; copy c1; put m1 as v1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	w.apply(p)
	if again := Diff(w.facts()); !again.Empty() {
		t.Errorf("still to do: %s", w.steps(again))
	}
}

// A new tag of an image that the target has under another one, which state does
// not know: both are known once what refers to it is there.
func TestNewTagBesideAForgottenOne(t *testing.T) {
	w := newWorld(t, "v1=m1(c1) m1<s1(e b)", "app: v1=m1")
	w.source["v2"] = w.source["v1"]
	clear(w.ours)
	p := Diff(w.facts())
	if got, want := w.steps(p), "copy e; copy b; put s1; put m1 as v2; attach v1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	w.apply(p)
	if w.facts(); len(w.asked.Probe)+len(w.asked.Tags) > 0 {
		t.Errorf("asked again: %+v", w.asked)
	}
}

// A referrer that the target holds and does not list is listed, where nothing says
// that the image is complete; once that is known nothing is asked.
func TestReferrerThatIsNotListed(t *testing.T) {
	for _, caps := range []providers.Tri{providers.Maybe, providers.No} {
		w := newWorld(t, "v1=m1(c1) m1<s1(e b)", "app: v1=m1 s=s1")
		w.caps.Referrers = caps
		clear(w.ours)
		p := Diff(w.facts())
		if len(p.Images) != 1 || len(p.Images[0].Referrers) != 1 || !p.Images[0].Referrers[0].Here || !p.Images[0].Referrers[0].Fallback {
			t.Fatalf("referrers API %v: %s", caps, w.steps(p))
		}
		w.apply(p)
		if again := Diff(w.facts()); !again.Empty() || len(w.asked.Refers) > 0 {
			t.Errorf("referrers API %v: still %s, asked %v", caps, w.steps(again), w.asked.Refers)
		}
	}
}

// The referrers of a manifest that no tag names any more are looked at once.
func TestStrayIsReadOnce(t *testing.T) {
	w := newWorld(t, "v1=m1(c1) fallback-m0=fx[s1(e)] m0=m0(c0)", "app: v1=m1 x=m0 y=s1")
	delete(w.source, "m0")
	p := Diff(w.facts())
	if len(p.Images) != 0 || len(w.asked.Source[Place{"src", "app"}].Read)+len(w.asked.Source[Place{"src", "app"}].Manifests) == 0 {
		t.Fatalf("got %s, asked %+v", w.steps(p), w.asked)
	}
	w.remember(p)
	w.facts()
	if src := w.asked.Source[Place{"src", "app"}]; len(src.Read)+len(src.Manifests) > 0 {
		t.Errorf("read again: %+v", src)
	}
}
