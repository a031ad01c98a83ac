package replicator

import (
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The bars of the first sync, on the corpus of the measured peers: requests
// within 1.05 of the minimum, bytes read within 1.02.
func TestBaselineCorpus(t *testing.T) {
	r := newRig(t, oneRule, nil)
	corpus := content.Baseline(1, 0.002)
	if err := r.servers["src"].LoadCorpus(corpus); err != nil {
		t.Fatal(err)
	}
	min := corpus.Shape()
	reports, n := r.pass()
	r.fine(reports)
	r.equal()
	src := n["src"]
	most := func(side string, got int64, least int, by float64) {
		t.Helper()
		t.Logf("%s: %d, %.3f of the minimum %d", side, got, float64(got)/float64(least), least)
		if float64(got) > by*float64(least) {
			t.Errorf("%s: %d is %.3f of the minimum %d", side, got, float64(got)/float64(least), least)
		}
	}
	most("source requests", src.Total(), min.Source(), 1.05)
	most("source bytes", src.BytesOut, int(min.UniqueBytes), 1.02)
	for _, name := range []string{"one", "two"} {
		most("target requests "+name, n[name].Total(), min.Target(), 1.05)
		t.Logf("target bytes %s: %.3f of the minimum", name, float64(n[name].BytesIn)/float64(min.UniqueBytes))
	}
	_, n = r.pass()
	tags := 0
	for _, repo := range r.servers["src"].Repositories() {
		tags += len(r.servers["src"].Tags(repo))
	}
	if got := n["src"].Total() - n["src"].Of(registrytest.Tags); got != int64(tags) || n["src"].Of(registrytest.ManifestHead) != got {
		t.Errorf("no change: %d requests for %d tags\n%s", got, tags, n["src"])
	}
	if got := n["one"].Total() - n["one"].Of(registrytest.Tags); got != 0 {
		t.Errorf("no change: %d requests at a target\n%s", got, n["one"])
	}
	r.now = r.now.Add(2 * time.Hour)
	_, n = r.pass()
	if n["src"].Of(registrytest.ManifestGet) != 0 || n["one"].Writes() != 0 || n["src"].Of(registrytest.Referrers) == 0 {
		t.Errorf("rechecks:\n%s\n%s", n["src"], n["one"])
	}
}

// One thing that is wrong fails its own image only (I5).
func TestBadContent(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(s *registrytest.Server) error
		want map[string]bool // tags of team/app at the target afterwards
		fail bool
	}{
		{"a child is missing", func(s *registrytest.Server) error {
			m, _ := s.Resolve("team/lib", "v1")
			return s.Remove("team/app", m.Digest.String())
		}, map[string]bool{"v1": true, "latest": true, "v2": false}, true},
		{"a tag is listed and not there", func(s *registrytest.Server) error {
			s.Set(func(q *registrytest.Quirks) { q.GhostTags = []string{"ghost"} })
			return nil
		}, map[string]bool{"v1": true, "latest": true, "v2": true, "ghost": false}, false},
		{"a manifest is damaged", func(s *registrytest.Server) error {
			return s.CorruptManifest("team/app", "v2")
		}, map[string]bool{"v1": true, "latest": true, "v2": false}, true},
		{"a blob is gone", func(s *registrytest.Server) error {
			return s.DeleteBlob("team/app", content.Layer("la", 1000).Digest)
		}, map[string]bool{"v1": false, "latest": false, "v2": false}, true},
		{"a referrer is listed and gone", func(s *registrytest.Server) error {
			a, _ := s.Resolve("team/app", "v1")
			gone := content.Image("gone", nil, content.Subject(&content.Manifest{Manifest: a}))
			return s.LoadManifest("team/app", content.Index([]*content.Manifest{gone}).Manifest, providers.FallbackTag(a.Digest))
		}, map[string]bool{"v1": true, "latest": true, "v2": true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, oneRule, nil)
			r.fill()
			if err := tt.harm(r.servers["src"]); err != nil {
				t.Fatal(err)
			}
			reports, _ := r.pass()
			if len(reports) != 2 || reports[0].Key != "run/src/team/app" {
				t.Fatalf("reports: %+v", reports)
			}
			if got := len(reports[0].Failures) > 0; got != tt.fail || reports[0].Err != nil {
				t.Errorf("failures: %+v, %v", reports[0].Failures, reports[0].Err)
			}
			for tag, there := range tt.want {
				if _, ok := r.servers["one"].Resolve("team/app", tag); ok != there {
					t.Errorf("tag %s at the target: %v, want %v", tag, ok, there)
				}
			}
			for tag := range r.servers["one"].Tags("team/app") {
				if err := r.servers["one"].Verify("team/app", tag); err != nil {
					t.Errorf("I1: %s: %v", tag, err)
				}
			}
		})
	}
}

// A job with hints looks at those tags only, and lists no target.
func TestHints(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	r.pass()
	r.load("team/app", content.Image("c", []content.Blob{content.Layer("lc", 500)}), "v1")
	job := r.jobs()[0]
	job.Hints = []string{"v1", "not-there-yet"}
	before, at := r.servers["one"].Counts(), r.servers["src"].Counts()
	rep, err := r.Run(t.Context(), job)
	if err != nil || !rep.OK() {
		t.Fatalf("%+v, %v", rep, err)
	}
	one, src := r.servers["one"].Counts().Sub(before), r.servers["src"].Counts().Sub(at)
	if one.Of(registrytest.Tags) != 0 || one.Of(registrytest.ManifestPut) != 1 {
		t.Errorf("target:\n%s", one)
	}
	if got := src.Of(registrytest.ManifestHead, registrytest.ManifestGet); got > 4 {
		t.Errorf("source:\n%s", src)
	}
}

// minAge counts from the first sight of a tag with its digest.
func TestMinAge(t *testing.T) {
	r := newRig(t, oneRule+"    tags: {minAge: 1h}\n", nil)
	r.fill()
	reports, _ := r.pass()
	r.fine(reports)
	if got := len(r.servers["one"].Tags("team/app")); got != 0 {
		t.Fatalf("%d tags are there too early", got)
	}
	r.now = r.now.Add(61 * time.Minute)
	reports, _ = r.pass()
	r.fine(reports)
	r.equal()
	r.load("team/lib", content.Image("c", []content.Blob{content.Layer("lc", 500)}), "v1")
	reports, n := r.pass()
	r.fine(reports)
	if n["one"].Writes() != 0 {
		t.Error("a tag that has just moved was brought")
	}
}

// Two rules that want one target tag with different content get neither, and the
// rest goes on.
func TestCollision(t *testing.T) {
	r := newRig(t, `
rules:
  - name: all
    from: {registry: src}
    to: [{registry: one, repository: "mirror"}]
`, nil)
	r.fill()
	jobs := r.jobs()
	if len(jobs) != 1 || len(jobs[0].Links) != 2 {
		t.Fatalf("jobs: %+v", jobs)
	}
	reports, _ := r.pass()
	if len(reports[0].Failures) != 2 || reports[0].Failures[0].Tag != "v1" {
		t.Errorf("failures: %+v", reports[0].Failures)
	}
	if _, ok := r.servers["one"].Resolve("mirror", "v2"); !ok {
		t.Error("what does not collide was not brought")
	}
}

// A sparse index at a target that takes it, and a rewritten one.
func TestPlatforms(t *testing.T) {
	for _, mode := range []string{"sparse", "rewrite"} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t, oneRule+"    platforms: {only: [linux/amd64], mode: "+mode+"}\n", func(name string, q *registrytest.Quirks) {
				q.SparseIndex = mode == "sparse"
			})
			r.fill()
			reports, _ := r.pass()
			r.fine(reports)
			if _, ok := r.servers["one"].Resolve("team/app", "v2"); !ok {
				t.Error("the index is not there")
			}
			reports, n := r.pass()
			r.fine(reports)
			if n["one"].Total() != 2 || n["src"].Of(registrytest.ManifestGet) != 0 {
				t.Errorf("no change:\n%s\n%s", n["src"], n["one"])
			}
		})
	}
}
