package replicator

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// A rig is a source, two targets, state and an engine on loopback.
type rig struct {
	*Engine
	t       *testing.T
	set     *policy.Set
	servers map[string]*registrytest.Server
	clients map[string]providers.Registry
	state   state.Store
	now     time.Time
	opts    Options
}

func newRig(t *testing.T, rules string, change func(name string, q *registrytest.Quirks)) *rig {
	t.Helper()
	r := &rig{t: t, servers: map[string]*registrytest.Server{}, clients: map[string]providers.Registry{}, now: time.Now()}
	text := "registries:\n"
	for _, name := range []string{"src", "one", "two"} {
		var q registrytest.Quirks
		if change != nil {
			change(name, &q)
		}
		s := registrytest.New(t, registrytest.Options{Quirks: q})
		r.servers[name] = s
		reg, err := oci.New(oci.Options{Host: s.Host(), PlainHTTP: true, Retry: oci.Retry{Tries: 2, Min: time.Millisecond, Max: time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reg.Close() })
		r.clients[name] = reg
		text += fmt.Sprintf("  %s: {host: \"%s\", plainHTTP: true, provider: oci}\n", name, s.Host())
	}
	set, err := policy.Parse("test.yaml", []byte(text+rules))
	if err != nil {
		t.Fatal(err)
	}
	r.set = set
	r.openState(filepath.Join(t.TempDir(), "state.db"))
	return r
}

// openState begins again with the state at path.
func (r *rig) openState(path string) {
	r.t.Helper()
	st, err := sqlite.Open(r.t.Context(), path, sqlite.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { st.Close() })
	r.state = st
	r.opts = Options{
		Policy: r.set, State: st, Now: func() time.Time { return r.now },
		Registries: func(name string) (providers.Registry, error) {
			if c := r.clients[name]; c != nil {
				return c, nil
			}
			return nil, fmt.Errorf("no registry %q", name)
		},
		Transfer: transfer.Options{SpoolDir: r.t.TempDir(), SpoolBytes: 1 << 30},
	}
	e, err := New(r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { e.Close() })
	r.Engine = e
}

func (r *rig) jobs() []Job {
	r.t.Helper()
	jobs, problems, err := r.Expand(r.t.Context(), r.set.Rules, nil)
	if err != nil || len(problems) > 0 {
		r.t.Fatalf("expand: %v, %v", err, problems)
	}
	return jobs
}

// pass runs everything and returns the requests at each server.
func (r *rig) pass() ([]Report, map[string]registrytest.Counts) {
	r.t.Helper()
	jobs := r.jobs()
	before := map[string]registrytest.Counts{}
	for name, s := range r.servers {
		before[name] = s.Counts()
	}
	reports, err := r.RunAll(r.t.Context(), "test", jobs, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	counts := map[string]registrytest.Counts{}
	for name, s := range r.servers {
		counts[name] = s.Counts().Sub(before[name])
	}
	return reports, counts
}

// fine fails the test unless every report is fine.
func (r *rig) fine(reports []Report) {
	r.t.Helper()
	for _, rep := range reports {
		if !rep.OK() {
			r.t.Errorf("%s: err %v, interrupted %v, failures %+v", rep.Key, rep.Err, rep.Interrupted, rep.Failures)
		}
	}
}

// equal fails the test unless both targets hold what the source holds.
func (r *rig) equal() {
	r.t.Helper()
	for _, name := range []string{"one", "two"} {
		if err := registrytest.Equal(r.servers["src"], r.servers[name], func(repo string) string { return repo }); err != nil {
			r.t.Errorf("target %s: %v", name, err)
		}
	}
}

func (r *rig) load(repo string, m *content.Manifest, tags ...string) {
	r.t.Helper()
	if err := r.servers["src"].Load(repo, m, tags...); err != nil {
		r.t.Fatal(err)
	}
}

const oneRule = `
rules:
  - name: all
    from: {registry: src}
    to: [{registry: one}, {registry: two}]
`

// fill loads six kinds of content into two repositories.
func (r *rig) fill() {
	base := content.Layer("base", 5000)
	a := content.Image("a", []content.Blob{base, content.Layer("la", 1000)})
	b := content.Image("b", []content.Blob{base, content.Layer("lb", 1000)})
	ix := content.Index([]*content.Manifest{a, b})
	r.load("team/app", a, "v1", "latest")
	r.load("team/app", ix, "v2")
	sbom := content.Image("sbom", []content.Blob{content.Layer("sb", 100)}, content.Subject(a))
	r.load("team/app", sbom)
	att := content.Image("att", []content.Blob{content.Layer("at", 100)}, content.Subject(sbom))
	r.load("team/app", att)
	sig := content.Image("sig", []content.Blob{content.Layer("sg", 100)})
	r.load("team/app", sig, providers.FallbackTag(a.Digest)+".sig")
	r.load("team/lib", b, "v1")
}

func TestFirstSync(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	reports, n := r.pass()
	r.fine(reports)
	r.equal()
	src := n["src"]
	// team/app: 4 tags, child b, sbom, att; team/lib: 1 tag.
	if got, want := src.Of(registrytest.ManifestGet), int64(8); got != want {
		t.Errorf("manifest GETs at the source: %d, want %d\n%s", got, want, src)
	}
	if got := src.Of(registrytest.ManifestHead); got != 0 {
		t.Errorf("%d manifest HEADs at the source\n%s", got, src)
	}
	// a, ix, sbom, att, sig; b in team/lib.
	if got, want := src.Of(registrytest.Referrers), int64(6); got != want {
		t.Errorf("referrers asked %d times, want %d", got, want)
	}
	if got, want := src.Of(registrytest.Tags), int64(2); got != want {
		t.Errorf("tags listed %d times, want %d", got, want)
	}
	for _, name := range []string{"one", "two"} {
		if got := n[name].Of(registrytest.ManifestHead, registrytest.ManifestGet); got != 0 {
			t.Errorf("target %s was asked %d times\n%s", name, got, n[name])
		}
	}
}

func TestNoChange(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	r.pass()
	reports, n := r.pass()
	r.fine(reports)
	src := n["src"]
	if got, want := src.Total(), int64(5+2); got != want || src.Of(registrytest.ManifestHead) != 5 {
		t.Errorf("source was asked %d times, want %d\n%s", got, want, src)
	}
	for _, name := range []string{"one", "two"} {
		if got, want := n[name].Total(), int64(2); got != want {
			t.Errorf("target %s was asked %d times, want %d\n%s", name, got, want, n[name])
		}
	}
}

func TestNoChangeImmutable(t *testing.T) {
	r := newRig(t, oneRule+"    immutableTags: [\"**\"]\n", nil)
	r.fill()
	r.pass()
	_, n := r.pass()
	if got, want := n["src"].Total(), int64(2); got != want {
		t.Errorf("source was asked %d times, want %d\n%s", got, want, n["src"])
	}
}

// With rechecks due, tags are looked at by HEAD and referrers are asked for.
func TestRechecks(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	r.pass()
	r.now = r.now.Add(25 * time.Hour)
	reports, n := r.pass()
	r.fine(reports)
	if got := n["src"].Of(registrytest.ManifestGet); got != 0 {
		t.Errorf("%d manifests were read\n%s", got, n["src"])
	}
	if got := n["src"].Of(registrytest.Referrers); got == 0 {
		t.Error("no referrers were asked for")
	}
	if got, want := n["one"].Of(registrytest.ManifestHead), int64(5); got != want {
		t.Errorf("%d tags were verified, want %d\n%s", got, want, n["one"])
	}
	if n["one"].Writes() != 0 {
		t.Errorf("target was written to\n%s", n["one"])
	}
	if _, n = r.pass(); n["one"].Total() != 2 || n["src"].Of(registrytest.Referrers) != 0 {
		t.Errorf("what was verified is verified again\n%s\n%s", n["one"], n["src"])
	}
}

// State is a memory and not the truth (I4).
func TestLostState(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	r.pass()
	r.openState(filepath.Join(t.TempDir(), "another.db"))
	reports, n := r.pass()
	r.fine(reports)
	r.equal()
	if n["one"].Writes() != 0 || n["src"].BytesOut != 0 {
		t.Errorf("what is there was written again\n%s\n%s", n["one"], n["src"])
	}
	_, n = r.pass()
	if got, want := n["one"].Total(), int64(2); got != want {
		t.Errorf("after finding all again: %d requests, want %d\n%s", got, want, n["one"])
	}
}

func TestNoReferrersAPI(t *testing.T) {
	r := newRig(t, oneRule, func(_ string, q *registrytest.Quirks) { q.NoReferrers = true })
	r.fill()
	a, _ := r.servers["src"].Resolve("team/app", "v1")
	sbom := content.Image("sbom", []content.Blob{content.Layer("sb", 100)}, content.Subject(&content.Manifest{Manifest: a}))
	list := content.Index([]*content.Manifest{sbom})
	if err := r.servers["src"].LoadManifest("team/app", list.Manifest, providers.FallbackTag(a.Digest)); err != nil {
		t.Fatal(err)
	}
	reports, n := r.pass()
	r.fine(reports)
	if got := n["src"].Of(registrytest.Referrers); got > 32 {
		t.Errorf("an API that is not there was asked %d times", got)
	}
	if _, ok := r.servers["one"].Resolve("team/app", sbom.Digest.String()); !ok {
		t.Error("the referrer was not brought")
	}
	if _, ok := r.servers["one"].Resolve("team/app", providers.FallbackTag(a.Digest)); !ok {
		t.Error("the target has no fallback index")
	}
	reports, n = r.pass()
	r.fine(reports)
	if n["src"].Of(registrytest.Referrers, registrytest.ManifestGet) != 0 || n["one"].Total() != 2 {
		t.Errorf("asked again\n%s\n%s", n["src"], n["one"])
	}
}

func TestNewSignature(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	r.pass()
	b, _ := r.servers["src"].Resolve("team/lib", "v1")
	r.load("team/lib", content.Image("sig2", []content.Blob{content.Layer("s2", 50)}), providers.FallbackTag(b.Digest)+".sig")
	reports, _ := r.pass()
	r.fine(reports)
	r.equal()
}

func TestMovedTag(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	r.pass()
	r.load("team/lib", content.Image("c", []content.Blob{content.Layer("lc", 500)}), "v1")
	reports, n := r.pass()
	r.fine(reports)
	r.equal()
	if got := n["one"].Of(registrytest.ManifestPut); got != 1 {
		t.Errorf("%d manifests put, want 1", got)
	}
}

// A target that is down fails its own plans only (I5).
func TestOneTargetDown(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	jobs := r.jobs()
	r.servers["two"].Close()
	reports, err := r.RunAll(t.Context(), "test", jobs, nil)
	if err != nil {
		t.Fatal(err)
	}
	if reports[0].OK() || len(reports[0].Failures) != 1 || reports[0].Failures[0].Target.Registry != "two" {
		t.Errorf("failures: %+v", reports[0].Failures)
	}
	if err := registrytest.Equal(r.servers["src"], r.servers["one"], func(repo string) string { return repo }); err != nil {
		t.Error(err)
	}
	if passes, err := r.state.Passes(context.Background(), "all", 1); err != nil || passes[0].Outcome != state.Partly {
		t.Errorf("passes: %+v, %v", passes, err)
	}
}

func TestCheck(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.fill()
	r.pass()
	for _, deep := range []bool{false, true} {
		for _, job := range r.jobs() {
			rep, err := r.Check(t.Context(), job, deep)
			if err != nil || !rep.OK() || rep.Right != rep.Tags || rep.Tags == 0 || deep != (rep.Bytes > 0) {
				t.Errorf("deep %v: %+v, %v", deep, rep, err)
			}
		}
	}
}

func TestCheckFinds(t *testing.T) {
	layer := content.Layer("la", 1000)
	for _, tt := range []struct {
		name string
		deep bool
		harm func(s *registrytest.Server) error
		want int // failures
	}{
		{"a blob is missing", false, func(s *registrytest.Server) error { return s.DeleteBlob("team/app", layer.Digest) }, 3},
		{"a blob is damaged", true, func(s *registrytest.Server) error { return s.CorruptBlob(layer.Digest, 10) }, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, oneRule, nil)
			r.fill()
			r.pass()
			if err := tt.harm(r.servers["one"]); err != nil {
				t.Fatal(err)
			}
			rep, err := r.Check(t.Context(), r.jobs()[0], tt.deep)
			if err != nil || len(rep.Failures) != tt.want {
				t.Errorf("%+v, %v", rep, err)
			}
		})
	}
}

func TestAdopt(t *testing.T) {
	r := newRig(t, oneRule+"    onConflict: keep\n", nil)
	r.fill()
	if err := r.servers["one"].Load("team/lib", content.Image("other", nil), "v1"); err != nil {
		t.Fatal(err)
	}
	reports, _ := r.pass()
	if reports[1].Figures.Kept != 1 {
		t.Fatalf("kept: %+v", reports[1].Figures)
	}
	list, err := r.Adopt(t.Context(), r.jobs()[1])
	if err != nil || len(list) != 1 || list[0].Target.Registry != "one" {
		t.Fatalf("adopted %v, %v", list, err)
	}
	reports, _ = r.pass()
	r.fine(reports)
	r.equal()
}
