package acrtest

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The quirks of ACR, by their numbers in our notes on how it behaves.

func TestQuirk01Locks(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s).all("app")
	m, other := content.Image("x", nil), content.Image("y", nil)
	load(t, s, "app", m, "v1", "v2")
	w.blobs("app", other)
	w.want(200, `"writeEnabled":false`, w.do("PATCH", "/acr/v1/app/_tags/v1", []byte(`{"writeEnabled":false}`)))
	refused := func(a answerOf) {
		t.Helper()
		w.want(405, "REGISTRY_DISALLOWED_OPERATION", a)
		if !strings.Contains(a.body, "disallowed-operation") || !strings.Contains(a.body, `"detail":{}`) {
			t.Errorf("refused with %s", a.body)
		}
	}
	refused(w.put("app", "v1", other))
	refused(w.put("app", "v1", m)) // the same digest
	w.want(201, "", w.put("app", "v2", other))
	w.want(201, "", w.put("app", m.Digest.String(), m)) // the manifest is not locked
	w.want(200, "", w.do("PATCH", "/acr/v1/app/_manifests/"+m.Digest.String(), []byte(`{"writeEnabled":false,"deleteEnabled":false}`)))
	refused(w.put("app", m.Digest.String(), m))
	refused(w.do("DELETE", "/v2/app/manifests/"+m.Digest.String(), nil))
	w.want(202, "", w.do("DELETE", "/acr/v1/app/_tags/v2", nil))
	w.want(200, "", w.do("PATCH", "/acr/v1/app", []byte(`{"writeEnabled":false}`)))
	refused(w.put("app", "v3", other))
	w.want(200, "", w.do("PATCH", "/acr/v1/app", []byte(`{"writeEnabled":true}`)))
	w.want(201, "", w.put("app", "v3", other))
	s.Lock("app", "v3", func(l *Lock) { l.Read = false })
	refused(w.do("GET", "/v2/app/manifests/v3", nil, "Accept: */*"))
	s.Lock("app", "v3", func(l *Lock) { l.Read, l.List = true, false })
	w.want(200, "", w.do("GET", "/v2/app/manifests/v3", nil, "Accept: */*"))
	if a := w.want(200, "v1", w.do("GET", "/acr/v1/app/_tags", nil)); strings.Contains(a.body, "v3") {
		t.Errorf("a tag that is not to be listed is: %s", a.body)
	}
}

func TestQuirk02StorageRefusesAuthorization(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s).all("app")
	m := content.Image("x", []content.Blob{content.Layer("l", 100)})
	load(t, s, "app", m, "v1")
	a := w.want(307, "", w.do("GET", "/v2/app/blobs/"+m.Blobs[1].Digest.String(), nil))
	at := a.header.Get("Location")
	if !strings.HasPrefix(at, "http://"+s.StorageHost()) {
		t.Errorf("redirected to %s", at)
	}
	w.want(400, "<Code>InvalidAuthenticationInfo</Code>", w.do("GET", at, nil))
	w.token = ""
	w.want(200, "", w.do("GET", at, nil))
	if a := w.do("GET", at, nil, "Range: bytes=10-19"); a.status != 206 || len(a.body) != 10 {
		t.Errorf("a range is answered %d with %d bytes", a.status, len(a.body))
	}
}

func TestQuirk03UploadLocation(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s).all("app")
	a := w.want(202, "", w.do("POST", "/v2/app/blobs/uploads/", nil))
	first := a.header.Get("Location")
	if !regexp.MustCompile(`^/v2/app/blobs/uploads/[0-9a-f-]+\?.*_state=`).MatchString(first) {
		t.Errorf("the upload is at %s", first)
	}
	w.want(416, "the Content-Range header format is invalid", w.do("PATCH", first, []byte("hello"), "Content-Range: bytes 0-4/*"))
	a = w.want(202, "", w.do("PATCH", first, []byte("hello"), "Content-Range: 0-4"))
	second := a.header.Get("Location")
	if second == first {
		t.Error("the location stays the same")
	}
	if a := w.do("PATCH", first, []byte("world"), "Content-Range: 5-9"); a.status < 400 {
		t.Errorf("an old location is answered %d", a.status)
	}
	a = w.want(202, "", w.do("PATCH", second, []byte("world"), "Content-Range: 5-9"))
	w.want(201, "", w.do("PUT", withDigest(a, []byte("helloworld")), nil))
}

func TestQuirk04MountNeedsPull(t *testing.T) {
	s := New(t, Options{})
	m := content.Image("x", []content.Blob{content.Layer("l", 100)})
	load(t, s, "lib", m, "v1")
	w := newWire(t, s).all("app")
	mount := "/v2/app/blobs/uploads/?from=lib&mount=" + m.Blobs[1].Digest.String()
	w.want(202, "", w.do("POST", mount, nil))
	w.all("app", "lib")
	w.want(201, "", w.do("POST", mount, nil))
}

func TestQuirk05RetryAfterCountsDown(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) { q.Window, q.Reads, q.Writes = time.Hour, 4, 0 }})
	w := newWire(t, s).all("app")
	load(t, s, "app", content.Image("x", nil), "v1")
	list := func() answerOf { return w.do("GET", "/v2/app/tags/list", nil) }
	w.want(200, "", list())
	w.want(200, "", list())
	a := w.want(429, "TOOMANYREQUESTS", list()) // an identity has half
	if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 3000 || after > 3600 {
		t.Errorf("Retry-After is %s", a.header.Get("Retry-After"))
	}
	other := newWire(t, s).all("app")
	w.want(200, "", other.do("GET", "/v2/app/tags/list", nil))
	w.want(429, "", other.do("GET", "/acr/v1/app/_tags", nil)) // the registry's are spent
	s.Configure(func(q *Quirks) { q.OAuth = 1 })
	w.want(200, "", w.do("GET", "/v2/app/tags/list", nil)) // a window of its own
	w.all("app")
	w.want(429, "", w.form("/oauth2/token", nil))
	if q := Defaults(); q.Reads != 10_000 || q.Writes != 2_000 || q.OAuth != 10_000 || q.Window != time.Minute {
		t.Errorf("the usual rates are %+v", q)
	}
}

func TestQuirk06GeoReplica(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) { q.GeoLag = time.Hour }})
	w := newWire(t, s).all("app")
	m := content.Image("x", []content.Blob{content.Layer("l", 100)})
	w.blobs("app", m) // POST and PUT in turn: all blobs are in one region
	put := w.put("app", "v1", m)
	if put.status == 201 {
		t.Fatal("the regions do not take turns")
	}
	w.want(404, "MANIFEST_BLOB_UNKNOWN", put)
	s.Configure(func(q *Quirks) { q.GeoLag = time.Nanosecond })
	w.want(201, "", w.put("app", "v1", m))
	s.Configure(func(q *Quirks) { q.GeoLag = time.Hour })
	got := map[int]int{}
	for range 4 {
		got[w.do("GET", "/v2/app/manifests/v1", nil, "Accept: */*").status]++
	}
	if got[200] != 2 || got[404] != 2 {
		t.Errorf("the manifest is answered %v", got)
	}
}

func TestQuirk07Referrers(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s).all("app")
	m := content.Image("x", nil)
	sbom := content.Refer(m, "application/x.sbom", "one")
	load(t, s, "app", m, "v1")
	path := "/v2/app/referrers/" + m.Digest.String()
	w.want(200, sbom.Digest.String(), w.do("GET", path, nil))
	s.Configure(func(q *Quirks) { q.ListReferrers = 1 })
	w.want(200, "", w.do("GET", path, nil))
	w.want(429, "", w.do("GET", path, nil))
	w.want(200, "", w.do("GET", "/v2/app/tags/list", nil))
	s.Configure(func(q *Quirks) { q.ListReferrers = 0 })
	s.Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) // encrypted with a customer's key
	w.want(404, "", w.do("GET", path, nil))
}

func TestQuirk08Retention(t *testing.T) {
	s := New(t, Options{})
	docker, oci := content.Image("x", nil, content.Docker()), content.Image("y", nil)
	child := content.Image("z", nil, content.Docker())
	load(t, s, "app", docker)
	load(t, s, "app", oci)
	load(t, s, "app", content.Index([]*content.Manifest{child}, content.Docker()), "v1")
	if n := s.Purge("app"); n != 0 {
		t.Errorf("%d purged without a policy", n)
	}
	s.Configure(func(q *Quirks) { q.Retention = true })
	if n := s.Purge("app"); n != 1 {
		t.Errorf("%d purged, want the untagged one of Docker's type", n)
	}
	if _, there := s.Resolve("app", docker.Digest.String()); there {
		t.Error("the wrong one is purged")
	}
}

func TestQuirk09AnonymousAndABAC(t *testing.T) {
	s := New(t, Options{})
	load(t, s, "team/app", content.Image("x", nil), "v1")
	w := newWire(t, s)
	nobody := map[string][]string{"grant_type": {"password"}, "service": {s.Host()}, "scope": {"repository:team/app:pull,push,metadata_read"}}
	w.want(401, "", w.form("/oauth2/token", nobody))
	s.Configure(func(q *Quirks) { q.AnonymousPull = true })
	w.token = w.field("access_token", w.want(200, "", w.form("/oauth2/token", nobody)))
	w.want(200, "", w.do("GET", "/v2/team/app/manifests/v1", nil, "Accept: */*"))
	w.want(401, "", w.do("POST", "/v2/team/app/blobs/uploads/", nil))

	s.Configure(func(q *Quirks) { q.AnonymousPull, q.ABAC = false, true })
	reader := s.Entra().App("reader")
	s.Assign(reader.ClientID, AcrPush) // counts for nothing here
	s.Assign(reader.ClientID, RepositoryReader, "team/*")
	r := wireOf(t, s, reader).all("team/app", "other/app")
	r.want(200, "", r.do("GET", "/v2/team/app/tags/list", nil))
	r.want(401, "", r.do("GET", "/v2/other/app/tags/list", nil))
	r.want(401, "", r.do("POST", "/v2/team/app/blobs/uploads/", nil))
	a := r.want(401, `"Type":"registry"`, r.do("GET", "/acr/v1/_catalog", nil))
	if got := a.header.Get("Www-Authenticate"); !strings.HasSuffix(got, `scope="registry:catalog:*",error="invalid_token"`) {
		t.Errorf("challenged with %s", got)
	}
	s.Assign(reader.ClientID, CatalogLister)
	r.all("team/app")
	r.want(200, "team/app", r.do("GET", "/acr/v1/_catalog", nil))
}
