package registrytest

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
)

func TestListingQuirks(t *testing.T) {
	s := New(t, Options{})
	c := newClient(t, s)
	if err := s.LoadCorpus(content.Many(2, 5)); err != nil {
		t.Fatal(err)
	}
	const path = "/v2/many/app-000/tags/list"
	for _, tt := range []struct {
		name, query  string
		quirks       Listing
		status       int
		tags, linked string
	}{
		{"all", "", Listing{}, 200, "v0 v1 v2 v3 v4", ""},
		{"default page", "", Listing{PageDefault: 2}, 200, "v0 v1", "<" + path + "?last=v1&n=2>"},
		{"larger page", "?n=4", Listing{PageDefault: 2}, 200, "v0 v1 v2 v3", "<" + path + "?last=v3&n=4>"},
		{"cut down", "?n=4", Listing{PageMax: 3}, 200, "v0 v1 v2", "<" + path + "?last=v2&n=3>"},
		{"refused", "?n=4", Listing{PageMax: 3, RefuseOverMax: true}, 405, "", ""},
		{"last page", "?n=3&last=v2", Listing{}, 200, "v3 v4", ""},
		{"no link", "?n=3", Listing{NoLink: true}, 200, "v0 v1 v2", ""},
		{"absolute", "?n=3", Listing{AbsoluteLink: true}, 200, "v0 v1 v2", "<" + s.URL() + path + "?last=v2&n=3>"},
		{"trailing", "?n=2&last=v2", Listing{TrailingLink: true}, 200, "v3 v4", "<" + path + "?last=v4&n=2>"},
		{"ignored", "?n=3&last=v2", Listing{IgnorePaging: true}, 200, "v0 v1 v2 v3 v4", ""},
		{"same page", "?n=2&last=v3", Listing{SamePage: true}, 200, "v0 v1", "<" + path + "?last=v1&n=2>"},
		{"reverse", "?n=2&last=v3", Listing{Order: Reverse}, 200, "v2 v1", "<" + path + "?last=v1&n=2>"},
		{"ghosts", "", Listing{GhostTags: []string{"gone"}}, 200, "gone v0 v1 v2 v3 v4", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.Set(func(q *Quirks) { q.Listing = tt.quirks })
			a := c.want(tt.status, c.do("GET", path+tt.query, nil))
			if tt.status != 200 {
				return
			}
			want := `"tags":["` + strings.ReplaceAll(tt.tags, " ", `","`) + `"]`
			if link, _, _ := strings.Cut(a.header.Get("Link"), ";"); link != tt.linked || !bytes.Contains(a.body, []byte(want)) {
				t.Errorf("got %s, link %s; want %s, %s", a.body, link, want, tt.linked)
			}
		})
	}
	c.want(404, c.do("GET", "/v2/many/app-000/manifests/gone", nil, "Accept: */*"))
	s.Set(func(q *Quirks) { q.NoCatalog = true })
	c.want(404, c.do("GET", "/v2/_catalog", nil))
	s.Set(func(q *Quirks) { q.CatalogStatus = 401 })
	c.want(401, c.do("GET", "/v2/_catalog", nil))
}

func TestManifestQuirks(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{})
	ix := fixture()
	if err := c.s.Load("app", ix, "ix"); err != nil {
		t.Fatal(err)
	}
	head := func(q Manifests) string {
		c.s.Set(func(all *Quirks) { all.Manifests = q })
		return c.want(200, c.do("HEAD", "/v2/app/manifests/ix", nil, "Accept: */*")).header.Get("Docker-Content-Digest")
	}
	right := ix.Digest.String()
	if got := head(Manifests{}); got != right {
		t.Errorf("digest %s, want %s", got, right)
	}
	if got := head(Manifests{NoDigestHeader: true}); got != "" {
		t.Errorf("digest %s without one", got)
	}
	for _, q := range []Manifests{{WrongDigestHeader: true}, {HeadDisagrees: true}} {
		if got := head(q); got == right || got == "" {
			t.Errorf("digest %q is not wrong", got)
		}
	}
	c.s.Set(func(q *Quirks) { q.Manifests = Manifests{NormalizedFallback: true} })
	a := c.want(200, c.do("GET", "/v2/app/manifests/sha256-"+ix.Digest.Hex, nil, "Accept: */*"))
	if !bytes.Equal(a.body, ix.Raw) {
		t.Error("the fallback tag is not the subject itself")
	}
	c.s.Set(func(q *Quirks) { q.Manifests = Manifests{NoReferrers: true} })
	c.want(404, c.do("GET", "/v2/app/referrers/"+right, nil))
	sbom := ix.Referrers[0]
	for q, want := range map[*Manifests]string{{}: right, {NoReferrers: true}: "", {NoReferrers: true, LyingSubject: true}: right} {
		c.s.Set(func(all *Quirks) { all.Manifests = *q })
		if got := c.want(201, c.put("app", sbom.Digest.String(), sbom)).header.Get("OCI-Subject"); got != want {
			t.Errorf("%+v: subject %q, want %q", *q, got, want)
		}
	}
	c.s.Set(func(q *Quirks) { q.Manifests = Manifests{RefuseTypes: []string{string(ix.MediaType)}} })
	c.want(405, c.put("app", "ix2", ix))
	c.s.Set(func(q *Quirks) { q.Manifests = Manifests{MaxManifest: 10} })
	c.want(413, c.put("app", "ix2", ix))
}

func TestReferrersFilterAndPages(t *testing.T) {
	s := New(t, Options{Quirks: Quirks{Manifests: Manifests{ReferrersPage: 2}}})
	c := newClient(t, s)
	m := content.Image("x", nil)
	for _, name := range []string{"a", "b", "c"} {
		content.Refer(m, "application/one", name)
	}
	content.Refer(m, "application/two", "d")
	if err := s.Load("app", m, "v1"); err != nil {
		t.Fatal(err)
	}
	path, seen := "/v2/app/referrers/"+m.Digest.String()+"?artifactType=application/one", 0
	for path != "" {
		a := c.want(200, c.do("GET", path, nil))
		if a.header.Get("OCI-Filters-Applied") != "artifactType" {
			t.Error("the filter is not named")
		}
		seen += bytes.Count(a.body, []byte(`"application/one"`))
		path, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
	}
	if seen != 3 {
		t.Errorf("%d referrers on all pages, want 3", seen)
	}
}

func TestImmutableTags(t *testing.T) {
	for words, want := range map[Immutable]struct {
		status, same int
		code         string
	}{
		ImmutableECR:    {400, 400, "TAG_INVALID"},
		ImmutableACR:    {405, 201, "REGISTRY_DISALLOWED_OPERATION"},
		ImmutableQuay:   {409, 201, "TAG_IMMUTABLE"},
		ImmutableHarbor: {412, 201, "PRECONDITION"},
		ImmutableGAR:    {400, 201, "MANIFEST_INVALID"},
	} {
		t.Run(string(words), func(t *testing.T) {
			c, _, _ := withLayer(t, Quirks{Manifests: Manifests{Immutable: words}})
			one, two := content.Image("one", nil), content.Image("two", nil)
			c.want(201, c.push("app", "t", one))
			c.want(201, c.push("app", two.Digest.String(), two))
			if a := c.want(want.status, c.put("app", "t", two)); codes(a) != want.code {
				t.Errorf("refused with %s, want %s", a.body, want.code)
			}
			c.want(want.same, c.put("app", "t", one))
			c.want(201, c.put("app", "t2", two))
		})
	}
}

func TestIfMatch(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{})
	one, two := content.Image("one", nil), content.Image("two", nil)
	c.want(201, c.push("app", "t", one))
	c.want(201, c.push("app", two.Digest.String(), two))
	c.want(412, c.put("app", "t", two, `If-Match: "`+two.Digest.String()+`"`))
	c.want(201, c.put("app", "t", two, `If-Match: "`+one.Digest.String()+`"`))
	c.want(412, c.put("app", "t", one, "If-None-Match: *"))
	c.want(201, c.put("app", "new", two, "If-None-Match: *"))
	c.s.Set(func(q *Quirks) { q.NoIfMatch = true })
	c.want(201, c.put("app", "t", one, `If-Match: "`+one.Digest.String()+`"`))
	c.want(201, c.put("app", "t", two, "If-None-Match: *"))
}

func TestSchema1(t *testing.T) {
	s := New(t, Options{})
	c := newClient(t, s)
	m := content.Schema1("app", "old", []content.Blob{content.Layer("l", 100)})
	c.want(400, c.push("app", "old", m))
	s.Set(func(q *Quirks) { q.Schema1 = true })
	a := c.want(201, c.push("app", "old", m))
	if got := a.header.Get("Docker-Content-Digest"); got != m.Digest.String() {
		t.Errorf("digest %s, want that of the payload %s", got, m.Digest)
	}
	if err := s.Verify("app", "old"); err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	s := New(t, Options{TLS: true})
	c := newClient(t, s)
	c.want(200, c.do("GET", "/v2/", nil))
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	if resp, err := stranger.Get(s.URL() + "/v2/"); err == nil {
		resp.Body.Close()
		t.Error("a client that does not know the CA was answered")
	}
}

func TestLogAndCounts(t *testing.T) {
	c, layer, _ := withLayer(t, Quirks{})
	c.want(206, c.do("GET", "/v2/app/blobs/"+layer.Digest.String(), nil, "Range: bytes=99999-", "Authorization: Bearer secret"))
	log := c.s.Log()
	if len(log) != 1 || log[0].Class != BlobGet || log[0].Authorization != "Bearer" || log[0].Header["Range"] != "bytes=99999-" || log[0].Status != 206 {
		t.Errorf("log %+v", log)
	}
	before := c.s.Counts()
	c.want(200, c.do("GET", "/v2/", nil))
	if n := c.s.Counts().Sub(before); n.Requests[Ping] != 1 || n.Total() != 0 || n.BytesOut != 0 || n.Connections != 0 {
		t.Errorf("the difference is wrong:\n%s", n)
	}
	c.s.ResetCounts()
	if n := c.s.Counts(); n.Of(Classes()...) != 0 || n.BytesOut != 0 {
		t.Errorf("after a reset:\n%s", n)
	}
}

func TestNotLoopback(t *testing.T) {
	if s, err := Start(Options{Addr: "0.0.0.0:0"}); err == nil {
		s.Close()
		t.Error("it listens beyond loopback")
	}
}
