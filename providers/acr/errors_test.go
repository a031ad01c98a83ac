package acr

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestLocked: a locked tag is a conflict that says how to unlock it; one that may
// not be read is no conflict.
func TestLocked(t *testing.T) {
	s := serve(t, acrtest.Options{})
	r := open(t, s, app(s))
	m := content.Image("y", nil)
	trial.Load(t, s, "team/app", m)
	s.Lock("team/app", "v1", func(l *acrtest.Lock) { l.Write = false })
	_, err := r.PutManifest(t.Context(), "team/app", "v1", m.Manifest, providers.PutOptions{})
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Conflict || e.Code != "REGISTRY_DISALLOWED_OPERATION" || !strings.Contains(e.Hint, "az acr repository update") ||
		!strings.Contains(e.Hint, "--image team/app:v1 --write-enabled true") {
		t.Errorf("put: %#v", e)
	}
	if _, err := r.PutManifest(t.Context(), "team/app", "v2", m.Manifest, providers.PutOptions{}); err != nil {
		t.Errorf("another tag: %v", err)
	}
	s.Lock("team/app", "v1", func(l *acrtest.Lock) { l.Read = false })
	_, err = r.Manifest(t.Context(), "team/app", "v1")
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "--read-enabled true") {
		t.Errorf("read: %v; %s", err, providers.HintOf(err))
	}
}

// TestErrors: what ACR says, in the kinds that say what to do, with its own reason.
func TestErrors(t *testing.T) {
	const firewall = "client with IP '203.0.113.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
	for name, tt := range map[string]struct {
		fault acrtest.Fault
		kind  providers.Kind
		tries int64
		hint  string
		after time.Duration
	}{
		"throttled":   {acrtest.Fault{Status: 429, Code: "TOOMANYREQUESTS", Message: "Too many requests", RetryAfter: "3600"}, providers.Throttled, 1, "limits.requests", time.Hour},
		"storage":     {acrtest.Fault{Status: 403, Code: "DENIED", Message: "The registry's storage limit is exceeded"}, providers.Quota, 1, "storage", 0},
		"firewall":    {acrtest.Fault{Status: 403, Code: "DENIED", Message: firewall}, providers.Denied, 1, "network rules", 0},
		"missing":     {acrtest.Fault{Status: 404, Code: "NAME_UNKNOWN", Message: "repository name not known"}, providers.NotFound, 1, "name", 0},
		"unavailable": {acrtest.Fault{Status: 503, Code: "UNAVAILABLE", Message: "sorry"}, providers.Unavailable, 4, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, acrtest.Options{})
			s.Fail(1000, "manifests", tt.fault)
			_, err := trial.Collect(open(t, s, app(s)).Rows(t.Context(), "team/app"))
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != tt.kind || e.Code != tt.fault.Code || e.After != tt.after || !strings.Contains(e.Hint, tt.hint) ||
				!strings.Contains(e.Error(), tt.fault.Message) || !strings.Contains(e.Ref, "team/app") {
				t.Errorf("%#v (%v)", e, err)
			}
			if n := s.Calls()["manifests"]; n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
		})
	}
}

// TestListOnly: an identity that may read and not push is told which role is
// missing, with ABAC and without.
func TestListOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		abac bool
		role acrtest.Role
		hint string
	}{"roles": {false, acrtest.AcrPull, "AcrPush"}, "ABAC": {true, acrtest.RepositoryReader, "Container Registry Repository Writer"}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, acrtest.Options{Quirks: func(q *acrtest.Quirks) { q.ABAC = tt.abac }})
			r := open(t, s, app(s, tt.role))
			if _, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil {
				t.Error(err)
			}
			err := r.TryPush(t.Context(), "team/app")
			if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "grant push on team/app") || !strings.Contains(providers.HintOf(err), tt.hint) {
				t.Errorf("push: %v; %s", err, providers.HintOf(err))
			}
		})
	}
	s := serve(t, acrtest.Options{})
	nobody := s.Entra().App("nobody")
	_, err := trial.Collect(open(t, s, nobody).Rows(t.Context(), "team/app"))
	if providers.KindOf(err) != providers.Denied || !strings.Contains(providers.HintOf(err), "AcrPull") {
		t.Errorf("without a role: %v; %s", err, providers.HintOf(err))
	}
}

// TestWrongPlace: hosts that are none, an authority where nobody is.
func TestWrongPlace(t *testing.T) {
	for _, host := range []string{"acm.azurecr.io", "acmedr.westeurope.data.azurecr.io", "acmedr.azurecr.com", ""} {
		if _, err := New(Options{OCI: oci.Options{Host: host}}); providers.KindOf(err) != providers.Invalid || providers.HintOf(err) == "" {
			t.Errorf("%s: %v", host, err)
		}
	}
	s := serve(t, acrtest.Options{})
	dead := acrtest.StartEntra()
	dead.Close()
	_, err := open(t, s, app(s), func(o *Options) { o.Endpoints.Authority = dead.URL() }).Whoami(t.Context())
	if providers.KindOf(err) != providers.Unavailable || !strings.Contains(providers.HintOf(err), "login.microsoftonline.com") {
		t.Errorf("nobody at the authority: %v; %s", err, providers.HintOf(err))
	}
}

// TestWrongAudience: a token for Azure's resource manager, which most registries
// do not take, from the Azure CLI of somebody else's making.
func TestWrongAudience(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := app(s)
	r := open(t, s, a)
	s.Fail(2, "exchange", acrtest.Fault{Status: 401, Code: "UNAUTHORIZED", Message: "aad access token with arm audience is not allowed"})
	_, err := r.Head(t.Context(), "team/app", "v1")
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "arm audience") || !strings.Contains(err.Error(), a.ClientID) {
		t.Errorf("%v", err)
	}
}

// TestCustomerKey: a registry that is encrypted with a customer's key has no
// referrers API; that is learned, as the capabilities leave it open.
func TestCustomerKey(t *testing.T) {
	s := serve(t, acrtest.Options{})
	r := open(t, s, app(s))
	s.Set(func(q *registrytest.Quirks) { q.NoReferrers = true })
	m, _ := s.Resolve("team/app", "v1")
	if _, err := r.Referrers(t.Context(), "team/app", m.Digest); providers.KindOf(err) != providers.Unsupported {
		t.Errorf("referrers: %v", err)
	}
	c, err := r.Caps(t.Context())
	if err != nil || c.Referrers != providers.Maybe || c.Source(providers.CapReferrers) != providers.Guessed {
		t.Errorf("%v (%v)", c.Referrers, err)
	}
}

// TestObserved: what gives credentials is told to observers as "token", lists by
// their operations, and a throttle narrows the registry.
func TestObserved(t *testing.T) {
	s := serve(t, acrtest.Options{})
	var mu sync.Mutex
	seen := map[string]int{}
	r := open(t, s, app(s), func(o *Options) {
		o.OCI.Observe = func(q oci.Request) {
			mu.Lock()
			defer mu.Unlock()
			seen[q.Op]++
		}
	})
	works(t, r, "sync", "secret")
	width := r.Limiter().Width()
	s.Fail(1, "manifests", acrtest.Fault{Status: 429, Code: "TOOMANYREQUESTS"})
	if _, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil {
		t.Fatal(err)
	}
	if r.Limiter().Width() >= width {
		t.Errorf("the width stayed at %d after a throttle", width)
	}
	if seen[providers.OpTags] != 3 || seen[providers.OpToken] < 4 { // discovery, Entra, exchange, access token
		t.Errorf("observed %v", seen)
	}
}

// TestNothingLeaks: neither logs at any level nor errors hold a secret or a token (I7).
func TestNothingLeaks(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := app(s)
	var said bytes.Buffer
	r := open(t, s, a, func(o *Options) {
		o.OCI.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	works(t, r, "sync", "secret")
	token, err := r.signIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	aad, _ := s.Entra().Token(a.ClientID, acrtest.RegistryAudience)
	tell := func(err error) { said.WriteString(err.Error() + providers.HintOf(err)) }
	s.Fail(10, "exchange", acrtest.Fault{Status: 401, Code: "UNAUTHORIZED", Message: "the token https://x.y/?t=" + aad + " or " + aad + " is not taken"})
	s.ExpireTokens(true)
	_, err = r.Head(context.Background(), "team/app", "v1")
	tell(err)
	s.Entra().Change(a.ClientID, func(a *acrtest.App) { a.SecretEnds = time.Unix(1, 0) })
	_, err = open(t, s, a).Head(context.Background(), "team/app", "v1")
	tell(err)
	for name, secret := range map[string]string{"client secret": a.Secret, "refresh token": token.IdentityToken, "token of Entra": aad} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("the %s is told", name)
		}
	}
	if !strings.Contains(said.String(), "is not taken") || !strings.Contains(said.String(), "AADSTS7000222") || !strings.Contains(said.String(), "request") {
		t.Errorf("the test looked at nothing: %s", said.String())
	}
}

// TestPermissions: what to grant, for reading and for writing.
func TestPermissions(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := app(s)
	r := open(t, s, a)
	for push, want := range map[bool][]string{
		false: {"AcrPull", "Repository Reader", "Catalog Lister", a.ClientID}, true: {"AcrPush", "Repository Writer", "Catalog Lister"}} {
		for _, role := range want {
			if got := r.Permissions(push); !strings.Contains(got, role) {
				t.Errorf("push %v: no %s in %s", push, role, got)
			}
		}
	}
	const imports = "Container Registry Data Importer and Data Reader"
	if got := r.Permissions(true); strings.Contains(got, imports) {
		t.Errorf("who does not import is to be given %s", got)
	}
	if got := importer(t, s, a).Permissions(true); !strings.Contains(got, imports) {
		t.Errorf("who imports is to be given %s", got)
	}
}

// TestName: Azure's tools are told the registry's name, whatever its host has besides.
func TestName(t *testing.T) {
	unset(t)
	for host, want := range map[string]string{"acmedr.azurecr.io": "acmedr", "acmedr-h4sh.azurecr.io": "acmedr", "acmedr-h4sh.westus2.geo.azurecr.io": "acmedr",
		"my-registry.example.com": "my-registry"} {
		r := trial.Open(t, New, Options{OCI: oci.Options{Host: host}})
		if got := r.Permissions(false); !strings.Contains(got, "--name "+want+" ") {
			t.Errorf("%s is %q in\n%s", host, r.name(), got)
		}
	}
}
