package oci

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

func TestRetries(t *testing.T) {
	for name, fault := range map[string]registrytest.Fault{
		"503":                     registrytest.Unavailable(""),
		"429 with Retry-After":    registrytest.Throttled("0"),
		"429 with a past date":    registrytest.Throttled("Mon, 02 Jan 2006 15:04:05 GMT"),
		"500":                     {Status: 500},
		"reset":                   {Break: registrytest.Reset},
		"truncated":               {Break: registrytest.Truncate, At: 10},
		"answer lost":             {Break: registrytest.LoseResponse},
		"502 with a page":         {Status: 502, HTML: "<html>bad gateway</html>"},
		"429 that claims a quota": {Status: 429, Code: "DENIED", Message: "quota"},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, nil)
			m := image("app")
			load(t, s, "app", m, "v1")
			r := open(t, s)
			for _, class := range []registrytest.Class{registrytest.Ping, registrytest.Tags, registrytest.ManifestHead, registrytest.ManifestGet,
				registrytest.BlobGet, registrytest.BlobHead, registrytest.UploadPost, registrytest.UploadPut, registrytest.Mount, registrytest.ManifestPut} {
				s.Next(3, class, fault)
			}
			tagsOf(t, r, "app")
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Error(err)
			}
			if _, err := r.Manifest(t.Context(), "app", "v1"); err != nil {
				t.Error(err)
			}
			if err := copyImage(t.Context(), r, "copy", "v1", m); err != nil {
				t.Error(err)
			}
			if mounted, _, err := r.Mount(t.Context(), "third", "app", m.Blobs[0].Digest); !mounted || err != nil {
				t.Error("mount", mounted, err)
			}
			if raw, err := readBlob(t.Context(), r, "app", m.Blobs[2].Descriptor, 0); err != nil || len(raw) != 5000 {
				t.Errorf("%d bytes, %v", len(raw), err)
			}
			if err := s.Verify("copy", "v1"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheBudgetEnds(t *testing.T) {
	s := server(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s)
	s.Next(100, registrytest.ManifestHead, registrytest.Unavailable(""))
	_, err := r.Head(t.Context(), "app", "v1")
	if e := wantKind(t, err, providers.Unavailable); e.Status != 503 || !strings.Contains(err.Error(), "6 times") {
		t.Errorf("error %v", err)
	}
	if n := s.Counts().Requests[registrytest.ManifestHead]; n != 6 {
		t.Errorf("%d tries, want 6", n)
	}
	if w := r.Limiter().Width(); w >= limit.DefaultStart {
		t.Errorf("width %d after six times 503", w)
	}
}

// A 503 halves the width when it says how long to wait; one alone that does not is
// a request that failed.
func TestWhatThrottles(t *testing.T) {
	for _, tt := range []struct {
		fault registrytest.Fault
		want  int
	}{
		{registrytest.Unavailable(""), limit.DefaultStart},
		{registrytest.Unavailable("0"), limit.DefaultStart / 2},
		{registrytest.Throttled(""), limit.DefaultStart / 2},
		{registrytest.Throttled("0"), limit.DefaultStart / 2},
	} {
		s := server(t, nil)
		load(t, s, "app", image("app"), "v1")
		r := open(t, s)
		s.Next(1, registrytest.ManifestHead, tt.fault)
		if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
			t.Error(err)
		}
		if w := r.Limiter().Width(); w != tt.want {
			t.Errorf("width %d after one %d with Retry-After %q, want %d", w, tt.fault.Status, tt.fault.RetryAfter, tt.want)
		}
	}
}

func TestLongRetryAfterIsTheCallers(t *testing.T) {
	s := server(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s)
	s.Next(1, registrytest.ManifestHead, registrytest.Throttled("7200"))
	_, err := r.Head(t.Context(), "app", "v1")
	if e := wantKind(t, err, providers.Throttled); e.After != 2*time.Hour {
		t.Errorf("after %v", e.After)
	}
	if n := s.Counts().Requests[registrytest.ManifestHead]; n != 1 {
		t.Errorf("%d tries, want 1", n)
	}
}

func TestRefusalsAreNotTriedAgain(t *testing.T) {
	s := server(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s)
	for status, kind := range map[int]providers.Kind{403: providers.Denied, 404: providers.NotFound, 400: providers.Invalid} {
		s.ResetCounts()
		s.Next(1, registrytest.ManifestGet, registrytest.Fault{Status: status})
		_, err := r.Manifest(t.Context(), "app", "v1")
		wantKind(t, err, kind)
		if n := s.Counts().Requests[registrytest.ManifestGet]; n != 1 {
			t.Errorf("%d: %d tries", status, n)
		}
	}
}

func TestContextEndsAsItsCause(t *testing.T) {
	s := server(t, nil)
	m := image("app")
	load(t, s, "app", m, "v1")
	r := open(t, s, func(o *Options) { o.Retry = Retry{Min: time.Hour, Max: time.Hour} })
	stop := errors.New("stop")
	for name, f := range map[string]func(context.Context) error{
		"head": func(ctx context.Context) error { _, err := r.Head(ctx, "app", "v1"); return err },
		"read": func(ctx context.Context) error {
			_, err := readBlob(ctx, r, "app", m.Blobs[0].Descriptor, 0)
			return err
		},
		"upload": func(ctx context.Context) error {
			_, err := r.Put(ctx, "new", m.Blobs[0].Descriptor, m.Blobs[0].Content, providers.UploadOptions{})
			return err
		},
		"mount": func(ctx context.Context) error {
			_, _, err := r.Mount(ctx, "new", "app", m.Blobs[0].Digest)
			return err
		},
	} {
		for _, fault := range []registrytest.Fault{{Delay: time.Hour}, registrytest.Unavailable(""), registrytest.Throttled("60")} {
			ctx, cancel := context.WithCancelCause(t.Context())
			s.Before(func(_ *http.Request, c registrytest.Class) *registrytest.Fault {
				if c == registrytest.Ping {
					return nil
				}
				time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
				return &fault
			})
			if err := f(ctx); err != stop {
				t.Errorf("%s, %+v: error %v, want the cause", name, fault, err)
			}
			cancel(nil)
		}
	}
	for _, c := range []limit.Class{limit.Read, limit.Write} {
		if n := r.Limiter().InFlight(c); n != 0 {
			t.Errorf("%d slots of %s are lost", n, c)
		}
	}
}

func TestSilentHost(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	r := openAt(t, s.URL, func(o *Options) { o.Timeouts.Header = 20 * time.Millisecond })
	_, err := r.Head(t.Context(), "app", "v1")
	wantKind(t, err, providers.Unavailable)
}

// Connections are used again: two times the width are opened, and one more for each
// answer whose rest came too late to be waited for; without reuse it were a thousand.
func TestConnections(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) { q.Redirect = true })
	m := image("app")
	load(t, s, "app", m, "v1")
	r := open(t, s, func(o *Options) { o.Limits.Max, o.Limits.Start = 4, 4 })
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 4 {
				r.Head(t.Context(), "app", "v1")
				r.Manifest(t.Context(), "app", "v2") // an error's body
				readBlob(t.Context(), r, "app", m.Blobs[2].Descriptor, 0)
				b := content.Layer("x", 3000)
				r.Put(t.Context(), "new", b.Descriptor, b.Content, providers.UploadOptions{})
			}
		})
	}
	all.Wait()
	c := s.Counts()
	if c.Connections > 16 || c.StorageConnections > 16 {
		t.Errorf("%d connections to the host and %d to its storage, want some 8: %s", c.Connections, c.StorageConnections, c)
	}
}

func TestObserve(t *testing.T) {
	s := server(t, nil)
	m := image("app")
	load(t, s, "app", m, "v1")
	var mu sync.Mutex
	seen := map[string]Request{}
	r := open(t, s, func(o *Options) {
		o.Observe = func(q Request) {
			mu.Lock()
			defer mu.Unlock()
			seen[q.Op] = q
		}
	})
	readBlob(t.Context(), r, "app", m.Blobs[2].Descriptor, 0)
	b := content.Layer("x", 3000)
	r.Put(t.Context(), "new", b.Descriptor, b.Content, providers.UploadOptions{})
	r.Head(t.Context(), "app", "v9")
	for op, want := range map[string]Request{"ping": {Status: 200}, "get blob": {Status: 200, Got: 5000},
		"put upload": {Status: 201, Sent: 3000, Class: limit.Write}, "head manifest": {Status: 404}} {
		got := seen[op]
		if got.Status != want.Status || got.Sent != want.Sent || want.Got != 0 && got.Got != want.Got || got.Class != want.Class {
			t.Errorf("%s: %+v, want %+v", op, got, want)
		}
	}
}
