package oci

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// TestAnswered holds that every answer of the registry's own host is told with
// its operation, and none of the storage host, of the token service or of an API.
func TestAnswered(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) {
		q.Redirect, q.Mode, q.Users = true, registrytest.Bearer, map[string]string{"u": "p"}
	})
	m := image("a")
	load(t, s, "app", m, "v1")
	var mu sync.Mutex
	told := map[string]bool{}
	r := open(t, s, func(o *Options) {
		o.Authenticator = authn.FromConfig(authn.AuthConfig{Username: "u", Password: "p"})
		o.Answered = func(op string, h http.Header) {
			mu.Lock()
			defer mu.Unlock()
			told[op] = h.Get("Docker-Distribution-Api-Version") != ""
		}
	})
	if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Manifest(t.Context(), "app", "v9"); err == nil {
		t.Fatal("there is no v9")
	}
	if _, err := readBlob(t.Context(), r, "app", m.Blobs[0].Descriptor, 0); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(told)), []string{"get blob", "get manifest", "head manifest", "ping"}; !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
	for op, header := range told {
		if !header {
			t.Errorf("%s was told without its header", op)
		}
	}
}

// TestExplainRedirect holds that a storage host's refusal is explained by its own
// words, and the registry's by the registry's.
func TestExplainRedirect(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) { q.Redirect = true })
	m := image("a")
	load(t, s, "app", m, "v1")
	r := open(t, s, func(o *Options) {
		o.Retry.Tries = 1
		o.Explain = func(Refusal) (providers.Kind, string, bool) { return providers.Conflict, "the registry's", true }
		o.ExplainRedirect = func(f Refusal) (providers.Kind, string, bool) {
			return providers.Throttled, f.Message, f.Status == http.StatusServiceUnavailable
		}
	})
	s.Before(func(_ *http.Request, c registrytest.Class) *registrytest.Fault {
		if c != registrytest.Storage {
			return nil
		}
		return &registrytest.Fault{Status: http.StatusServiceUnavailable, Message: "Egress is over"}
	})
	_, err := readBlob(t.Context(), r, "app", m.Blobs[0].Descriptor, 0)
	if e := wantKind(t, err, providers.Throttled); e.Hint != "Egress is over" {
		t.Errorf("hint %q", e.Hint)
	}
	_, err = r.Head(t.Context(), "app", "v9")
	wantKind(t, err, providers.Conflict)
}

// TestCredential holds that an API of the same account is given what the registry
// is shown, and that it prints as nothing.
func TestCredential(t *testing.T) {
	for name, tt := range map[string]struct {
		config             authn.AuthConfig
		user, password, to string
	}{
		"name and password": {authn.AuthConfig{Username: "u", Password: "s3cret"}, "u", "s3cret", ""},
		"both in one":       {authn.AuthConfig{Auth: "dTpzM2NyZXQ="}, "u", "s3cret", ""},
		"a token":           {authn.AuthConfig{RegistryToken: "s3cret"}, "", "", "s3cret"},
		"nobody":            {authn.AuthConfig{}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, server(t, nil), func(o *Options) { o.Authenticator = authn.FromConfig(tt.config) })
			c, err := r.Credential(t.Context())
			if err != nil || c.Username != tt.user || c.Password != tt.password || c.RegistryToken != tt.to {
				t.Errorf("user %q, password %v, token %v (%v)", c.Username, c.Password == tt.password, c.RegistryToken == tt.to, err)
			}
			if strings.Contains(c.String(), "s3cret") {
				t.Error("it prints its secret")
			}
		})
	}
}
