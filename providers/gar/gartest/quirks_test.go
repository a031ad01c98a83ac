package gartest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The quirks of the data plane, in the order of our notes on how it behaves.

func TestQuirkChallenge(t *testing.T) {
	s := New(t, Options{})
	s.Repository("acme/mirror", Settings{})
	w := newWire(t, s)
	w.want(200, "", w.do("GET", "/v2/", nil)) // an access token needs no token service
	w.auth = ""
	a := w.want(401, "No credential was supplied", w.do("GET", "/v2/", nil))
	if got, want := a.header.Get("Www-Authenticate"), `Bearer realm="`+s.URL()+`/v2/token"`; got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
	for method, actions := range map[string]string{"GET": "pull", "DELETE": "pull,push"} {
		a = w.want(401, "No valid credential", w.do(method, "/v2/acme/mirror/app/manifests/v1", nil))
		if got := a.header.Get("Www-Authenticate"); !strings.HasSuffix(got, `,service="`+s.Host()+`",scope="repository:acme/mirror/app:`+actions+`"`) {
			t.Errorf("challenge to %s: %s", method, got)
		}
	}
}

func TestQuirkTokenService(t *testing.T) {
	s := New(t, Options{})
	s.Repository("acme/mirror", Settings{})
	w := newWire(t, s)
	email := s.IAM().Account("sync")
	file := string(s.KeyFile(email))
	const scope = "/v2/token?scope=repository:acme/mirror/app:pull"
	for user, password := range map[string]string{"oauth2accesstoken": s.IAM().Token(email, time.Minute), "_json_key": file} {
		w.auth = basic(user, password)
		a := w.want(200, "expires_in", w.do("GET", scope, nil))
		var got struct{ Token string }
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		w.auth = "Bearer " + got.Token
		w.want(200, "", w.do("GET", "/v2/", nil))
		w.auth = basic(user, password)
		w.want(200, "", w.do("GET", "/v2/", nil)) // the registry takes it as it is, too
		w.want(403, "(or it may not exist)", w.do("GET", "/v2/token?scope=repository:acme/absent/app:pull,push", nil))
	}
	w.auth = basic("oauth2accesstoken", "ya29.wrong")
	w.want(401, "UNAUTHORIZED", w.do("GET", scope, nil))
	w.auth = ""
	w.want(403, "Unauthenticated request.", w.do("GET", scope, nil))
}

func TestQuirkMissingOrDenied(t *testing.T) {
	s := New(t, Options{})
	load(t, s, "acme/mirror/app", content.Image("x", nil), "v1")
	w := newWire(t, s)
	const hidden = `Permission \"artifactregistry.repositories.%s\" denied on resource \"projects/acme/locations/europe-west1/repositories/%s\" (or it may not exist)`
	w.want(403, fmt.Sprintf(hidden, "downloadArtifacts", "absent"), w.do("GET", "/v2/acme/absent/app/tags/list", nil))
	w.want(403, fmt.Sprintf(hidden, "uploadArtifacts", "absent"), w.do("POST", "/v2/acme/absent/app/blobs/uploads/", nil))
	w.as(s.IAM().Account("reader", "artifactregistry.repositories.downloadArtifacts"))
	w.want(403, fmt.Sprintf(hidden, "uploadArtifacts", "mirror"), w.do("POST", "/v2/acme/mirror/app/blobs/uploads/", nil))
	w.want(403, fmt.Sprintf(hidden, "deleteArtifacts", "mirror"), w.do("DELETE", "/v2/acme/mirror/app/manifests/v1", nil))
	w.want(404, "NAME_UNKNOWN", w.do("GET", "/v2/acme/mirror/absent/tags/list", nil)) // an image that is missing is told
	w.want(404, "MANIFEST_UNKNOWN", w.do("GET", "/v2/acme/mirror/absent/manifests/v1", nil))
	w.want(400, "NAME_INVALID", w.do("GET", "/v2/acme/mirror/tags/list", nil))
}

func TestQuirkTagList(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) { q.ChildCap = 2 }})
	child := content.Image("x", []content.Blob{content.Layer("l", 5000)})
	ix := content.Index([]*content.Manifest{child})
	load(t, s, "acme/mirror/app", ix, "v1", "v2")
	for i := range 3 {
		load(t, s, fmt.Sprint("acme/mirror/app/sub", i, "/x"), child, "v1")
	}
	w := newWire(t, s)
	a := w.want(200, "", w.do("GET", "/v2/acme/mirror/app/tags/list?n=1", nil))
	var got struct {
		Child    []string
		Manifest map[string]listed
		Tags     []string
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	m := got.Manifest[child.Digest.String()]
	if len(got.Child) != 2 || len(got.Tags) != 2 || len(got.Manifest) != 2 || a.header.Get("Link") != "" {
		t.Errorf("%+v", got)
	}
	if m.Tag == nil || len(m.Tag) != 0 || m.TimeUploadedMs == "" || !strings.Contains(a.body, `"tag":[]`) {
		t.Errorf("the untagged child is %+v", m)
	}
	s.Configure(func(q *Quirks) { q.PlainTags = true })
	if a := w.do("GET", "/v2/acme/mirror/app/tags/list", nil); strings.Contains(a.body, "manifest") {
		t.Errorf("plain: %s", a.body)
	}
}

func TestQuirkUploadLocation(t *testing.T) {
	s := New(t, Options{})
	s.Repository("acme/mirror", Settings{})
	w := newWire(t, s)
	data := []byte("hello")
	begin := func() string {
		return w.want(202, "", w.do("POST", "/v2/acme/mirror/app/blobs/uploads/", nil)).header.Get("Location")
	}
	at, signed := begin(), w.auth
	if !strings.HasPrefix(at, "/artifacts-uploads/namespaces/acme/repositories/mirror/uploads/") {
		t.Errorf("location %s", at)
	}
	w.auth = "" // the address is its own authority
	next := w.want(202, "", w.do("PATCH", at, data)).header.Get("Location")
	if !strings.HasPrefix(next, "/v2/acme/mirror/app/blobs/uploads/") {
		t.Errorf("location after PATCH %s", next)
	}
	w.want(401, "", w.do("PUT", withDigest(next, data), nil)) // that one is not
	w.auth = signed
	w.want(201, "", w.do("PUT", withDigest(next, data), nil))
	w.want(404, "BLOB_UPLOAD_UNKNOWN", w.do("PATCH", at, data))
	w.want(201, "", w.do("PUT", withDigest(begin(), data), data)) // in one request
	s.Configure(func(q *Quirks) { q.SpecLocations = true })
	if at := begin(); !strings.HasPrefix(at, "/v2/") {
		t.Errorf("location %s", at)
	}
}

func TestQuirkNoChunks(t *testing.T) {
	s := New(t, Options{})
	s.Repository("acme/mirror", Settings{})
	w := newWire(t, s)
	begin := func() string {
		return w.want(202, "", w.do("POST", "/v2/acme/mirror/app/blobs/uploads/", nil)).header.Get("Location")
	}
	next := w.want(202, "", w.do("PATCH", begin(), []byte("hello"))).header.Get("Location")
	w.want(405, "UNSUPPORTED", w.do("PATCH", next, []byte("world")))
	w.want(405, "UNSUPPORTED", w.do("PATCH", begin(), []byte("world"), "Content-Range: 5-9"))
	s.Set(func(q *registrytest.Quirks) { q.NoChunks = false })
	next = w.want(202, "", w.do("PATCH", begin(), []byte("hello"))).header.Get("Location")
	w.want(202, "", w.do("PATCH", next, []byte("world"), "Content-Range: 5-9"))
}

func TestQuirkMount(t *testing.T) {
	s := New(t, Options{})
	b := content.Layer("base", 1000)
	load(t, s, "acme/mirror/lib", content.Image("x", []content.Blob{b}), "v1")
	s.Repository("acme/other", Settings{})
	w := newWire(t, s)
	mount := func(to string) int {
		return w.do("POST", "/v2/"+to+"/blobs/uploads/?mount="+b.Digest.String()+"&from=acme/mirror/lib", nil).status
	}
	if got := mount("acme/mirror/app"); got != 201 {
		t.Errorf("within the repository: %d", got)
	}
	if got := mount("acme/other/app"); got != 202 {
		t.Errorf("from another repository: %d", got)
	}
	s.Configure(func(q *Quirks) { q.MountAcross = true })
	if got := mount("acme/other/app"); got != 201 {
		t.Errorf("from another repository, with the knob: %d", got)
	}
}

func TestQuirkDownload(t *testing.T) {
	s := New(t, Options{})
	b := content.Layer("l", 1000)
	load(t, s, "acme/mirror/app", content.Image("x", []content.Blob{b}), "v1")
	w := newWire(t, s)
	where := func() string {
		return w.want(302, "", w.do("GET", "/v2/acme/mirror/app/blobs/"+b.Digest.String(), nil)).header.Get("Location")
	}
	at := where()
	if !strings.HasPrefix(at, "/artifacts-downloads/namespaces/acme/repositories/mirror/downloads/") {
		t.Errorf("location %s", at)
	}
	if a := w.want(206, "", w.do("GET", at, nil, "Range: bytes=100-199")); len(a.body) != 100 {
		t.Errorf("%d bytes", len(a.body))
	}
	w.want(403, "", w.do("GET", at, nil)) // once
	s.Configure(func(q *Quirks) { q.DownloadLife = -1 })
	w.want(403, "", w.do("GET", where(), nil))
	s.Configure(func(q *Quirks) { q.PlainDownloads = true })
	w.want(200, "", w.do("GET", "/v2/acme/mirror/app/blobs/"+b.Digest.String(), nil))
	w.want(404, "BLOB_UNKNOWN", w.do("GET", "/v2/acme/mirror/app/blobs/"+content.Hash(nil).String(), nil))
}

func TestQuirkImmutableTags(t *testing.T) {
	s := New(t, Options{})
	one, two := content.Image("one", nil), content.Image("two", nil)
	load(t, s, "acme/mirror/app", one, "v1")
	s.Repository("acme/mirror", Settings{ImmutableTags: true})
	w := newWire(t, s)
	w.blobs("acme/mirror/app", two)
	w.want(400, "cannot update tag v1. The repository has enabled tag immutability", w.put("acme/mirror/app", "v1", two))
	w.want(201, "", w.put("acme/mirror/app", "v1", one))
	w.want(201, "", w.put("acme/mirror/app", "v2", two))
	s.Configure(func(q *Quirks) { q.RefuseSameDigest = true })
	w.want(400, "MANIFEST_INVALID", w.put("acme/mirror/app", "v1", one))
}

func TestQuirkChildOfIndex(t *testing.T) {
	s := New(t, Options{})
	child := content.Image("x", nil)
	load(t, s, "acme/mirror/app", content.Index([]*content.Manifest{child}), "v1")
	w := newWire(t, s)
	at := "/v2/acme/mirror/app/manifests/" + child.Digest.String()
	w.want(400, "referenced", w.do("DELETE", at, nil))
	s.Configure(func(q *Quirks) { q.DeleteChildren = true })
	w.want(202, "", w.do("DELETE", at, nil))
}

func TestQuirkReferrers(t *testing.T) {
	s := New(t, Options{})
	m := content.Image("x", nil)
	content.Refer(m, "application/x.sig", "sig")
	load(t, s, "acme/mirror/app", m, "v1")
	w := newWire(t, s)
	at := "/v2/acme/mirror/app/referrers/" + m.Digest.String()
	w.want(200, "application/x.sig", w.do("GET", at, nil))
	s.Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) // 2024
	w.want(404, "", w.do("GET", at, nil))
}

func TestQuirkTooMany(t *testing.T) {
	s := New(t, Options{Quirks: func(q *Quirks) { q.Requests, q.Writes = 4, 2 }})
	s.Repository("acme/mirror", Settings{})
	w := newWire(t, s)
	for range 2 {
		w.want(202, "", w.do("POST", "/v2/acme/mirror/app/blobs/uploads/", nil))
	}
	a := w.want(429, "TOOMANYREQUESTS", w.do("POST", "/v2/acme/mirror/app/blobs/uploads/", nil))
	if a.header.Get("Retry-After") != "" {
		t.Error("with a Retry-After")
	}
	w.want(404, "", w.do("GET", "/v2/acme/mirror/app/manifests/v1", nil))
	w.want(429, "", w.do("GET", "/v2/acme/mirror/app/manifests/v1", nil))
}

func TestQuirkVirtual(t *testing.T) {
	s := New(t, Options{})
	s.Repository("acme/all", Settings{Mode: "VIRTUAL_REPOSITORY"})
	w := newWire(t, s)
	w.want(403, "DENIED", w.do("POST", "/v2/acme/all/app/blobs/uploads/", nil))
}

// TestQuirkGCR: paths without a repository, projects of domains, and repositories
// that a push makes, with the permission to.
func TestQuirkGCR(t *testing.T) {
	s := New(t, Options{GCR: "eu.gcr.io"})
	w := newWire(t, s)
	w.as(s.IAM().Account("writer", "artifactregistry.repositories.uploadArtifacts"))
	w.want(403, "createOnPush permission", w.do("POST", "/v2/acme/app/blobs/uploads/", nil))
	w.as(s.IAM().Account("creator", "artifactregistry.repositories.*"))
	a := w.want(202, "", w.do("POST", "/v2/example.com/acme/team/app/blobs/uploads/", nil))
	if a.header.Get("X-Gcr-Using-Artifact-Registry") != "true" && s.Location() != "europe" {
		t.Errorf("header %v at %s", a.header, s.Location())
	}
	if _, ok := s.Settings("example.com:acme/eu.gcr.io"); !ok {
		t.Error("no repository was made")
	}
}

func basic(user, password string) string {
	r := newRequest()
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}
