package acrtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
)

// pages follows the links of a list, and returns how many pages it had.
func (w *wire) pages(path string, each func(raw string)) (n int) {
	w.Helper()
	for path != "" {
		a := w.want(200, "", w.do("GET", path, nil))
		each(a.body)
		n++
		link, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		if link != "" && !strings.HasPrefix(link, "/acr/v1/") {
			w.Fatalf("Link is %s", a.header.Get("Link"))
		}
		path = link
	}
	return n
}

// TestPages: at most a thousand a page, whatever is asked for, and nothing is
// lost or doubled.
func TestPages(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s).all("a/b")
	m := content.Image("x", nil)
	var tags []string
	for i := range 2300 {
		tags = append(tags, fmt.Sprintf("v%04d", i))
	}
	load(t, s, "a/b", m, tags...)
	for i := range 120 {
		load(t, s, fmt.Sprintf("r%03d", i), m, "v1")
	}
	for _, tt := range []struct {
		path         string
		pages, names int
	}{
		{"/acr/v1/a%2Fb/_tags?n=5000", 3, 2300},
		{"/acr/v1/a%2Fb/_tags?n=1000&orderby=timedesc", 3, 2300},
		{"/acr/v1/a%2Fb/_tags", 23, 2300},
		{"/acr/v1/a%2Fb/_manifests?n=1000", 1, 1},
		{"/acr/v1/_catalog", 2, 121},
		{"/acr/v1/_catalog?n=1000&last=r100", 1, 19},
	} {
		seen := map[string]bool{}
		n := w.pages(tt.path, func(raw string) {
			var page struct {
				Repositories []string
				Tags         []tagRow
				Manifests    []manifestRow
			}
			if err := json.Unmarshal([]byte(raw), &page); err != nil {
				t.Fatal(err)
			}
			for _, row := range page.Tags {
				page.Repositories = append(page.Repositories, row.Name)
			}
			for _, row := range page.Manifests {
				page.Repositories = append(page.Repositories, row.Digest)
			}
			for _, name := range page.Repositories {
				if seen[name] {
					t.Fatalf("%s: %s twice", tt.path, name)
				}
				seen[name] = true
			}
		})
		if n != tt.pages || len(seen) != tt.names {
			t.Errorf("%s: %d on %d pages, want %d on %d", tt.path, len(seen), n, tt.names, tt.pages)
		}
	}
}

// TestLists: the fields of the metadata API, the order by time, the filter.
func TestLists(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s).all("app")
	m, other := content.Image("x", []content.Blob{content.Layer("l", 500)}), content.Image("y", nil)
	ix := content.Index([]*content.Manifest{m})
	load(t, s, "app", ix, "v1", "old")
	load(t, s, "app", other, "v2")
	start := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	for i, tag := range []string{"old", "v1", "v2"} {
		s.SetTagged("app", tag, start.Add(time.Duration(i)*time.Hour))
	}
	a := w.want(200, `"imageName":"app"`, w.do("GET", "/acr/v1/app/_tags?orderby=timedesc&n=2", nil))
	if v2, v1 := strings.Index(a.body, `"v2"`), strings.Index(a.body, `"v1"`); v2 < 0 || v1 < v2 || strings.Contains(a.body, `"old"`) {
		t.Errorf("the newest two are %s", a.body)
	}
	if !strings.Contains(a.body, `"lastUpdateTime":"2026-01-02T05:04:05.0000006Z"`) || !strings.Contains(a.body, `"changeableAttributes":{"deleteEnabled":true`) {
		t.Errorf("fields of %s", a.body)
	}
	if a := w.want(200, `"old"`, w.do("GET", "/acr/v1/app/_tags?digest="+ix.Digest.String(), nil)); strings.Contains(a.body, `"v2"`) {
		t.Errorf("of another digest: %s", a.body)
	}
	a = w.want(200, ix.Digest.String(), w.do("GET", "/acr/v1/app/_manifests", nil, "Accept: application/json, application/problem+json"))
	for _, want := range []string{`"mediaType":"` + string(ix.MediaType) + `"`, `"references":[{`, `"tags":["old","v1"]`, `"imageSize":`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	w.want(200, `"manifestCount":3`, w.do("GET", "/acr/v1/app", nil))
	w.want(200, `"name":"v1"`, w.do("GET", "/acr/v1/app/_tags/v1", nil))
	w.want(404, "TAG_UNKNOWN", w.do("GET", "/acr/v1/app/_tags/absent", nil))
	w.want(404, "MANIFEST_UNKNOWN", w.do("GET", "/acr/v1/app/_manifests/"+content.Hash(nil).String(), nil))
	w.all("absent")
	w.want(404, "NAME_UNKNOWN", w.do("GET", "/acr/v1/absent/_tags", nil))
}

// TestTagsShown: a manifest with many tags is shown with the first ten.
func TestTagsShown(t *testing.T) {
	s := New(t, Options{})
	w := newWire(t, s).all("app")
	load(t, s, "app", content.Image("x", nil), "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
	if a := w.want(200, `"j"`, w.do("GET", "/acr/v1/app/_manifests", nil)); strings.Contains(a.body, `"k"`) {
		t.Errorf("eleven are shown: %s", a.body)
	}
}
