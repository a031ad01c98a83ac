package gar

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// inProcess speaks to the emulator's API without a socket, and to a registry that
// takes any token and has one image.
type inProcess struct{ s *gartest.Server }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if req.URL.Host == p.s.Host() {
		h := w.Header()
		h.Set("Docker-Content-Digest", content.Hash(nil).String())
		h.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		h.Set("Content-Length", "10")
		if req.Header.Get("Authorization") == "" {
			h.Set("Www-Authenticate", `Bearer realm="http://`+p.s.Host()+`/v2/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		return w.Result(), nil
	}
	in := req.Clone(req.Context())
	in.RequestURI, in.Host = req.URL.RequestURI(), req.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	p.s.ControlPlane().ServeHTTP(w, in)
	return w.Result(), nil
}

// TestExchanges: a registry that is looked at every five minutes for a day makes
// less than three exchanges an hour, with a key and by a chain of accounts; no more
// and no fewer if the API alone is asked.
func TestExchanges(t *testing.T) {
	for _, tt := range []struct {
		accounts []string
		alone    bool
	}{{}, {accounts: []string{"last"}}, {alone: true}} {
		s := serve(t, gartest.Options{})
		base := s.IAM().Account("base")
		signedIn(t, s, base)
		var chain []string
		for _, name := range tt.accounts {
			chain = append(chain, s.IAM().Account(name))
			s.IAM().Trust(chain[0], base)
		}
		synctest.Test(t, func(t *testing.T) {
			r := open(t, s, func(o *Options) { o.OCI.Base, o.Identity.Impersonate = inProcess{s}, chain })
			const hours = 24
			for range hours * 12 {
				if !tt.alone {
					if _, err := r.Head(t.Context(), app, "v1"); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := trial.Collect(r.Repositories(t.Context(), "acme/")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
			}
			calls := s.Calls()
			t.Logf("%d exchanges of the key, %d impersonations in %d hours", calls["Token"], calls["GenerateAccessToken"], hours)
			if calls["Token"]+calls["GenerateAccessToken"] > 3*hours || calls["Token"] < hours {
				t.Errorf("calls %v", calls)
			}
		})
	}
}

// TestRenewalFails: a token that cannot be renewed in time is used to its end.
func TestRenewalFails(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	synctest.Test(t, func(t *testing.T) {
		r := open(t, s, func(o *Options) { o.OCI.Base = inProcess{s} })
		both := func() (error, error) {
			_, head := r.Head(t.Context(), app, "v1")
			_, list := trial.Collect(r.Repositories(t.Context(), "acme/"))
			return head, list
		}
		if head, list := both(); head != nil || list != nil {
			t.Fatal(head, list)
		}
		s.Fail(1<<30, "Token", gartest.Fault{Code: 503, Status: "UNAVAILABLE"})
		time.Sleep(50 * time.Minute)
		asked := s.Calls()["Token"]
		if head, list := both(); head != nil || list != nil || s.Calls()["Token"] == asked {
			t.Errorf("shortly before its end: %v, %v", head, list)
		}
		time.Sleep(time.Hour)
		if head, list := both(); providers.KindOf(head) != providers.Unavailable || providers.KindOf(list) != providers.Unavailable {
			t.Errorf("after its end: %v, %v", head, list)
		}
	})
}

// silence never answers.
type silence struct{}

func (silence) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}

// TestNoMetadata: where nobody answers for the instance's metadata, it is known
// within three seconds that there are no credentials.
func TestNoMetadata(t *testing.T) {
	clean(t)
	synctest.Test(t, func(t *testing.T) {
		o := Options{}
		o.OCI.Host, o.OCI.Base = "europe-west1-docker.pkg.dev", silence{}
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		start := time.Now()
		for range 3 {
			_, err = trial.Collect(r.Repositories(t.Context(), "acme/"))
			if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "no credentials were found") {
				t.Fatalf("without credentials: %v", err)
			}
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it took %v to find out", took)
		}
	})
}

// counted counts the requests that nobody answers.
type counted struct {
	silence
	n *int
}

func (c counted) RoundTrip(req *http.Request) (*http.Response, error) {
	*c.n++
	return c.silence.RoundTrip(req)
}

// TestAlone: a registry with a password of its own asks a metadata service that is
// not there once in a quarter of an hour, not for every job.
func TestAlone(t *testing.T) {
	clean(t)
	synctest.Test(t, func(t *testing.T) {
		var n int
		o := Options{}
		o.OCI.Host, o.OCI.Base = "europe-west1-docker.pkg.dev", counted{n: &n}
		o.OCI.Authenticator = &authn.Basic{Username: "_json_key", Password: "x"}
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range 60 {
			if caps, err := r.Caps(t.Context()); err != nil || caps.Catalog != providers.No {
				t.Fatal(caps.Catalog, err)
			}
			time.Sleep(time.Minute)
		}
		if n < 2 || n > 5 {
			t.Errorf("asked %d times in an hour", n)
		}
	})
}

// TestMetadataStarts: a metadata service that is not ready is no refusal.
func TestMetadataStarts(t *testing.T) {
	s := serve(t, gartest.Options{})
	clean(t)
	s.Attach(s.IAM().Account("pod"))
	synctest.Test(t, func(t *testing.T) {
		r := open(t, s, func(o *Options) { o.OCI.Base = inProcess{s} })
		s.Fail(10, "Metadata", gartest.Fault{Code: 503, Message: "starting"})
		if _, err := r.Head(t.Context(), app, "v1"); providers.KindOf(err) != providers.Unavailable {
			t.Errorf("while the service starts: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := r.Head(t.Context(), app, "v1"); err != nil {
			t.Errorf("once it has: %v", err)
		}
	})
}

// TestRetryAfter: what the API asks to wait is waited for, in seconds and as a date,
// and halves what is in flight; more than the budget has is told instead.
func TestRetryAfter(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	for _, tt := range []struct {
		name  string
		after func() string
		fails bool
		waits time.Duration
	}{
		{name: "seconds", after: func() string { return "40" }, waits: 40 * time.Second},
		{name: "a date", after: func() string { return time.Now().Add(50 * time.Second).UTC().Format(http.TimeFormat) }, waits: 49 * time.Second},
		{name: "an hour", after: func() string { return "3600" }, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := open(t, s, func(o *Options) { o.OCI.Base = inProcess{s} })
				before := r.Limiter().Width()
				s.Fail(1, "ListRepositories", gartest.Fault{Code: 503, Status: "UNAVAILABLE", RetryAfter: tt.after()})
				start := time.Now()
				_, err := trial.Collect(r.Repositories(t.Context(), "acme/"))
				took := time.Since(start)
				if tt.fails != (providers.KindOf(err) == providers.Unavailable) || took < tt.waits || took > tt.waits+10*time.Second {
					t.Errorf("%v after %v, want to wait %v", err, took, tt.waits)
				}
				if after := r.Limiter().Width(); after >= before {
					t.Errorf("%d in flight after a 503 with Retry-After, %d before", after, before)
				}
			})
		})
	}
}

// TestSignInAfter: a token service that asks to wait is told of with how long.
func TestSignInAfter(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	synctest.Test(t, func(t *testing.T) {
		r := open(t, s, func(o *Options) { o.OCI.Base = inProcess{s} })
		s.Fail(1000, "Token", gartest.Fault{Code: 503, Status: "UNAVAILABLE", RetryAfter: "30"})
		_, err := r.Head(t.Context(), app, "v1")
		if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Unavailable || e.After != 30*time.Second {
			t.Errorf("%+v", e)
		}
	})
}
