package replicator

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The engine over Azure Container Registry: emulated, with every refusal on, and
// signed in to by the real SDK.

// An acrRig is one ACR and another, of one tenant.
type acrRig struct {
	*rig
	acrs map[string]*acrtest.Server
	app  acrtest.App
}

func newACRRig(t *testing.T, quirks func(*acrtest.Quirks), wire func(*registrytest.Quirks), change func(*acr.Options)) *acrRig {
	t.Helper()
	entra := acrtest.StartEntra()
	t.Cleanup(entra.Close)
	app := entra.App("sync")
	r := &acrRig{acrs: map[string]*acrtest.Server{}, app: app, rig: &rig{t: t, now: time.Now(),
		servers: map[string]*registrytest.Server{}, clients: map[string]providers.Registry{}}}
	text := "registries:\n"
	for _, name := range []string{"src", "one"} {
		s := acrtest.New(t, acrtest.Options{Entra: entra, Wire: wire, Quirks: func(q *acrtest.Quirks) {
			q.Reads, q.Writes = 0, 0 // what is counted here are requests, not how long they may take
			if quirks != nil {
				quirks(q)
			}
		}})
		s.Assign(app.ClientID, acrtest.AcrPush)
		o := acr.Options{Endpoints: acr.Endpoints{Authority: entra.URL()},
			Identity: acr.Identity{TenantID: app.Tenant, ClientID: app.ClientID, ClientSecret: func() (string, error) { return app.Secret, nil }},
			OCI: oci.Options{Host: s.Host(), PlainHTTP: true, Push: name == "one", TLS: oci.TLS{CAPEM: entra.CA()},
				Quotas: map[string]providers.Rate{"ReadOps": {N: 1e6, Per: time.Second}, "WriteOps": {N: 1e6, Per: time.Second}}}}
		o.ResourceID, o.Endpoints.Manager = s.ResourceID(), s.Manager()
		if change != nil {
			change(&o)
		}
		reg, err := acr.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reg.Close() })
		r.acrs[name], r.servers[name], r.clients[name] = s, s.Server, reg
		text += fmt.Sprintf("  %s: {host: \"%s\", plainHTTP: true, provider: oci}\n", name, s.Host())
	}
	set, err := policy.Parse("test.yaml", []byte(text+"rules:\n  - {name: all, from: {registry: src}, to: [{registry: one}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.set = set
	r.openState(filepath.Join(t.TempDir(), "state.db"))
	return r
}

func (r *acrRig) same() {
	r.t.Helper()
	if err := registrytest.Equal(r.servers["src"], r.servers["one"], nil); err != nil {
		r.t.Error(err)
	}
}

// TestACRUnchanged: a pass over tags that did not change makes no request for any
// of them: a call for each repository and each further thousand manifests, per
// side, and tokens for tens of repositories. By default 1,000 tags in 20
// repositories, with TRANSSHIP_LONG=1 100,000 in 1,000.
func TestACRUnchanged(t *testing.T) {
	repos, tags := scale(20, 1000), scale(50, 100)
	r := newACRRig(t, nil, nil, nil)
	for i := range repos {
		repo := fmt.Sprintf("team-%02d/app-%04d", i%20, i)
		base := content.Layer(repo, 100)
		for j := range tags / 2 {
			m := content.Image(fmt.Sprint(repo, j), []content.Blob{base})
			for _, s := range r.servers {
				if err := s.Load(repo, m, fmt.Sprint("v", j), fmt.Sprint("w", j)); err != nil {
					t.Fatal(err)
				}
			}
		}
		sig := content.Image("sig", nil, content.Subject(content.Image(fmt.Sprint(repo, 0), []content.Blob{base})))
		for _, s := range r.servers {
			if err := s.Load(repo, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	reports, _ := r.pass() // both sides are the same; state learns so, and reads what has no tag
	r.fine(reports)
	r.now = r.now.Add(time.Minute)
	for name, s := range r.acrs {
		t.Logf("%s, first pass: %v", name, s.Calls())
		if n := s.Calls()["token"]; n > int64(repos/20+2) {
			t.Errorf("%s: %d tokens for %d repositories", name, n, repos)
		}
		s.ResetCalls()
	}
	start := time.Now()
	reports, counts := r.pass()
	r.fine(reports)
	t.Logf("%d tags in %d repositories, unchanged: %v", repos*tags, repos, time.Since(start))
	for name, s := range r.acrs {
		calls, n := s.Calls(), counts[name]
		t.Logf("%s: %v", name, calls)
		if calls["manifests"]+calls["tags"] > int64(repos) || calls["catalog"] > int64(repos/1000+1) || name == "one" && calls["catalog"] > 0 || calls["token"] > 1 || n.Total() != n.Of(registrytest.Other) {
			t.Errorf("%s: %v\n%s", name, calls, n)
		}
	}
	r.oneMore()
}

// TestACRFirstCopy: repositories that are yet to be made share tokens, too. (Mounts
// from a repository of another lot take a token each, and are not in this one.)
func TestACRFirstCopy(t *testing.T) {
	r := newACRRig(t, nil, nil, nil)
	const repos = 60
	for i := range repos {
		r.load(fmt.Sprintf("app-%02d", i), content.Image(fmt.Sprint(i), []content.Blob{content.Layer(fmt.Sprint("own", i), 100)}), "v1")
	}
	reports, _ := r.pass()
	r.fine(reports)
	r.same()
	for name, s := range r.acrs {
		calls := s.Calls()
		t.Logf("%s: %v", name, calls)
		if calls["token"] > repos/20+2 {
			t.Errorf("%s: %d tokens for %d repositories", name, calls["token"], repos)
		}
	}
}

// oneMore adds one tag and one signature on an old image: they cost the lists, and
// what they need.
func (r *acrRig) oneMore() {
	r.t.Helper()
	const repo = "team-01/app-0001"
	old := content.Image(fmt.Sprint(repo, 1), []content.Blob{content.Layer(repo, 100)})
	r.load(repo, content.Image("new", []content.Blob{content.Layer(repo, 100)}), "new")
	r.load(repo, content.Image("new sig", nil, content.Subject(old)))
	reports, counts := r.pass()
	r.fine(reports)
	r.same()
	src, one := counts["src"], counts["one"]
	if src.Of(registrytest.ManifestHead, registrytest.Tags, registrytest.Referrers) != 0 || src.Of(registrytest.ManifestGet) > 3 || one.Of(registrytest.ManifestPut) != 2 {
		r.t.Errorf("one tag and one signature more:\n%s\n%s", src, one)
	}
}

// TestACRLongCopy: a copy that lasts longer than the access tokens and the refresh
// tokens of both sides goes on without a failure and without a second read.
func TestACRLongCopy(t *testing.T) {
	life := time.Duration(scale(1500, 3000)) * time.Millisecond // a busy machine takes a second for a request
	r := newACRRig(t, func(q *acrtest.Quirks) { q.AccessLife, q.RefreshLife = life, 2*life },
		func(q *registrytest.Quirks) { q.BytesPerSecond = 1200 << 10 },
		func(o *acr.Options) { o.OCI.Limits.Start, o.OCI.Limits.Max = 1, 1 }) // one request after the other
	var unique int64
	for i := range scale(4, 15) {
		m := content.Image(fmt.Sprint(i), []content.Blob{content.Layer(fmt.Sprint("layer ", i), 1<<20)})
		r.load("team/app", m, fmt.Sprint("v", i))
		for _, b := range m.Blobs {
			unique += b.Size
		}
	}
	reports, counts := r.pass()
	r.fine(reports)
	r.same()
	if n := counts["src"].BytesOut; n != unique {
		t.Errorf("%d bytes were read of %d", n, unique)
	}
	if n := counts["one"].BytesIn; n != unique {
		t.Errorf("%d bytes were written of %d", n, unique)
	}
	for name, s := range r.acrs {
		calls := s.Calls()
		t.Logf("%s: %v", name, calls)
		if calls["token"] < 3 || calls["exchange"] < 2 {
			t.Errorf("the copy did not outlast the tokens: %v", calls)
		}
	}
}

// TestACRLocked: a tag that is locked at the target stays, is told of with how to
// unlock it, and holds nothing else up; with the same digest it is fine.
func TestACRLocked(t *testing.T) {
	r := newACRRig(t, nil, nil, nil)
	locked, other := content.Image("old", nil), content.Image("other", nil)
	if err := r.servers["one"].Load("app", locked, "v1", "same"); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1", "same"} {
		r.acrs["one"].Lock("app", tag, func(l *acrtest.Lock) { l.Write = false })
	}
	r.load("app", content.Image("new", nil), "v1")
	r.load("app", locked, "same")
	r.load("app", other, "v2")
	reports, counts := r.pass()
	failures := ""
	for _, rep := range reports {
		failures += fmt.Sprintf("%+v", rep.Failures)
	}
	if got := r.servers["one"].Tags("app"); got["v2"] != other.Digest || got["v1"] != locked.Digest || got["same"] != locked.Digest {
		t.Errorf("the target has %v", got)
	}
	if !strings.Contains(failures, "--image app:v1 --write-enabled true") || strings.Contains(failures, "app:same") {
		t.Errorf("failures: %s", failures)
	}
	if n := counts["one"].Status[405]; n != 1 {
		t.Errorf("a locked tag was tried %d times", n)
	}
}

// TestACRGeoReplicas: a target whose two regions take requests in turn lacks for a
// while, at one of them, what the other was given. That fails images, with how to
// avoid it, and nothing else; once the regions agree all is there.
func TestACRGeoReplicas(t *testing.T) {
	r := newACRRig(t, nil, nil, nil)
	r.acrs["one"].Configure(func(q *acrtest.Quirks) { q.GeoLag = time.Hour })
	r.fill()
	for i := range 20 { // of one image all may come to one region, by chance
		name := fmt.Sprint("geo", i)
		r.load("team/geo", content.Image(name, []content.Blob{content.Layer(name+"a", 100), content.Layer(name+"b", 100), content.Layer(name+"c", 100)}), name)
	}
	reports, _ := r.pass()
	failed := 0
	for _, rep := range reports {
		for _, f := range rep.Failures {
			failed++
			if f.Kind != providers.Incomplete || !strings.Contains(f.Hint, "regional endpoint") {
				t.Errorf("%+v", f)
			}
		}
	}
	t.Logf("%d images failed", failed)
	if failed == 0 {
		t.Error("the regions had everything at once")
	}
	r.acrs["one"].Configure(func(q *acrtest.Quirks) { q.GeoLag = time.Nanosecond })
	r.now = r.now.Add(time.Minute)
	reports, _ = r.pass()
	r.fine(reports)
	r.same()
}
