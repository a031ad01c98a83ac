package replicator

import (
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
)

// checks runs a check of everything and returns what is wrong.
func (r *rig) checks(deep bool) []Failure {
	r.t.Helper()
	var all []Failure
	for _, job := range r.jobs() {
		rep, err := r.Check(r.t.Context(), job, deep)
		if err != nil || rep.OK() != (rep.Right == rep.Tags) {
			r.t.Errorf("%+v, %v", rep, err)
		}
		all = append(all, rep.Failures...)
	}
	return all
}

// What a check finds missing is brought by the next sync, in the same process and
// though state knew better; then all is right, and nothing is left to do (I1, I4).
func TestWhatCheckFindsIsBrought(t *testing.T) {
	blob := func(name string, size int64) func(*rig) {
		return func(r *rig) { r.lose("one", "team/app", content.Layer(name, size).Digest) }
	}
	type row struct {
		name string
		harm func(r *rig)
		tags int // that are wrong
	}
	for _, tt := range Some(3, []row{
		{"a layer of an image", blob("la", 1000), 3},
		{"a config of an image", func(r *rig) {
			m, _ := r.servers["one"].Resolve("team/app", "v1")
			c, _ := providers.Parse(m)
			r.lose("one", "team/app", c.Config.Digest)
		}, 3},
		{"a layer of a child", blob("lb", 1000), 1},
		{"a layer that many share", blob("base", 5000), 3},
		{"a child", func(r *rig) {
			ix, _ := r.servers["one"].Resolve("team/app", "v2")
			r.remove("one", "team/app", childOf(t, ix, 1))
		}, 1},
		{"a referrer", func(r *rig) {
			a, _ := r.servers["one"].Resolve("team/app", "v1")
			r.remove("one", "team/app", r.servers["one"].Referrers("team/app", a.Digest)[0].Digest.String())
		}, 2},
		{"a layer of a referrer", blob("sb", 100), 2},
		{"a layer of a referrer's referrer", blob("at", 100), 2},
		{"a layer of cosign's signature", blob("sg", 100), 2},
		{"cosign's signature", func(r *rig) {
			a, _ := r.servers["one"].Resolve("team/app", "v1")
			r.remove("one", "team/app", providers.FallbackTag(a.Digest)+".sig")
		}, 2},
	}) {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, oneRule, nil)
			r.fill()
			r.pass()
			r.heals(tt.harm, tt.tags)
		})
	}
}

// The same where a target lacks the referrers API: the fallback index belongs to
// what an image is made of.
func TestCheckFindsALostFallbackIndex(t *testing.T) {
	r := newRig(t, oneRule, func(name string, q *registrytest.Quirks) { q.NoReferrers = name == "one" })
	r.fill()
	r.pass()
	r.heals(func(r *rig) {
		a, _ := r.servers["one"].Resolve("team/app", "v1")
		r.remove("one", "team/app", providers.FallbackTag(a.Digest))
	}, 2)
}

// One check finds all that is missing, also of an image that the next run has to do
// something about anyway: what the target holds of it is not put again by that.
func TestCheckFindsAllAtOnce(t *testing.T) {
	a, b := content.Image("a", []content.Blob{content.Layer("la", 1000)}), content.Image("b", []content.Blob{content.Layer("lb", 1000)})
	ix := content.Index([]*content.Manifest{a, b})
	sbom := content.Refer(ix, "application/vnd.example.sbom", "sb")
	sig := content.Refer(ix, "application/vnd.example.sig", "sg")
	remove := func(ref string) func(*rig) { return func(r *rig) { r.remove("one", "team/app", ref) } }
	lose := func(m *content.Manifest) func(*rig) {
		return func(r *rig) { r.lose("one", "team/app", m.Blobs[1].Digest) }
	}
	plain := func(*registrytest.Quirks) {}
	for _, tt := range []struct {
		name    string
		quirk   func(*registrytest.Quirks) // of the target
		missing func(*rig)
		below   func(*rig)
	}{
		{"a child, and a layer of another", plain, remove(a.Digest.String()), lose(b)},
		{"a child, and a layer of a referrer", plain, remove(a.Digest.String()), lose(sbom)},
		{"a tag, and a layer of a child", plain, remove("v1"), lose(b)},
		{"a tag, and a layer of a referrer", plain, remove("v1"), lose(sbom)},
		{"a referrer, and a layer of a child", plain, remove(sig.Digest.String()), lose(b)},
		{"a referrer, and a layer of another", plain, remove(sig.Digest.String()), lose(sbom)},
		{"a referrer with a layer, where manifests are not looked into", func(q *registrytest.Quirks) { q.Lax = true },
			remove(sig.Digest.String()), lose(sig)},
		{"a fallback index, and a layer of what it lists", func(q *registrytest.Quirks) { q.NoReferrers = true },
			remove(providers.FallbackTag(ix.Digest)), lose(sbom)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, oneRule, func(name string, q *registrytest.Quirks) {
				if name == "one" {
					tt.quirk(q)
				}
			})
			r.load("team/app", ix, "v1")
			r.pass()
			r.heals(func(r *rig) { tt.missing(r); tt.below(r) }, 1)
		})
	}
}

// What is wanted by its digest alone is looked at to its last blob too, and no tag
// of it is remembered.
func TestCheckLooksBelowADigest(t *testing.T) {
	lost := content.Layer("la", 1000)
	a := content.Image("a", []content.Blob{lost})
	ix := content.Index([]*content.Manifest{a})
	sbom := content.Refer(ix, "application/vnd.example.sbom", "sb")
	lose := func(digest v1.Hash) func(*rig) {
		return func(r *rig) { r.lose("one", "team/app", digest) }
	}
	remove := func(m *content.Manifest) func(*rig) {
		return func(r *rig) { r.remove("one", "team/app", m.Digest.String()) }
	}
	for name, harm := range map[string]func(*rig){
		"a layer": lose(lost.Digest), "a layer of a referrer": lose(sbom.Blobs[1].Digest),
		"the root": remove(ix), "a child": remove(a), "a referrer": remove(sbom),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, oneRule+"    tags: {include: [none], digests: [\""+ix.Digest.String()+"\"]}\n", nil)
			r.load("team/app", ix)
			r.pass()
			r.heals(harm, 1) // it has no tag that equal would look below
			for _, digest := range []v1.Hash{lost.Digest, sbom.Blobs[1].Digest} {
				if !r.servers["one"].Has("team/app", digest) {
					t.Errorf("%s is not brought again", digest)
				}
			}
			for _, m := range []*content.Manifest{a, ix, sbom} {
				if _, ok := r.servers["one"].Resolve("team/app", m.Digest.String()); !ok {
					t.Errorf("%s is not brought again", m.Digest)
				}
			}
			r.loseState()
			reports, _ := r.pass()
			r.fine(reports)
			for tag := range r.state.TargetTags(t.Context(), state.Repo{Host: r.servers["one"].Host(), Name: "team/app"}) {
				t.Errorf("state knows the tag %q", tag.Name)
			}
		})
	}
}

// heals harms target one, and fails the test unless a check finds it and the next
// pass mends it.
func (r *rig) heals(harm func(*rig), tags int) {
	r.t.Helper()
	if list := r.checks(true); len(list) > 0 {
		r.t.Fatalf("before: %+v", list)
	}
	r.later()
	harm(r)
	r.later()
	list := r.checks(false)
	if len(list) != tags {
		r.t.Errorf("%d tags are found wrong, want %d: %+v", len(list), tags, list)
	}
	for _, f := range list {
		if f.Target.Registry != "one" || f.Reason == "" || f.Hint != "run transship sync" {
			r.t.Errorf("%+v", f)
		}
	}
	r.later()
	reports, n := r.pass()
	r.fine(reports)
	r.equal()
	if n["two"].Writes() != 0 || n["two"].Of(registrytest.ManifestHead) != 0 {
		r.t.Errorf("the target that was right is touched\n%s", n["two"])
	}
	if list := r.checks(true); len(list) > 0 {
		r.t.Errorf("after: %+v", list)
	}
	r.later()
	r.unchanged("mending")
}

func (r *rig) later() { r.now = r.now.Add(time.Minute) }

func (r *rig) lose(server, repo string, digest v1.Hash) {
	r.t.Helper()
	if err := r.servers[server].DeleteBlob(repo, digest); err != nil {
		r.t.Fatal(err)
	}
}

// A target that does not answer is told, and nothing that it holds is forgotten.
func TestCheckOfATargetThatFails(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	r.pass()
	r.servers["one"].Set(func(q *registrytest.Quirks) {
		q.Faults = []registrytest.Rule{{Classes: []registrytest.Class{registrytest.BlobHead}, Rate: 1, Fault: registrytest.Fault{Status: 503}}}
	})
	r.later()
	if list := r.checks(false); len(list) == 0 {
		t.Error("nothing is told")
	}
	r.servers["one"].Set(func(q *registrytest.Quirks) { q.Faults = nil })
	r.later()
	r.unchanged("a failed check")
}
