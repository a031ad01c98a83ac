package registrytest

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
)

const octets = "Content-Type: application/octet-stream"

func TestUploadQuirks(t *testing.T) {
	t.Run("PATCH answers 201 and Range sticks", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Uploads: Uploads{PatchCreated: true, StaleRange: true}})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		a = c.want(201, c.do("PATCH", c.location(a, ""), []byte("hello"), octets))
		a = c.want(201, c.do("PATCH", c.location(a, ""), []byte("world"), octets, "Content-Range: 5-9"))
		if got := a.header.Get("Range"); got != "0-4" {
			t.Errorf("Range is %s, want that of the first chunk", got)
		}
		c.want(201, c.finish(a, nil, []byte("helloworld")))
	})
	t.Run("no chunks", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Uploads: Uploads{NoChunks: true}})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		a = c.want(202, c.do("PATCH", c.location(a, ""), []byte("hello"), octets))
		c.want(405, c.do("PATCH", c.location(a, ""), []byte("world"), octets))
		c.want(201, c.upload("app", []byte("hello")))
	})
	t.Run("locations", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{})
		for location, prefix := range map[Location]string{
			Absolute: c.s.URL() + "/v2/", Relative: "/v2/", OnStorage: "http://" + c.s.StorageHost() + "/v2/",
		} {
			c.s.Set(func(q *Quirks) { q.Location = location })
			a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
			if got := a.header.Get("Location"); !strings.HasPrefix(got, prefix) {
				t.Errorf("%s: location %s", location, got)
			}
			data := []byte("to " + location)
			if location == OnStorage {
				c.want(400, c.do("PUT", c.location(a, ""), data, "Authorization: Bearer x"))
			}
			c.want(201, c.finish(a, data))
		}
		c.s.Set(func(q *Quirks) { q.UploadHost = "http://127.0.0.2:1" })
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		if got := a.header.Get("Location"); !strings.HasPrefix(got, "http://127.0.0.2:1/v2/app/") {
			t.Errorf("location %s", got)
		}
	})
	t.Run("old locations stop working", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{})
		first := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		c.want(202, c.do("PATCH", c.location(first, ""), []byte("hello"), octets))
		c.want(416, c.do("PATCH", c.location(first, ""), []byte("world"), octets))
	})
	t.Run("uploads end", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		c.s.Set(func(q *Quirks) { q.Expiry = time.Nanosecond })
		c.want(404, c.do("GET", c.location(a, ""), nil))
		c.s.Set(func(q *Quirks) { q.Expiry = 0 })
		c.want(404, c.finish(a, []byte("x")))
		a = c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		c.s.ForgetUploads()
		c.want(404, c.finish(a, []byte("x")))
	})
	t.Run("deadline", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Uploads: Uploads{Deadline: 50 * time.Millisecond}})
		c.s.Next(1, UploadPut, Fault{Break: StallUpload, At: 3, For: 60 * time.Millisecond})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		if a := c.finish(a, bytes.Repeat([]byte("x"), 1<<20)); a.err == nil {
			t.Errorf("an upload past its deadline was answered %d", a.status)
		}
		c.want(404, c.do("GET", c.location(a, ""), nil))
	})
	t.Run("no status", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Uploads: Uploads{NoStatus: true}})
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		c.want(404, c.do("GET", c.location(a, ""), nil))
	})
}

func TestMountQuirks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		quirks Blobs
		status int
	}{
		{"mounts", Blobs{}, 201},
		{"no mount", Blobs{NoMount: true}, 202},
		{"not between these", Blobs{NoMountBetween: []Pair{{"app", "to"}}}, 202},
		{"not to anywhere", Blobs{NoMountBetween: []Pair{{"*", "to"}}}, 202},
		{"between others", Blobs{NoMountBetween: []Pair{{"to", "app"}}}, 201},
		{"refused by status", Blobs{NoMount: true, MountStatus: 401}, 401},
		{"lies", Blobs{MountLies: true}, 201},
		{"named layers are not hidden", Blobs{HiddenLayers: true}, 201},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, layer, _ := withLayer(t, Quirks{Blobs: tt.quirks})
			c.want(tt.status, c.do("POST", "/v2/to/blobs/uploads/?from=app&mount="+layer.Digest.String(), nil))
			if got, want := c.s.Has("to", layer.Digest), tt.status == 201 && !tt.quirks.MountLies; got != want {
				t.Errorf("the blob is there: %v, want %v", got, want)
			}
		})
	}
}

func TestHiddenLayers(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{Blobs: Blobs{HiddenLayers: true}})
	img := content.Image("fresh", []content.Blob{content.Layer("fresh", 50)})
	path := "/v2/new/blobs/" + img.Blobs[1].Digest.String()
	for _, b := range img.Blobs {
		if err := c.s.LoadBlob("new", b); err != nil {
			t.Fatal(err)
		}
	}
	mount := "/v2/app/blobs/uploads/?from=new&mount=" + img.Blobs[1].Digest.String()
	c.want(200, c.do("HEAD", path, nil))
	c.want(404, c.do("GET", path, nil))
	c.want(202, c.do("POST", mount, nil))
	c.want(201, c.put("new", "v1", img))
	c.want(200, c.do("GET", path, nil))
	c.want(201, c.do("POST", mount, nil))
}

func TestRedirects(t *testing.T) {
	c, layer, data := withLayer(t, Quirks{Blobs: Blobs{Redirect: true}})
	path := "/v2/app/blobs/" + layer.Digest.String()
	c.want(200, c.do("HEAD", path, nil))
	to := c.want(307, c.do("GET", path, nil)).header.Get("Location")
	c.want(400, c.do("GET", to, nil, "Authorization: Bearer x"))
	c.want(403, c.do("GET", strings.Replace(to, "expires=1", "expires=2", 1), nil))
	a := c.want(206, c.do("GET", to, nil, "Range: bytes=99990-"))
	if !bytes.Equal(a.body, data[99990:]) {
		t.Error("the range differs")
	}
	c.s.Set(func(q *Quirks) { q.RedirectLife = time.Nanosecond })
	to = c.want(307, c.do("GET", path, nil)).header.Get("Location")
	c.want(403, c.do("GET", to, nil))
	c.s.Set(func(q *Quirks) { q.RedirectTo = "http://127.0.0.2:1" })
	to = c.want(307, c.do("GET", path, nil)).header.Get("Location")
	if !strings.HasPrefix(to, "http://127.0.0.2:1/") {
		t.Errorf("redirected to %s", to)
	}
	n := c.s.Counts()
	if n.Requests[Storage] != 4 || n.Requests[BlobGet] != 3 || n.BytesOut != 10 || n.Digests[layer.Digest.String()].Reads != 1 {
		t.Errorf("counts are wrong: %+v\n%s", n.Digests, n)
	}
}

func TestNoRange(t *testing.T) {
	c, layer, data := withLayer(t, Quirks{Blobs: Blobs{NoRange: true}})
	a := c.want(200, c.do("GET", "/v2/app/blobs/"+layer.Digest.String(), nil, "Range: bytes=5-"))
	if len(a.body) != len(data) {
		t.Errorf("%d bytes", len(a.body))
	}
}

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
	c.s.Set(func(q *Quirks) { q.NoIfMatch = true })
	c.want(201, c.put("app", "t", one, `If-Match: "`+one.Digest.String()+`"`))
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

func TestLimits(t *testing.T) {
	img := content.Image("x", nil)
	for _, tt := range []struct {
		name   string
		limits Limits
		status int
		code   string
		read   int // of a repository that is not there
	}{
		{"read only", Limits{ReadOnly: true}, 403, "DENIED", 404},
		{"full", Limits{Full: true}, 403, "DENIED", 404},
		{"as ECR", Limits{MustExist: MustExistAsECR}, 404, "NAME_UNKNOWN", 404},
		{"as GAR", Limits{MustExist: MustExistAsGAR}, 403, "DENIED", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, _ := withLayer(t, Quirks{Limits: tt.limits})
			for _, a := range []answer{c.upload("new", []byte("x")), c.put("new", "v1", img)} {
				if c.want(tt.status, a); codes(a) != tt.code {
					t.Errorf("refused with %s", a.body)
				}
			}
			c.want(tt.read, c.do("GET", "/v2/new/tags/list", nil))
			c.want(200, c.do("GET", "/v2/app/tags/list", nil))
			if tt.limits.MustExist != "" {
				c.s.Create("new")
				c.want(201, c.push("new", "v1", img))
			}
		})
	}
}

func TestAuthQuirks(t *testing.T) {
	users := map[string]string{"ann": "secret"}
	t.Run("basic", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Basic, Users: users,
			Grants: map[string][]Grant{"ann": {{"app", []string{"pull"}}}}}})
		a := c.want(401, c.do("GET", "/v2/", nil))
		if got := a.header.Get("Www-Authenticate"); !strings.HasPrefix(got, "Basic realm=") {
			t.Errorf("challenge %s", got)
		}
		c.want(401, c.do("GET", "/v2/app/tags/list", nil, "Authorization: "+basic("ann", "wrong")))
		good := "Authorization: " + basic("ann", "secret")
		c.want(200, c.do("GET", "/v2/", nil, good))
		c.want(200, c.do("GET", "/v2/app/tags/list", nil, good))
		c.want(403, c.do("POST", "/v2/app/blobs/uploads/", nil, good))
	})
	t.Run("anonymous", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Users: users, AnonymousPull: true}})
		c.want(401, c.do("GET", "/v2/app/tags/list", nil))
		bearer := "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=repository:app:pull,push")
		c.want(200, c.do("GET", "/v2/app/tags/list", nil, bearer))
		a := c.want(401, c.do("POST", "/v2/app/blobs/uploads/", nil, bearer))
		if got := a.header.Get("Www-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) {
			t.Errorf("challenge %s", got)
		}
	})
	t.Run("one scope", func(t *testing.T) {
		c, layer, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Users: users, OneScope: true}})
		bearer := "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=repository:to:pull,push&scope=repository:app:pull",
			"Authorization: "+basic("ann", "secret"))
		c.want(202, c.do("POST", "/v2/to/blobs/uploads/?from=app&mount="+layer.Digest.String(), nil, bearer))
		c.s.Set(func(q *Quirks) { q.OneScope = false })
		bearer = "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=repository:to:pull,push&scope=repository:app:pull",
			"Authorization: "+basic("ann", "secret"))
		c.want(201, c.do("POST", "/v2/to/blobs/uploads/?from=app&mount="+layer.Digest.String(), nil, bearer))
	})
	t.Run("identity token", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Identities: map[string]string{"refresh-me": "ann"}, NoExpiresIn: true}})
		form := "Content-Type: application/x-www-form-urlencoded"
		c.want(401, c.do("POST", c.s.TokenURL(), []byte("grant_type=refresh_token&refresh_token=other"), form))
		a := c.want(200, c.do("POST", c.s.TokenURL(),
			[]byte("grant_type=refresh_token&refresh_token=refresh-me&scope=repository:app:pull"), form))
		if bytes.Contains(a.body, []byte("expires_in")) {
			t.Errorf("answered %s", a.body)
		}
	})
	t.Run("life and realm", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Users: users, TokenLife: time.Nanosecond, Realm: "http://127.0.0.2:1/token"}})
		bearer := "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=repository:app:pull", "Authorization: "+basic("ann", "secret"))
		a := c.want(401, c.do("GET", "/v2/app/tags/list", nil, bearer))
		if got := a.header.Get("Www-Authenticate"); !strings.Contains(got, "127.0.0.2:1") || !strings.Contains(got, "invalid_token") {
			t.Errorf("challenge %s", got)
		}
	})
	t.Run("catalog", func(t *testing.T) {
		c, _, _ := withLayer(t, Quirks{Auth: Auth{Mode: Bearer, Users: users}})
		bearer := "Authorization: Bearer " + c.token(c.s.TokenURL()+"?scope=registry:catalog:*", "Authorization: "+basic("ann", "secret"))
		c.want(200, c.do("GET", "/v2/_catalog", nil, bearer))
	})
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
