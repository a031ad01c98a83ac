package registrytest

import (
	"bytes"
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
)

// fixture is an index of two images that share a layer, with a referrer.
func fixture() *content.Manifest {
	base := content.Layer("base", 3000)
	ix := content.Index([]*content.Manifest{
		content.Image("amd64", []content.Blob{base, content.Layer("a", 500)}),
		content.Image("arm64", []content.Blob{base, content.Layer("b", 700)}),
	})
	ix.Referrers = []*content.Manifest{content.Image("sbom", nil, content.Subject(ix), content.ArtifactType("application/sbom"))}
	return ix
}

func TestPushAndPull(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s := New(t, Options{Dir: dir})
		c := newClient(t, s)
		ix := fixture()
		c.want(201, c.push("team/app", "v1", ix))
		c.want(201, c.push("team/app", ix.Referrers[0].Digest.String(), ix.Referrers[0]))
		if err := s.Verify("team/app", "v1"); err != nil {
			t.Fatal(err)
		}
		got := c.want(200, c.do("GET", "/v2/team/app/manifests/v1", nil, "Accept: */*"))
		if !bytes.Equal(got.body, ix.Raw) || got.header.Get("Docker-Content-Digest") != ix.Digest.String() {
			t.Errorf("manifest came back as %s, want %s", got.body, ix.Raw)
		}
		layer := content.Layer("base", 3000)
		got = c.want(206, c.do("GET", "/v2/team/app/blobs/"+layer.Digest.String(), nil, "Range: bytes=1000-"))
		want := make([]byte, 2000)
		_, _ = layer.Content.ReadAt(want, 1000)
		if !bytes.Equal(got.body, want) {
			t.Errorf("range from 1000 differs from the layer")
		}
		got = c.want(200, c.do("GET", "/v2/team/app/referrers/"+ix.Digest.String(), nil))
		if !bytes.Contains(got.body, []byte(ix.Referrers[0].Digest.String())) {
			t.Errorf("referrers %s lack the one that was pushed", got.body)
		}
		counts := s.Counts()
		if counts.Digests[layer.Digest.String()].Uploads != 2 || counts.BytesOut != 2000 || counts.Requests[ManifestPut] != 4 {
			t.Errorf("counts are wrong:\n%s", counts)
		}
	}
}

func TestLoadIsWhatAPushIs(t *testing.T) {
	pushed, loaded := New(t, Options{}), New(t, Options{})
	c := newClient(t, pushed)
	ix := fixture()
	c.want(201, c.push("app", "v1", ix))
	c.want(201, c.push("app", ix.Referrers[0].Digest.String(), ix.Referrers[0]))
	if err := loaded.Load("app", ix, "v1"); err != nil {
		t.Fatal(err)
	}
	if n := loaded.Counts(); len(n.Requests) != 0 {
		t.Errorf("loading made requests:\n%s", n)
	}
	for _, pair := range [][2]*Server{{pushed, loaded}, {loaded, pushed}} {
		if err := Equal(pair[0], pair[1], nil); err != nil {
			t.Error(err)
		}
	}
}

func TestMountsAreStrict(t *testing.T) {
	s := New(t, Options{})
	c := newClient(t, s)
	layer := content.Layer("base", 1000)
	if err := s.LoadBlob("lib", layer); err != nil {
		t.Fatal(err)
	}
	mount := func(from string) string {
		return "/v2/app/blobs/uploads/?mount=" + layer.Digest.String() + "&from=" + from
	}
	c.want(202, c.do("POST", mount("other"), nil))
	c.want(404, c.do("HEAD", "/v2/app/blobs/"+layer.Digest.String(), nil))
	c.want(201, c.do("POST", mount("lib"), nil))
	c.want(200, c.do("HEAD", "/v2/app/blobs/"+layer.Digest.String(), nil))
	if n := s.Counts(); n.MountsAccepted != 1 || n.MountsRefused != 1 || n.Requests[Mount] != 2 {
		t.Errorf("counts are wrong:\n%s", n)
	}
}

func TestManifestsAreRefusedWhenIncomplete(t *testing.T) {
	s := New(t, Options{})
	c := newClient(t, s)
	img := content.Image("x", []content.Blob{content.Layer("l", 100)})
	a := c.want(400, c.put("app", "v1", img))
	if !bytes.Contains(a.body, []byte("MANIFEST_BLOB_UNKNOWN")) {
		t.Errorf("refused with %s", a.body)
	}
	c.want(201, c.push("app", "v1", img))
	ix := content.Index([]*content.Manifest{img, content.Image("y", nil)})
	c.want(400, c.put("app", "v2", ix))
	s.Set(func(q *Quirks) { q.SparseIndex = true })
	c.want(201, c.put("app", "v2", ix))
}

func TestBearerTokens(t *testing.T) {
	s := New(t, Options{Quirks: Quirks{Auth: Auth{
		Mode: Bearer, Users: map[string]string{"ann": "secret"},
		Grants: map[string][]Grant{"ann": {{Repositories: "team/*", Actions: []string{"pull"}}}},
	}}})
	c := newClient(t, s)
	a := c.want(401, c.do("GET", "/v2/team/app/tags/list", nil))
	want := `Bearer realm="` + s.TokenURL() + `",service="registrytest",scope="repository:team/app:pull"`
	if got := a.header.Get("Www-Authenticate"); got != want {
		t.Errorf("challenge\n got %s\nwant %s", got, want)
	}
	c.want(401, c.do("GET", s.TokenURL()+"?scope=repository:team/app:pull", nil, "Authorization: "+basic("ann", "wrong")))
	tok := c.token(s.TokenURL()+"?scope=repository:team/app:pull,push&scope=repository:other:pull", "Authorization: "+basic("ann", "secret"))
	bearer := "Authorization: Bearer " + tok
	c.want(404, c.do("GET", "/v2/team/app/tags/list", nil, bearer))
	c.want(401, c.do("GET", "/v2/other/tags/list", nil, bearer))
	c.want(401, c.do("POST", "/v2/team/app/blobs/uploads/", nil, bearer))
	s.ExpireTokens()
	c.want(401, c.do("GET", "/v2/team/app/tags/list", nil, bearer))
	if n := s.Counts(); n.Requests[Token] != 2 || n.Total() != 5 {
		t.Errorf("counts are wrong:\n%s", n)
	}
}
