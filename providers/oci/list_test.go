package oci

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

func TestListsCostOneRequestAPage(t *testing.T) {
	s := server(t, nil)
	m := image("app")
	for _, n := range []int{1, 49, 50, 51, 100, 1000, 2000} {
		repo := fmt.Sprintf("app%d", n)
		var tags []string
		for i := range n {
			tags = append(tags, fmt.Sprintf("v%05d", i))
		}
		load(t, s, repo, m, tags...)
	}
	r := open(t, s)
	for _, tt := range []struct{ tags, requests int }{
		{1, 1}, {49, 1}, {51, 1},
		{50, 2},  // suspected
		{100, 1}, // and not again
		{1000, 2}, {2000, 2}, {1000, 1}, {50, 1},
	} {
		before := s.Counts()
		if got := tagsOf(t, r, fmt.Sprintf("app%d", tt.tags)); len(got) != tt.tags {
			t.Errorf("%d tags, listed %d", tt.tags, len(got))
		}
		if n := s.Counts().Sub(before).Requests[registrytest.Tags]; n != int64(tt.requests) {
			t.Errorf("%d tags took %d requests, want %d", tt.tags, n, tt.requests)
		}
	}
}

func TestHostsThatIgnorePaging(t *testing.T) {
	m := image("app")
	var tags []string
	for i := range 100 {
		tags = append(tags, fmt.Sprintf("v%03d", i))
	}
	for name, quirks := range map[string]func(*registrytest.Quirks){
		"all at once":          func(q *registrytest.Quirks) { q.IgnorePaging = true },
		"same page for ever":   func(q *registrytest.Quirks) { q.SamePage, q.PageMax = true, 100 },
		"same page, no link":   func(q *registrytest.Quirks) { q.SamePage, q.NoLink, q.PageMax = true, true, 100 },
		"fifty without a link": func(q *registrytest.Quirks) { q.NoLink, q.PageMax = true, 50 },
		"refuses large pages":  func(q *registrytest.Quirks) { q.PageMax, q.PageDefault, q.RefuseOverMax = 10, 10, true },
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, quirks)
			load(t, s, "app", m, tags...)
			if got := tagsOf(t, open(t, s), "app"); !slices.Equal(slices.Compact(got), tags) {
				t.Errorf("%d tags listed, want 100", len(got))
			}
		})
	}
}

// host answers every request but the ping with f.
func host(t *testing.T, f http.HandlerFunc) *Registry {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/v2/" {
			f(w, req)
		}
	}))
	t.Cleanup(s.Close)
	return openAt(t, s.URL)
}

func listError(t *testing.T, r *Registry) (n int, err error) {
	for _, err = range r.Rows(t.Context(), "app") {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func TestHostileLists(t *testing.T) {
	var page atomic.Int64
	for name, f := range map[string]http.HandlerFunc{
		"a page for people": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>sign in</html>")
		},
		"something else": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items":[]}`) },
		"no JSON":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tags":["v1"`) },
		"numbers":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tags":[1,2]}`) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"tags":["`)
			for range maxPage/1024 + 1 {
				fmt.Fprint(w, strings.Repeat("a", 1024))
			}
		},
		"next page elsewhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<http://127.0.0.2:1/v2/app/tags/list>; rel="next"`)
			fmt.Fprint(w, `{"tags":["v1"]}`)
		},
		"without end": func(w http.ResponseWriter, _ *http.Request) {
			n := page.Add(1)
			w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?page=%d>; rel="next"`, n))
			fmt.Fprintf(w, `{"tags":["v%d"]}`, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := listError(t, host(t, f))
			wantKind(t, err, providers.Invalid)
		})
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	r := host(t, func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "_catalog") {
			fmt.Fprint(w, `{"repositories":["team/app","../../etc","a b","","a//b","a?x=1"]}`)
			return
		}
		fmt.Fprint(w, `{"tags":["v1","../x","a/b","","v 2","`+strings.Repeat("a", 200)+`"]}`)
	})
	if got := tagsOf(t, r, "app"); !slices.Equal(got, []string{"v1"}) {
		t.Errorf("tags %q", got)
	}
	for repo, err := range r.Repositories(t.Context(), "") {
		if repo != "team/app" || err != nil {
			t.Errorf("repository %q, %v", repo, err)
		}
	}
}

func TestEmptyLists(t *testing.T) {
	r := host(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"name":"app","tags":null}`) })
	if got := tagsOf(t, r, "app"); len(got) != 0 {
		t.Errorf("tags %q", got)
	}
}

func TestCatalogIsNotForAll(t *testing.T) {
	for status, kind := range map[int]providers.Kind{404: providers.Unsupported, 405: providers.Unsupported, 401: providers.Denied, 403: providers.Denied} {
		s := server(t, func(q *registrytest.Quirks) { q.NoCatalog, q.CatalogStatus = true, status })
		for _, err := range open(t, s).Repositories(t.Context(), "") {
			if e := wantKind(t, err, kind); !strings.Contains(e.Hint, "name the repositories in the rule") {
				t.Errorf("%d: hint %q", status, e.Hint)
			}
		}
	}
}

func TestNamesAreChecked(t *testing.T) {
	r := host(t, func(_ http.ResponseWriter, req *http.Request) { t.Errorf("asked for %s", req.URL) })
	for _, repo := range []string{"", "/a", "a/", "../a", "a/../b", "a?b", "a#b", "a b", "a\nb", "-a", "a%2fb"} {
		_, err := r.Head(t.Context(), repo, "v1")
		wantKind(t, err, providers.Invalid)
		_, err = r.Put(t.Context(), repo, someBlob, strings.NewReader("blob"), providers.UploadOptions{})
		wantKind(t, err, providers.Invalid)
	}
	for _, ref := range []string{"v1/x", "..", "v 1", "sha256:abc", "sha256:" + strings.Repeat("g", 64), strings.Repeat("a", 129), "a?b"} {
		_, err := r.Manifest(t.Context(), "app", ref)
		wantKind(t, err, providers.Invalid)
	}
}

func TestReferrersPages(t *testing.T) {
	m := image("app")
	for i := range 7 {
		content.Refer(m, "application/x", fmt.Sprint(i))
	}
	s := server(t, func(q *registrytest.Quirks) { q.ReferrersPage = 2 })
	load(t, s, "app", m, "v1")
	got, err := open(t, s).Referrers(t.Context(), "app", m.Digest)
	if err != nil || len(got) != 7 {
		t.Errorf("%d referrers, %v", len(got), err)
	}
}

func TestReferrersThatAreNone(t *testing.T) {
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	for name, tt := range map[string]struct {
		status            int
		contentType, body string
		kind              providers.Kind
	}{
		"404":           {404, "text/plain", "404 page not found", providers.Unsupported},
		"no repository": {404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`, providers.NotFound},
		"405":           {405, "", "", providers.Unsupported},
		"a page":        {200, "text/html", "<html>", providers.Unsupported},
		"JSON":          {200, "application/json", index, providers.Unsupported},
		"an image":      {200, "application/vnd.oci.image.index.v1+json", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`, providers.Unsupported},
		"403":           {403, "", "", providers.Denied},
		"500":           {500, "", "", providers.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r := host(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			})
			_, err := r.Referrers(t.Context(), "app", someBlob.Digest)
			wantKind(t, err, tt.kind)
		})
	}
}

func TestNextLink(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`</v2/_catalog?last=b&n=2>; rel="next"`, "/v2/_catalog?last=b&n=2"},
		{`<https://r/v2/x?a=1,2>; rel=next`, "https://r/v2/x?a=1,2"},
		{`</prev>; rel="prev", </next>; title="a, b"; rel="next"`, "/next"},
		{`</a>;REL="last Next"`, "/a"},
		{`</a>; rel="prev"`, ""}, {`/a; rel="next"`, ""}, {`</a`, ""}, {``, ""},
	} {
		if got := nextLink(http.Header{"Link": {tt.in}}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add(`</v2/_catalog?last=b&n=2>; rel="next"`)
	f.Add(`</prev>; rel="prev", </next>; title="a, b"; rel="next"`)
	f.Fuzz(func(t *testing.T, s string) {
		if got := nextLink(http.Header{"Link": {s}}); got != "" && !strings.Contains(s, "<"+got+">") {
			t.Errorf("%q: %q", s, got)
		}
	})
}
