package replicator

import (
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
)

// A tag that goes back to what it was before gets all of it again, with what
// refers to it, though state remembers that it was there: a retention policy, or
// whoever deleted the repository, has taken it meanwhile (I1, I4).
func TestTagGoesBack(t *testing.T) {
	layer := content.Layer("old", 1000)
	child := content.Image("old", []content.Blob{layer})
	old := content.Index([]*content.Manifest{child})
	sbom := content.Refer(old, "application/x.sbom", "of the old")
	next := content.Image("next", []content.Blob{content.Layer("next", 1000)})
	for _, tt := range []struct {
		name  string
		harm  func(r *rig) error
		heads int64 // at target one: of the tag, and of what is believed to be there
	}{
		{"nothing is taken", func(*rig) error { return nil }, 4},
		{"the untagged are", func(r *rig) error {
			one := r.servers["one"]
			for _, m := range []*content.Manifest{sbom, old, child} {
				r.remove("one", "app", m.Digest.String())
			}
			_, err := one.Sweep("app")
			return err
		}, 3},
		{"a referrer is", func(r *rig) error { return r.servers["one"].Remove("app", sbom.Digest.String()) }, 4},
		{"the repository was", func(r *rig) error {
			err := r.servers["one"].RemoveRepository("app")
			r.pass()
			return err
		}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, oneRule, nil)
			for _, m := range []*content.Manifest{old, next} {
				r.load("app", m, "v1")
				r.pass()
				r.later()
			}
			if err := tt.harm(r); err != nil {
				t.Fatal(err)
			}
			r.later()
			r.load("app", old, "v1")
			reports, n := r.pass()
			r.fine(reports)
			r.equal()
			if got := n["one"].Of(registrytest.ManifestHead); got != tt.heads {
				t.Errorf("%d manifest HEADs, want %d\n%s", got, tt.heads, n["one"])
			}
		})
	}
}

// What refers to an image that is not wanted any more is not brought to a target
// that has lost the image, whatever state remembers of it.
func TestNoReferrersOfWhatIsLost(t *testing.T) {
	old := content.Image("old", []content.Blob{content.Layer("old", 1000)})
	tag, signature := content.Cosign(old, "sig")
	r := newRig(t, oneRule, nil)
	r.load("app", old, "v1")
	r.load("app", signature, tag)
	for _, m := range []*content.Manifest{old, content.Image("next", nil)} {
		r.load("app", m, "v1")
		r.pass()
		r.later()
	}
	if err := r.servers["one"].RemoveRepository("app"); err != nil {
		t.Fatal(err)
	}
	r.pass()
	r.later()
	reports, n := r.pass() // it finds out
	r.fine(reports)
	if n["one"].Writes() > 0 || n["src"].Of(registrytest.ManifestGet) > 0 {
		t.Errorf("something is brought\n%s\n%s", n["one"], n["src"])
	}
	r.later()
	r.unchanged("that")
}

// A fallback index lists no referrer because state says that the target has it: it
// might take an index of what is not there.
func TestListedReferrerIsLookedFor(t *testing.T) {
	image := content.Image("a", []content.Blob{content.Layer("a", 1000)})
	sbom := content.Refer(image, "application/x.sbom", "of a")
	r := newRig(t, oneRule, func(_ string, q *registrytest.Quirks) { q.NoReferrers, q.SparseIndex = true, true })
	r.load("app", image, "v1")
	tag, list := content.Fallback(image, sbom)
	r.load("app", list, tag)
	for _, name := range []string{"one", "two"} {
		if err := r.servers[name].Load("app", content.Image("theirs", nil), "theirs"); err != nil {
			t.Fatal(err)
		}
		repo := state.Repo{Host: r.servers[name].Host(), Name: "app"}
		if err := r.state.Put(t.Context(), state.Record{Repo: repo, Present: []state.Present{{Digest: sbom.Digest}}}); err != nil {
			t.Fatal(err)
		}
	}
	reports, _ := r.pass()
	r.fine(reports)
	for _, name := range []string{"one", "two"} {
		if err := r.servers[name].VerifyAll(); err != nil {
			t.Errorf("target %s: %v", name, err)
		}
		if list := r.servers[name].Tags("app"); list[tag].Hex == "" {
			t.Errorf("target %s lists nothing: %v", name, list)
		}
	}
}
