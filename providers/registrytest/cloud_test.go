package registrytest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
)

func TestCloudDecides(t *testing.T) {
	var stored []Putting
	cloud := Cloud{
		Admit: func(a *Ask) *Refusal {
			user, _, _ := a.Request.BasicAuth()
			if a.User = user; user == "" {
				return &Refusal{Status: 401, Text: "Not Authorized", Header: http.Header{"Www-Authenticate": {`Basic realm="r"`}}}
			}
			if a.Write() && user == "reader" {
				return &Refusal{Status: 403, Code: "DENIED", Message: "not you"}
			}
			return nil
		},
		Put: func(p Putting) *Refusal {
			if p.Present != "" || p.Tags() > 1 {
				return &Refusal{Status: 400, Code: "TAG_INVALID", Message: "no"}
			}
			return nil
		},
		Mount:  func(a *Ask, from string) bool { return a.User == "mounter" && from == "app" },
		Stored: func(p Putting) { stored = append(stored, p) },
	}
	c := newClient(t, New(t, Options{Cloud: cloud}))
	a := c.want(401, c.do("GET", "/v2/", nil))
	if a.header.Get("Www-Authenticate") != `Basic realm="r"` || string(a.body) != "Not Authorized\n" {
		t.Errorf("refused with %v and %q", a.header, a.body)
	}
	c.header.Set("Authorization", basic("reader", "x"))
	c.want(403, c.do("POST", "/v2/app/blobs/uploads/", nil))
	c.header.Set("Authorization", basic("mounter", "x"))
	m := content.Image("x", []content.Blob{content.Layer("l", 100)})
	c.want(201, c.push("app", "v1", m))
	c.want(400, c.put("app", "v1", m)) // even the same digest
	c.want(201, c.put("app", "v2", m))
	c.want(400, c.put("app", "v3", m)) // two tags have it already
	if len(stored) != 2 || !stored[0].Fresh || stored[1].Fresh || stored[1].Tag != "v2" || stored[1].Images != 1 {
		t.Errorf("told of %+v", stored)
	}
	mount := fmt.Sprintf("/v2/other/blobs/uploads/?mount=%s&from=", m.Blobs[1].Digest)
	c.want(201, c.do("POST", mount+"app", nil))
	c.header.Set("Authorization", basic("writer", "x"))
	c.want(202, c.do("POST", strings.Replace(mount, "other", "third", 1)+"app", nil))
}

// TestImages: pages that begin after a digest, with each tag once.
func TestImages(t *testing.T) {
	s := New(t, Options{})
	for i := range 7 {
		if err := s.Load("app", content.Image(fmt.Sprint(i), nil), fmt.Sprint("v", i), fmt.Sprint("w", i)); err != nil {
			t.Fatal(err)
		}
	}
	var tags []string
	after, pages := "", 0
	for more := true; more; pages++ {
		var page []Image
		page, more, _ = s.Images("app", after, 3)
		for _, i := range page {
			tags = append(tags, i.Tags...)
			after = i.Digest.String()
			if i.Pushed.IsZero() {
				t.Errorf("%s was never pushed", i.Digest)
			}
		}
	}
	slices.Sort(tags)
	if want := "v0 v1 v2 v3 v4 v5 v6 w0 w1 w2 w3 w4 w5 w6"; strings.Join(tags, " ") != want || pages != 3 {
		t.Errorf("%d pages with %v, want 3 with %s", pages, tags, want)
	}
	if err := s.Remove("app", "w3"); err != nil {
		t.Fatal(err)
	}
	if i, ok := s.Image("app", "v3"); !ok || !slices.Equal(i.Tags, []string{"v3"}) {
		t.Errorf("v3 is %+v", i)
	}
	if _, _, ok := s.Images("absent", "", 1); ok {
		t.Error("a repository that is not there has images")
	}
}

func TestConvertByTag(t *testing.T) {
	s := New(t, Options{Quirks: Quirks{Manifests: Manifests{ConvertByTag: true}}})
	c := newClient(t, s)
	m := content.Image("x", nil)
	if err := s.Load("app", m, "v1"); err != nil {
		t.Fatal(err)
	}
	const docker = "Accept: application/vnd.docker.distribution.manifest.v2+json"
	a := c.want(200, c.do("GET", "/v2/app/manifests/v1", nil, docker))
	if a.header.Get("Docker-Content-Digest") == m.Digest.String() || content.Hash(a.body).String() != a.header.Get("Docker-Content-Digest") {
		t.Errorf("by tag with a narrow Accept: %s", a.body)
	}
	a = c.want(200, c.do("GET", "/v2/app/manifests/v1", nil, docker+", application/vnd.oci.image.manifest.v1+json"))
	if string(a.body) != string(m.Raw) {
		t.Errorf("by tag with a wide Accept: %s", a.body)
	}
	c.want(404, c.do("GET", "/v2/app/manifests/"+m.Digest.String(), nil, docker))
}

func TestEmptyPutFails(t *testing.T) {
	c, _, _ := withLayer(t, Quirks{Uploads: Uploads{EmptyPutFails: true}})
	begin := func() answer {
		a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
		return c.want(202, c.do("PATCH", c.location(a, ""), []byte("hello"), octets))
	}
	c.want(201, c.finish(begin(), nil, []byte("hello"))) // one PATCH is fine
	a := c.want(202, c.do("PATCH", c.location(begin(), ""), []byte("world"), octets))
	c.want(500, c.finish(a, nil, []byte("helloworld")))
	a = c.want(202, c.do("PATCH", c.location(begin(), ""), []byte("world"), octets))
	c.want(201, c.finish(a, []byte("!"), []byte("helloworld")))
}

// TestServe: what is no registry's is the cloud's, before it asks who is there.
func TestServe(t *testing.T) {
	s := New(t, Options{Cloud: Cloud{
		Admit: func(*Ask) *Refusal { return &Refusal{Status: 418, Code: "X", Detail: map[string]string{"a": "b"}} },
		Serve: func(w http.ResponseWriter, a *Ask) bool {
			if a.Request.URL.Path != "/own/api" {
				return false
			}
			(&Refusal{Status: 299, Text: "mine"}).Send(w)
			return true
		}}})
	for path, want := range map[string]int{"/own/api": 299, "/other": 418, "/v2/": 418} {
		resp, err := s.Client().Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want || want == 418 && !strings.Contains(string(body), `"detail":{"a":"b"}`) {
			t.Errorf("%s is answered %d %s (%v), want %d", path, resp.StatusCode, body, err, want)
		}
	}
}

// TestTagPage: in order, each once, with changes seen.
func TestTagPage(t *testing.T) {
	s := New(t, Options{})
	m, other := content.Image("x", nil), content.Image("y", nil)
	for _, tag := range []string{"c", "a", "b"} {
		if err := s.Load("app", m, tag); err != nil {
			t.Fatal(err)
		}
	}
	page, more, ok := s.TagPage("app", "a", 1)
	if !ok || !more || len(page) != 1 || page[0] != (Tagged{"b", m.Digest.String()}) {
		t.Errorf("after a: %v, %v, %v", page, more, ok)
	}
	if err := s.Load("app", other, "b", "d"); err != nil {
		t.Fatal(err)
	}
	page, more, _ = s.TagPage("app", "a", 5)
	if more || len(page) != 3 || page[0].Digest != other.Digest.String() || page[2].Tag != "d" {
		t.Errorf("after a change: %v, %v", page, more)
	}
	if _, _, ok := s.TagPage("absent", "", 5); ok {
		t.Error("there is a page of nothing")
	}
}

// TestCloudAddresses: a cloud's own addresses lead to what the spec has elsewhere,
// and a cloud answers in place of the front.
func TestCloudAddresses(t *testing.T) {
	s := New(t, Options{Quirks: Quirks{Uploads: Uploads{Location: Relative}}, Cloud: Cloud{
		Route: func(r *http.Request) Class {
			if rest, ok := strings.CutPrefix(r.URL.Path, "/get/"); ok {
				r.URL.Path = "/v2/app/blobs/" + rest
				return Storage
			}
			r.URL.Path = strings.Replace(r.URL.Path, "/up/", "/v2/app/blobs/uploads/", 1)
			return ""
		},
		Locate: func(_ *Ask, location string) string {
			return strings.Replace(location, "/v2/app/blobs/uploads/", "/up/", 1)
		},
		Answer: func(w http.ResponseWriter, a *Ask) bool {
			if a.Class == Tags {
				w.WriteHeader(http.StatusTeapot)
			}
			return a.Class == Tags
		},
	}})
	c := newClient(t, s)
	data := []byte("hello")
	a := c.want(202, c.do("POST", "/v2/app/blobs/uploads/", nil))
	if at := a.header.Get("Location"); !strings.HasPrefix(at, "/up/") {
		t.Fatalf("location %s", at)
	}
	c.want(201, c.finish(a, data))
	if a := c.want(200, c.do("GET", "/get/"+content.Hash(data).String(), nil)); string(a.body) != "hello" {
		t.Errorf("read %s", a.body)
	}
	c.want(404, c.do("GET", "/get/"+content.Hash(nil).String(), nil))
	c.want(http.StatusTeapot, c.do("GET", "/v2/app/tags/list", nil))
	if n := s.Counts().Of(Storage, UploadPut); n != 3 {
		t.Errorf("%d reads and uploads were counted, want 3: %v", n, s.Counts().Requests)
	}
}
