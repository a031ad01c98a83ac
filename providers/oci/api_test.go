package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// api opens the API at h, beside a registry, with a back-off that tests can wait for.
func api(t *testing.T, h http.HandlerFunc, change ...func(*APIOptions)) *API {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o := APIOptions{Host: strings.TrimPrefix(s.URL, "http://"), PlainHTTP: true}
	for _, f := range change {
		f(&o)
	}
	a, err := open(t, server(t, nil)).API(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// as signs in with one credential, and counts.
func as(c Credential, fetched *atomic.Int32) SignIn {
	return func(context.Context) (Credential, error) {
		fetched.Add(1)
		return c, nil
	}
}

// TestAPISigns holds that the first request carries the credential, without being
// asked for it, and a question that is open carries none.
func TestAPISigns(t *testing.T) {
	for name, tt := range map[string]struct {
		cred Credential
		open bool
		want string
	}{
		"a token":            {Credential{RegistryToken: "t0ken"}, false, "Bearer t0ken"},
		"a name":             {Credential{Username: "u", Password: "p"}, false, "Basic dTpw"},
		"nobody":             {Credential{}, false, ""},
		"an open one is not": {Credential{RegistryToken: "t0ken"}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var requests, fetched atomic.Int32
			a := api(t, func(w http.ResponseWriter, req *http.Request) {
				requests.Add(1)
				fmt.Fprintf(w, `{"got": %q, "version": %q}`, req.Header.Get("Authorization"), req.Header.Get("X-Version"))
			}, func(o *APIOptions) {
				o.SignIn, o.Header = as(tt.cred, &fetched), http.Header{"X-Version": {"7"}}
			})
			var got struct{ Got, Version string }
			if _, err := a.Ask(t.Context(), Question{Op: "list", Path: "/x", Open: tt.open}, &got); err != nil {
				t.Fatal(err)
			}
			if got.Got != tt.want || got.Version != "7" || requests.Load() != 1 {
				t.Errorf("%d requests, signed %q, version %q; want one, %q", requests.Load(), got.Got, got.Version, tt.want)
			}
		})
	}
}

// TestAPIRenews holds that a token which is over is fetched anew, and a refusal
// that stays is Denied.
func TestAPIRenews(t *testing.T) {
	var fetched, asked atomic.Int32
	good := "2"
	a := api(t, func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		if req.Header.Get("Authorization") != "Bearer "+good {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}, func(o *APIOptions) {
		o.SignIn = func(context.Context) (Credential, error) {
			return Credential{RegistryToken: fmt.Sprint(fetched.Add(1)), Expires: time.Now().Add(time.Hour)}, nil
		}
	})
	q := Question{Op: "list", Path: "/x"}
	a.r.sign.keep.have = &held{Credential: Credential{RegistryToken: "old"}, fetched: time.Now().Add(-time.Hour), half: time.Now().Add(time.Hour)}
	fetched.Store(1)
	if _, err := a.Ask(t.Context(), q, nil); err != nil || fetched.Load() != 2 || asked.Load() != 2 {
		t.Errorf("%v after %d sign-ins and %d requests, want 2 of each", err, fetched.Load(), asked.Load())
	}
	good = "3" // replaced as soon as it was taken
	if _, err := a.Ask(t.Context(), q, nil); err != nil || fetched.Load() != 3 {
		t.Errorf("%v after %d sign-ins, want 3", err, fetched.Load())
	}
	good = "never"
	_, err := a.Ask(t.Context(), q, nil)
	wantKind(t, err, providers.Denied)
}

// TestAPIWrites holds that a body is sent whole on each try, and that statuses
// which are no answer are errors with the host's words.
func TestAPIWrites(t *testing.T) {
	var tries atomic.Int32
	a := api(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		switch {
		case req.Method != http.MethodPost || string(body) != `{"name":"p"}` || req.Header.Get("Content-Type") != "application/json":
			http.Error(w, fmt.Sprintf("%s %s", req.Method, body), http.StatusBadRequest)
		case tries.Add(1) == 1:
			w.WriteHeader(http.StatusBadGateway)
		case tries.Load() == 2:
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, `{"errors":[{"code":"CONFLICT","message":"the project is there"}]}`)
		}
	})
	q := Question{Op: "create project", Method: http.MethodPost, Path: "/projects", Body: map[string]string{"name": "p"}, Good: []int{201}}
	got, err := a.Ask(t.Context(), q, nil)
	if err != nil || got.Status != http.StatusCreated || tries.Load() != 2 {
		t.Fatalf("status %d after %d tries: %v", got.Status, tries.Load(), err)
	}
	_, err = a.Ask(t.Context(), q, nil)
	if e := wantKind(t, err, providers.Conflict); !strings.Contains(e.Error(), "the project is there") {
		t.Errorf("error %q does not say what the host said", e)
	}
}

// TestAPIPages holds that Link is followed at the same host only, and that an
// address in a body can be.
func TestAPIPages(t *testing.T) {
	link := `</list?page=2>; rel="next"`
	a := api(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("page") == "" {
			w.Header().Set("Link", link)
		}
		fmt.Fprintf(w, `[%q]`, req.URL.Query().Get("page"))
	})
	q := Question{Op: "list", Path: "/list"}
	pages := func() (all []string, err error) {
		for page, err := range a.Pages(t.Context(), q) {
			if err != nil {
				return all, err
			}
			var names []string
			if err := json.Unmarshal(page, &names); err != nil {
				return all, err
			}
			all = append(all, names...)
		}
		return all, nil
	}
	if all, err := pages(); err != nil || fmt.Sprint(all) != "[ 2]" {
		t.Errorf("pages %q (%v), want two", all, err)
	}
	link = `<http://127.0.0.2:1/list?page=2>; rel="next"`
	_, err := pages()
	wantKind(t, err, providers.Invalid)

	next, err := a.Next(q, "/list?page=3&x=%2F")
	if err != nil || next.Path != "/list" || next.Values.Get("page") != "3" || next.Values.Get("x") != "/" {
		t.Errorf("next %+v (%v)", next, err)
	}
	for _, elsewhere := range []string{"http://127.0.0.2:1/list?page=2", "/list", "://"} {
		if _, err := a.Next(q, elsewhere); providers.KindOf(err) != providers.Invalid {
			t.Errorf("a next page at %s: %v, want Invalid", elsewhere, err)
		}
	}
}

// TestAPIRefuses holds that what is no JSON, a web page and a redirect are errors,
// and that no redirect is followed with a credential.
func TestAPIRefuses(t *testing.T) {
	var fetched, led atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { led.Add(1) }))
	defer elsewhere.Close()
	for name, answer := range map[string]http.HandlerFunc{
		"no JSON":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "oops") },
		"a web page": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			io.CopyN(w, endless{}, maxPage+1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := api(t, answer, func(o *APIOptions) { o.SignIn = as(Credential{RegistryToken: "s3cret"}, &fetched) })
			var into any
			_, err := a.Ask(t.Context(), Question{Op: "list tags", Repo: "team/app", Path: "/x"}, &into)
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Op != "list tags" || !strings.Contains(e.Ref, "/team/app") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v", err)
			}
		})
	}
	if led.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// endless yields spaces.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestAPIOfOwnHost holds that the registry's own host has one width, whoever asks.
func TestAPIOfOwnHost(t *testing.T) {
	s := server(t, nil)
	r := open(t, s)
	a, err := r.API(APIOptions{Host: s.Host()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.r.limit != r.limit || a.r.quota != r.quota || a.r.own != r.own {
		t.Error("the API has limits of its own at the registry's host")
	}
	var into any
	if _, err := a.Ask(t.Context(), Question{Op: "list", Path: "/v2/", Values: url.Values{"n": {"1"}}}, &into); err != nil {
		t.Error(err)
	}
	if n := s.Counts().Requests[registrytest.Ping]; n != 1 {
		t.Errorf("%d pings, want the one that was asked for", n)
	}
}
