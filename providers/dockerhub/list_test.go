package dockerhub

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/dockerhub/dockerhubtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// tagsOf reads the rows of a repository into tag -> row.
func tagsOf(t *testing.T, r providers.Registry, repo string) map[string]providers.Row {
	t.Helper()
	rows, err := trial.Collect(r.Rows(t.Context(), repo))
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]providers.Row{}
	for _, row := range rows {
		for _, tag := range row.Tags {
			tags[tag] = row
		}
	}
	return tags
}

// testBulk holds that digests, times and platforms come a hundred a call, with one
// login and one HEAD for the pulls that are left; and that the one tag which the API
// has no digest of comes without.
func testBulk(t *testing.T) {
	s := serve(t, func(o *dockerhubtest.Options) {
		o.Quirks = func(q *dockerhubtest.Quirks) { q.Digestless = map[string]bool{"v7": true} }
	})
	for i := range 120 {
		trial.Load(t, s, "acme/many", anImage(fmt.Sprint(i)), fmt.Sprintf("v%d", i))
	}
	multi := content.Index([]*content.Manifest{anImage("m1"), anImage("m2")})
	trial.Load(t, s, "acme/many", multi, "latest")
	r := asSync(t, s)
	tags := tagsOf(t, r, "acme/many")
	latest := tags["latest"]
	if len(tags) != 121 || latest.Digest != multi.Digest || len(latest.Children) != 2 || latest.Children[1].Digest != anImage("m2").Digest {
		t.Errorf("%d tags, latest is %+v", len(tags), latest)
	}
	if v := tags["v7"]; v.Digest.Hex != "" || len(v.Tags) != 1 {
		t.Errorf("v7 is %+v, want a name", v)
	}
	if v := tags["v8"]; v.Digest != anImage("8").Digest || len(v.Children) != 0 || v.Tagged.IsZero() || time.Since(v.Tagged) > time.Hour {
		t.Errorf("v8 is %+v", v)
	}
	if caps, err := r.Caps(t.Context()); err != nil || !caps.TagDigests || caps.BulkDigests {
		t.Errorf("caps %+v (%v), want the digests of tags alone", caps, err)
	}
	calls, n := s.Calls(), s.Counts()
	if calls["login"] != 1 || calls["tags"] != 2 || n.Of(registrytest.ManifestHead) != 1 || n.Of(registrytest.ManifestGet, registrytest.Tags) != 0 {
		t.Errorf("calls of the API %v, of the registry %v", calls, n.Requests)
	}
}

func TestBulk(t *testing.T) { testBulk(t) }

// TestRepositories holds that a namespace is listed, and what nobody can list.
func TestRepositories(t *testing.T) {
	s := serve(t)
	trial.Load(t, s, "acme/tool", anImage("t"), "v1")
	trial.Load(t, s, "other/app", anImage("t"), "v1")
	s.Configure(func(q *dockerhubtest.Quirks) { q.PageMax = 1 })
	r := open(t, s, "", "")
	for prefix, want := range map[string][]string{"acme": {"acme/app", "acme/tool"}, "acme/t": {"acme/tool"}, "nobody/": nil} {
		if got, err := trial.Collect(r.Repositories(t.Context(), prefix)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v (%v), want %v", prefix, got, err, want)
		}
	}
	_, err := trial.Collect(r.Repositories(t.Context(), ""))
	trial.WantKind(t, err, providers.Unsupported, "begin each pattern of the rule with a namespace")
}

// TestPagesStay holds that no page is fetched from another host.
func TestPagesStay(t *testing.T) {
	s := serve(t)
	trial.Load(t, s, "acme/app", anImage("y"), "v2")
	s.Configure(func(q *dockerhubtest.Quirks) { q.PageMax, q.NextHost = 1, "127.0.0.2:1" })
	_, err := trial.Collect(asSync(t, s).Rows(t.Context(), "acme/app"))
	trial.WantKind(t, err, providers.Invalid, "")
}

// TestOfficial holds that docker's own images are found by their short names.
func TestOfficial(t *testing.T) {
	s := serve(t)
	trial.Load(t, s, "library/alpine", anImage("a"), "3")
	r := open(t, s, "", "")
	if tags := tagsOf(t, r, "alpine"); tags["3"].Digest != anImage("a").Digest {
		t.Errorf("tags %v", tags)
	}
	m, err := r.Manifest(t.Context(), "alpine", "3")
	if err != nil || m.Digest != anImage("a").Digest {
		t.Fatalf("manifest %s, %v", m.Digest, err)
	}
	body, err := r.Open(t.Context(), "alpine", anImage("a").Blobs[0].Descriptor, 0)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	caps, _ := r.Caps(t.Context())
	if caps.Names.Check("alpine") == nil || caps.Names.Check("acme/team/app") == nil || caps.Names.Check("acme/app") != nil {
		t.Errorf("names %+v", caps.Names)
	}
	for _, bad := range []string{"acme/team/app", "a b/c", "../x"} {
		_, err := trial.Collect(r.Rows(t.Context(), bad))
		trial.WantKind(t, err, providers.Invalid, "namespace/name")
	}
}

// TestClosed holds that where the API refuses the credential, the registry's own
// list of tags is used, and that this is said once.
func TestClosed(t *testing.T) {
	s := serve(t, func(o *dockerhubtest.Options) {
		o.Quirks = func(q *dockerhubtest.Quirks) { q.NoLogin = true }
	})
	var log bytes.Buffer
	r := asSync(t, s, func(o *Options) { o.OCI.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 2 {
		if tags := tagsOf(t, r, "acme/app"); len(tags) != 1 || tags["v1"].Digest.Hex != "" {
			t.Errorf("tags %v, want the name of one", tags)
		}
	}
	if n := strings.Count(log.String(), "Hub API is closed"); n != 1 || strings.Contains(log.String(), "dckr_pat_") {
		t.Errorf("said %d times: %s", n, &log)
	}
	if calls := s.Calls(); calls["login"] > 2 || calls["tags"] != 0 {
		t.Errorf("calls of the API %v", calls)
	}
	_, err := trial.Collect(r.Repositories(t.Context(), "acme/"))
	trial.WantKind(t, err, providers.Denied, "access token")
}

// TestClosedNamespace holds that an API which does not tell of one namespace is asked
// about others.
func TestClosedNamespace(t *testing.T) {
	s := serve(t)
	trial.Load(t, s, "closed/app", anImage("c"), "v1")
	s.Configure(func(q *dockerhubtest.Quirks) { q.Closed = map[string]bool{"closed": true} })
	r := open(t, s, "", "")
	for range 2 {
		if tags := tagsOf(t, r, "closed/app"); len(tags) != 1 || tags["v1"].Digest.Hex != "" {
			t.Errorf("tags of the closed one %v, want the name of one", tags)
		}
		if tags := tagsOf(t, r, "acme/app"); len(tags) != 1 || tags["v1"].Digest.Hex == "" {
			t.Errorf("tags of another %v, want a digest", tags)
		}
	}
	if n := s.Calls()["tags"]; n != 3 {
		t.Errorf("%d calls of the API, want one for the closed one and two", n)
	}
}

// TestMirror holds that a registry which is not Docker's own keeps its password to
// itself, and does without the API unless the policy names one.
func TestMirror(t *testing.T) {
	for host, want := range map[string]string{"index.docker.io": "hub.docker.com", "registry-1.docker.io": "hub.docker.com",
		"mirror.example.com": "", "docker.io.example.com": "", "notdocker.io": ""} {
		if got := apiOf(host); got != want {
			t.Errorf("the API of %s is %q, want %q", host, got, want)
		}
	}
	s := serve(t)
	r := asSync(t, s, func(o *Options) { o.API = "" })
	if tags := tagsOf(t, r, "acme/app"); len(tags) != 1 || tags["v1"].Digest.Hex != "" {
		t.Errorf("tags %v, want the name of one", tags)
	}
	_, err := trial.Collect(r.Repositories(t.Context(), "acme/"))
	trial.WantKind(t, err, providers.Unsupported, "apiHost")
	if calls := s.Calls(); calls["login"]+calls["tags"] != 0 {
		t.Errorf("calls of an API: %v", calls)
	}
}

// TestLoginEnds holds that a token of the API that is over is fetched anew.
func TestLoginEnds(t *testing.T) {
	s := serve(t)
	r := asSync(t, s)
	for range 2 {
		if tags := tagsOf(t, r, "acme/app"); len(tags) != 1 {
			t.Errorf("tags %v", tags)
		}
		s.EndLogins()
	}
	if n := s.Calls()["login"]; n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}
