package oci

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// hurried gives a client little patience, and two tries.
func hurried(o *Options) {
	o.Timeouts.Idle, o.Timeouts.Header = 300*time.Millisecond, 300*time.Millisecond
	o.Retry.Tries = 2
}

// A host that sends a byte now and then keeps nobody: neither in a header nor in a
// body, although something moves all the time.
func TestDrip(t *testing.T) {
	m := image("app")
	for name, tt := range map[string]struct {
		class registrytest.Class
		kind  registrytest.Break
		ask   func(*Registry) error
	}{
		"header":   {registrytest.ManifestHead, registrytest.DripHeader, func(r *Registry) error { _, err := r.Head(t.Context(), "app", "v1"); return err }},
		"manifest": {registrytest.ManifestGet, registrytest.Drip, func(r *Registry) error { _, err := r.Manifest(t.Context(), "app", "v1"); return err }},
		"list":     {registrytest.Tags, registrytest.Drip, func(r *Registry) error { _, err := listError(t, r); return err }},
		"blob": {registrytest.BlobGet, registrytest.Drip, func(r *Registry) error {
			_, err := readBlob(t.Context(), r, "app", m.Blobs[2].Descriptor, 0)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, nil)
			load(t, s, "app", m, "v1")
			var got atomic.Int64
			r := open(t, s, hurried, func(o *Options) { o.Observe = func(q Request) { got.Add(q.Got) } })
			s.Next(2, tt.class, registrytest.Fault{Break: tt.kind, For: 20 * time.Millisecond})
			wantKind(t, tt.ask(r), providers.Unavailable)
			if n := got.Load(); n > 100 {
				t.Errorf("%d bytes were waited for one by one", n)
			}
			if n := s.Counts().Requests[tt.class]; n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
			if err := tt.ask(r); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// An answer that is no blob comes to its end, however steadily it moves.
func TestSteadyAnswerWithoutEnd(t *testing.T) {
	r := host(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v2/" {
			return
		}
		fmt.Fprint(w, `{"tags":["`)
		for req.Context().Err() == nil {
			fmt.Fprint(w, strings.Repeat("a", 1000))
			http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond) // the pace of the host
		}
	})
	r.opts.Timeouts.Idle, r.opts.Retry.Tries = 200*time.Millisecond, 1
	_, err := listError(t, r)
	if wantKind(t, err, providers.Unavailable); !errors.Is(err, errSlow) && !strings.Contains(err.Error(), errSlow.Error()) {
		t.Errorf("error %v", err)
	}
}

// Lists that have no end stop with an error that says so.
func TestListsWithoutEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		quirk func(*registrytest.Quirks)
		says  string
		most  int64
	}{
		"a circle":       {func(q *registrytest.Quirks) { q.Circle = true }, "circle", 3},
		"ever new names": {func(q *registrytest.Quirks) { q.NoEnd = true }, "no end", maxPages},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, tt.quirk)
			load(t, s, "app", image("app"), "v1")
			_, err := listError(t, open(t, s))
			if e := wantKind(t, err, providers.Invalid); !strings.Contains(err.Error(), tt.says) || e.Hint == "" {
				t.Errorf("error %v, hint %q", err, e.Hint)
			}
			if n := s.Counts().Requests[registrytest.Tags]; n > tt.most {
				t.Errorf("%d pages were asked for, want at most %d", n, tt.most)
			}
		})
	}
	t.Run("large pages", func(t *testing.T) {
		page, names := 0, strings.Repeat(`"v1",`, 400_000)
		r := host(t, func(w http.ResponseWriter, req *http.Request) {
			page++
			w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?page=%d>; rel="next"`, page))
			fmt.Fprintf(w, `{"tags":[%s"v%d"]}`, names, page)
		})
		_, err := listError(t, r)
		if wantKind(t, err, providers.Invalid); page > maxNames/400_000+2 {
			t.Errorf("%d pages, %v", page, err)
		}
	})
}

// A page for people is no answer to a write, whatever its status says.
func TestPageIsNoAnswerToAWrite(t *testing.T) {
	m := image("app")
	for _, class := range []registrytest.Class{registrytest.UploadPost, registrytest.UploadPut, registrytest.ManifestPut, registrytest.Mount} {
		t.Run(string(class), func(t *testing.T) {
			s := server(t, nil)
			load(t, s, "lib", m, "v1")
			r := open(t, s)
			s.Next(1, class, registrytest.Fault{HTML: "<html>sign in</html>"})
			var err error
			if class == registrytest.Mount {
				_, _, err = r.Mount(t.Context(), "app", "lib", m.Blobs[0].Digest)
			} else {
				err = copyImage(t.Context(), r, "app", "v1", m)
			}
			if e := wantKind(t, err, providers.Invalid); e.Hint == "" {
				t.Error("no hint")
			}
		})
	}
}

// What is packed without being asked for is said to be so; a blob's bytes are its
// own business.
func TestUnaskedEncoding(t *testing.T) {
	s := server(t, nil)
	m := image("app")
	load(t, s, "app", m, "v1")
	r := open(t, s)
	for class, ask := range map[registrytest.Class]func() error{
		registrytest.ManifestGet: func() error { _, err := r.Manifest(t.Context(), "app", "v1"); return err },
		registrytest.Tags:        func() error { _, err := listError(t, r); return err },
	} {
		s.Next(1, class, registrytest.Fault{Break: registrytest.Gzip})
		err := ask()
		if e := wantKind(t, err, providers.Invalid); !strings.Contains(err.Error(), "gzip") || e.Hint == "" {
			t.Errorf("%s: %v, hint %q", class, err, e.Hint)
		}
	}
}

// That a host has no referrers API is believed for days: one odd answer does not
// say so.
func TestOddReferrersAreAskedForAgain(t *testing.T) {
	for name, odd := range map[string]registrytest.Fault{
		"a page":   {HTML: "<html>sign in</html>"},
		"packed":   {Break: registrytest.Gzip},
		"cut JSON": {Break: registrytest.Short, At: 30},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, nil)
			m := image("app")
			load(t, s, "app", m, "v1")
			r := open(t, s)
			s.Next(3, registrytest.Referrers, odd)
			if _, err := r.Referrers(t.Context(), "app", m.Digest); err != nil {
				t.Errorf("the fourth answer is right: %v", err)
			}
			s.Next(100, registrytest.Referrers, odd)
			_, err := r.Referrers(t.Context(), "app", m.Digest)
			want := providers.Unavailable
			if name == "a page" {
				want = providers.Unsupported // it is all that the host has there
			}
			wantKind(t, err, want)
		})
	}
}

// A token service's answer is bounded, and said to be none.
func TestTokensThatAreNone(t *testing.T) {
	for name, body := range map[string]string{
		"too long":    `{"token":"` + strings.Repeat("x", maxToken) + `"}`,
		"empty":       `{}`,
		"no JSON":     `token`,
		"not a token": `{"token":"two words"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := bearerServer(t, nil)
			load(t, s, "app", image("app"), "v1")
			s.Next(100, registrytest.Token, registrytest.Fault{JSON: body})
			_, err := open(t, s, signedIn).Head(t.Context(), "app", "v1")
			if e := wantKind(t, err, providers.Denied); e.Hint == "" {
				t.Error("no hint")
			}
			if n := s.Counts().Requests[registrytest.Token]; n > 2 {
				t.Errorf("%d tokens were asked for", n)
			}
		})
	}
}
