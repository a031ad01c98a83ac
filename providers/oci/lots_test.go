package oci

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("team/app%03d", i))
	}
	return all
}

// openLots opens s with twenty repositories a token, and many of them expected.
func openLots(t *testing.T, s *registrytest.Server, repos []string, change ...func(*Options)) *Registry {
	r := open(t, s, append([]func(*Options){signedIn, func(o *Options) { o.TokenRepositories = 20 }}, change...)...)
	r.Expect(repos...)
	return r
}

func TestRepositoriesShareTokens(t *testing.T) {
	repos := names(90)
	for _, tt := range []struct {
		name   string
		quirks func(*registrytest.Quirks)
		change func(*Options)
		refuse string
		want   int64 // tokens
	}{
		{name: "twenty a token", want: 5},
		{name: "with more actions", change: func(o *Options) { o.Push, o.AlsoAsk = true, []string{"metadata_read"} }, want: 5},
		{name: "one scope is granted", quirks: func(q *registrytest.Quirks) { q.OneScope = true }, want: 90 + 2},
		{name: "a lot is refused", refuse: "team/app000", want: 1 + 20 + 4}, // and its repositories are alone
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := bearerServer(t, tt.quirks)
			for _, repo := range repos {
				load(t, s, repo, image("app"), "v1")
			}
			s.Before(func(req *http.Request, c registrytest.Class) *registrytest.Fault {
				if scopes := req.URL.Query()["scope"]; c == registrytest.Token && tt.refuse != "" && len(scopes) > 1 && strings.Contains(scopes[0], tt.refuse) {
					return &registrytest.Fault{Status: 403, Code: "DENIED"}
				}
				return nil
			})
			r := openLots(t, s, repos, func(o *Options) {
				if tt.change != nil {
					tt.change(o)
				}
			})
			for _, repo := range repos {
				if _, err := r.Head(t.Context(), repo, "v1"); err != nil {
					t.Fatal(err)
				}
			}
			if n := tokensAsked(s); n != tt.want {
				t.Errorf("%d tokens for %d repositories, want %d", n, len(repos), tt.want)
			}
		})
	}
}

// However many of one lot are asked for at once.
func TestALotIsFetchedOnce(t *testing.T) {
	repos := names(20)
	s := bearerServer(t, nil)
	for _, repo := range repos {
		load(t, s, repo, image("app"), "v1")
	}
	r := openLots(t, s, repos)
	var all sync.WaitGroup
	for _, repo := range repos {
		all.Go(func() {
			if _, err := r.Head(t.Context(), repo, "v1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := tokensAsked(s); n != 1 {
		t.Errorf("%d tokens for a lot of twenty, want 1", n)
	}
}

func TestLots(t *testing.T) {
	l := lots{most: 3}
	l.expect([]string{"a", "b", "a", "c", "d"})
	l.expect([]string{"b", "e"})
	for _, tt := range []struct{ repo, want string }{
		{"b", "repository:a:pull repository:b:pull repository:c:pull"},
		{"d", "repository:d:pull repository:e:pull"},
		{"z", "repository:z:pull"},
	} {
		if got, _ := l.of(pull(tt.repo)); got.key() != tt.want {
			t.Errorf("the lot of %s: %s, want %s", tt.repo, got.key(), tt.want)
		}
	}
	if _, ok := l.of(pull("a").with(pull("b"))); ok {
		t.Error("two repositories are widened to a lot")
	}
	if _, ok := l.of(catalog()); ok {
		t.Error("the catalog is widened to a lot")
	}
	l.shrink(3)
	if _, ok := l.of(pull("a")); ok {
		t.Error("lots of one are still lots")
	}
}

// A lot has no more repositories than a header has room for.
func TestLotsAreAsLongAsAHeader(t *testing.T) {
	l := lots{most: 40, entry: entryOf("pull", "push", "metadata_read")}
	for _, tt := range []struct{ length, want int }{{20, 40}, {128, 18}, {255, 11}} {
		for i := range 40 {
			l.expect([]string{fmt.Sprintf("%0*d", tt.length, i)})
		}
		lot, _ := l.of(pull(fmt.Sprintf("%0*d", tt.length, 12)))
		if got := len(lot); got != tt.want {
			t.Errorf("%d names of %d characters, want %d", got, tt.length, tt.want)
		}
	}
	l.shrink(40)
	if lot, _ := l.of(pull(fmt.Sprintf("%020d", 12))); len(lot) != 20 {
		t.Errorf("%d names, want half of what was too long", len(lot))
	}
	l.shrink(40) // another's, which was on its way
	if lot, _ := l.of(pull(fmt.Sprintf("%020d", 12))); len(lot) != 20 {
		t.Errorf("%d names, want half once", len(lot))
	}
}

// What is refused in a lot is alone for an hour, and its neighbours do without it;
// after three refusals everybody is.
func TestStrikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lots{most: 4}
		l.expect([]string{"a", "b", "c", "d", "e", "f"})
		lotOf := func(repo, want string) {
			t.Helper()
			if got, _ := l.of(pull(repo)); got.key() != want {
				t.Errorf("the lot of %s: %s, want %s", repo, got.key(), want)
			}
		}
		const whole, less = "repository:a:pull repository:b:pull repository:c:pull repository:d:pull",
			"repository:a:pull repository:c:pull repository:d:pull"
		l.strike(pull("b"))
		l.expect([]string{"b", "b"})
		lotOf("b", "repository:b:pull")
		lotOf("a", less)
		time.Sleep(loneFor)
		lotOf("b", whole)
		lotOf("a", whole)
		for range 2 { // the first is too long ago to count
			time.Sleep(time.Second)
			l.strike(pull("b"))
			lotOf("a", less)
		}
		l.strike(pull("z"))
		lotOf("a", "repository:a:pull")
		lotOf("e", "repository:e:pull")
		time.Sleep(loneFor)
		lotOf("a", whole)
		lotOf("e", "repository:e:pull repository:f:pull")
		if len(l.at) != 6 || len(l.all) != 2 || len(l.alone) != 0 {
			t.Errorf("%d repositories in %d lots, %d alone", len(l.at), len(l.all), len(l.alone))
		}
	})
}

// However many are expected, what is kept of them is bounded.
func TestExpectIsBounded(t *testing.T) {
	l := lots{most: 20}
	for i := range maxExpected + 10 {
		l.expect([]string{fmt.Sprint(i)})
	}
	if _, ok := l.of(pull(fmt.Sprint(maxExpected + 5))); ok || len(l.at) != maxExpected {
		t.Errorf("%d repositories are kept", len(l.at))
	}
}

// Those who wait for a token that turns out to be too long wait for that of their
// part of the lot, and show the registry none that is not theirs.
func TestLotsTooLongForAHeader(t *testing.T) {
	repos := names(40)
	s := bearerServer(t, nil)
	for _, repo := range repos {
		load(t, s, repo, image("app"), "v1")
	}
	s.Before(func(req *http.Request, c registrytest.Class) *registrytest.Fault {
		if c == registrytest.Token && len(req.URL.Query()["scope"]) > 10 {
			return &registrytest.Fault{Status: 200, JSON: `{"token":"` + strings.Repeat("x", maxHeader+1) + `"}`}
		}
		return nil
	})
	r := openLots(t, s, repos, func(o *Options) { o.TokenRepositories = 40 })
	var all sync.WaitGroup
	for _, repo := range repos {
		all.Go(func() {
			if _, err := r.Head(t.Context(), repo, "v1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	// of forty, then of twenty: the other twenty may be asked for before the first are answered
	if n := tokensAsked(s); n < 2+4 || n > 3+4 {
		t.Errorf("%d tokens, want two or three too long and four", n)
	}
	if n := s.Counts().Status[401]; n != 1 {
		t.Errorf("%d answers 401, want the ping's", n)
	}
}

// A page is signed, followed by Link, and stays on the host.
func TestPages(t *testing.T) {
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v2/" {
			return
		}
		paths = append(paths, req.URL.RequestURI())
		switch len(paths) {
		case 1:
			w.Header().Set("Link", `</acr/v1/team%2Fapp/_tags?last=b&n=2&orderby=>; rel="next"`)
		case 3:
			w.Header().Set("Link", `<http://elsewhere.example.com/x>; rel="next"`)
		}
		fmt.Fprintf(w, `{"page":%d}`, len(paths))
	}))
	defer s.Close()
	r := openAt(t, s.URL)
	q := Query{Op: "list tags", Count: providers.OpTags, Repo: "team/app", Path: "/acr/v1/team%2Fapp/_tags"}
	var got []string
	for page, err := range r.Pages(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(page))
	}
	if want := `[{"page":1} {"page":2}]`; fmt.Sprint(got) != want {
		t.Errorf("pages %v, want %s", got, want)
	}
	if want := "[/acr/v1/team%2Fapp/_tags /acr/v1/team%2Fapp/_tags?last=b&n=2&orderby=]"; fmt.Sprint(paths) != want {
		t.Errorf("asked for %v, want %s", paths, want)
	}
	var last error
	for _, err := range r.Pages(t.Context(), q) {
		last = err
	}
	wantKind(t, last, providers.Invalid)
	for _, err := range r.Pages(t.Context(), Query{Op: "list tags", Path: "http://elsewhere.example.com/"}) {
		wantKind(t, err, providers.Invalid)
	}
}
