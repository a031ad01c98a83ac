package replicator

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// unchanged fails the test unless a pass reads no manifest, asks the targets for
// nothing but their lists, and writes nothing (I6).
func (r *rig) unchanged(after string) {
	r.t.Helper()
	reports, n := r.pass()
	r.fine(reports)
	if got := n["src"].Of(registrytest.ManifestGet); got != 0 {
		r.t.Errorf("after %s: %d manifests are read\n%s", after, got, n["src"])
	}
	for _, name := range []string{"one", "two"} {
		if got := n[name].Total() - n[name].Of(registrytest.Tags); got != 0 {
			r.t.Errorf("after %s: target %s is asked %d times\n%s", after, name, got, n[name])
		}
	}
}

// loseState begins again with nothing remembered.
func (r *rig) loseState() {
	r.t.Helper()
	r.openState(filepath.Join(r.t.TempDir(), "state.db"))
}

// What was mended or attached is known from then on: also if state was lost
// before, the next passes have nothing to do, and nor have those in which
// referrers are asked for again.
func TestMendedIsKnown(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(r *rig)
	}{
		{"nothing missing", func(*rig) {}},
		{"a child missing", func(r *rig) {
			ix, _ := r.servers["one"].Resolve("team/app", "v2")
			r.remove("one", "team/app", childOf(t, ix, 1))
		}},
		{"a referrer missing", func(r *rig) {
			a, _ := r.servers["one"].Resolve("team/app", "v1")
			r.remove("one", "team/app", r.servers["one"].Referrers("team/app", a.Digest)[0].Digest.String())
		}},
		{"a new referrer", func(r *rig) {
			b := content.Image("b", []content.Blob{content.Layer("base", 5000), content.Layer("lb", 1000)})
			r.load("team/lib", content.Refer(b, "application/x.sbom", "another"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, oneRule, nil)
			r.fill()
			r.pass()
			r.loseState()
			tt.harm(r)
			reports, _ := r.pass()
			r.fine(reports)
			r.equal()
			r.unchanged("mending")
			r.now = r.now.Add(2 * time.Hour)
			r.unchanged("two hours")
		})
	}
}

func (r *rig) remove(server, repo, ref string) {
	r.t.Helper()
	if err := r.servers[server].Remove(repo, ref); err != nil {
		r.t.Fatal(err)
	}
}

// A run brings what refers to an image and not the image; then the target drops what
// no tag holds. The next run does not believe that it is there: a target refuses an
// index without its children, and no image without what refers to it.
func TestReferrersThatEndBeforeTheirImage(t *testing.T) {
	for _, api := range []bool{true, false} {
		r := newRig(t, oneRule, func(name string, q *registrytest.Quirks) { q.NoReferrers = name == "one" && !api })
		a := content.Image("a", []content.Blob{content.Layer("la", 1000)})
		sbom := content.Refer(a, "application/vnd.example.sbom", "sb")
		r.load("team/app", a, "v1")
		r.servers["one"].Before(func(req *http.Request, class registrytest.Class) *registrytest.Fault {
			if class == registrytest.ManifestPut && strings.HasSuffix(req.URL.Path, "/v1") {
				return &registrytest.Fault{Status: 403}
			}
			return nil
		})
		if reports, _ := r.pass(); reports[0].OK() {
			t.Fatalf("%+v", reports)
		}
		r.servers["one"].Before(nil)
		r.remove("one", "team/app", sbom.Digest.String())
		r.later()
		reports, n := r.pass()
		r.fine(reports)
		r.equal()
		if got := n["one"].Of(registrytest.ManifestHead); got > 1 {
			t.Errorf("%d manifests were looked for\n%s", got, n["one"])
		}
	}
}

// childOf returns the digest of an index's i-th child.
func childOf(t *testing.T, m providers.Manifest, i int) string {
	t.Helper()
	c, err := providers.Parse(m)
	if err != nil || len(c.Children) <= i {
		t.Fatalf("no child %d: %v, %+v", i, err, c)
	}
	return c.Children[i].Digest.String()
}

// What a target cannot hold is reported in each pass, and read in none but the
// first after it was learned (I6); when the target can, it is brought.
func TestRefusedIsNotReadAgain(t *testing.T) {
	for _, tt := range []struct {
		name, rule string
		load       func(r *rig)
		allow      func(q *registrytest.Quirks)
	}{
		{"a sparse index", "    platforms: {only: [linux/amd64], mode: sparse}\n", (*rig).fill,
			func(q *registrytest.Quirks) { q.SparseIndex = true }},
		{"schema 1", "", func(r *rig) {
			r.servers["src"].Set(func(q *registrytest.Quirks) { q.Schema1 = true })
			r.load("team/app", content.Schema1("team/app", "v2", []content.Blob{content.Layer("old", 1000)}), "v2")
		}, func(q *registrytest.Quirks) { q.Schema1 = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, oneRule+tt.rule, nil)
			tt.load(r)
			for _, after := range []string{"learning it", "learning it again"} {
				for range 3 { // the third has nothing to learn
					r.refuses("v2")
					r.later()
				}
				if n := r.refuses("v2"); n["src"].Of(registrytest.ManifestGet) != 0 || n["one"].Total() != n["one"].Of(registrytest.Tags) {
					t.Errorf("after %s the source is read, or the target asked\n%s\n%s", after, n["src"], n["one"])
				}
				r.now = r.now.AddDate(0, 0, 8) // what was learned is tried again
			}
			for _, name := range []string{"one", "two"} {
				r.servers[name].Set(tt.allow)
			}
			reports, _ := r.pass()
			r.fine(reports)
			if _, ok := r.servers["one"].Resolve("team/app", "v2"); !ok {
				t.Error("it is not brought though the target takes it now")
			}
			r.later()
			r.unchanged("it was brought")
		})
	}
}

// refuses makes a pass in which both targets refuse one tag, and nothing else fails.
func (r *rig) refuses(tag string) map[string]registrytest.Counts {
	r.t.Helper()
	reports, n := r.pass()
	failures := reports[0].Failures
	if len(failures) != 2 || failures[0].Tag != tag || failures[1].Tag != tag || failures[0].Hint == "" {
		r.t.Errorf("want %s refused by both: %+v", tag, failures)
	}
	return n
}

// A tag that we put, and whose source is now something that the target cannot
// hold, is still ours when the source moves on.
func TestRefusedIsStillOurs(t *testing.T) {
	r := newRig(t, oneRule+"    onConflict: keep\n", nil)
	r.servers["src"].Set(func(q *registrytest.Quirks) { q.Schema1 = true })
	r.load("team/app", content.Image("first", nil), "v2")
	reports, _ := r.pass()
	r.fine(reports)
	r.load("team/app", content.Schema1("team/app", "v2", []content.Blob{content.Layer("old", 1000)}), "v2")
	for range 3 {
		r.refuses("v2")
		r.later()
	}
	r.load("team/app", content.Image("last", nil), "v2")
	reports, _ = r.pass()
	r.fine(reports)
	if reports[0].Figures.Copied != 2 {
		t.Errorf("%+v", reports[0].Figures)
	}
	r.equal()
}
