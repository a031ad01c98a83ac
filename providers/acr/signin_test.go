package acr

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// works wants the registry to be read by both planes, as somebody so named.
func works(t *testing.T, r *Registry, name, from string) {
	t.Helper()
	if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
		t.Errorf("head: %v", err)
	}
	if rows, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil || len(rows) != 1 {
		t.Errorf("%d rows (%v)", len(rows), err)
	}
	who, err := r.Whoami(t.Context())
	if err != nil || !strings.Contains(who.Name, name) || !strings.Contains(who.From, from) {
		t.Errorf("we are %v (%v), want %s from %s", who, err, name, from)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServicePrincipal(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := app(s)
	works(t, open(t, s, a), "sync, client "+a.ClientID+" of tenant "+acrtest.Tenant, "secret")
	works(t, open(t, s, a, func(o *Options) { o.Identity.Credential = "" }), a.ClientID, "secret")
}

// TestSecretRotates: the secret is asked for at each use, so that one that was
// replaced needs no restart.
func TestSecretRotates(t *testing.T) {
	s := serve(t, acrtest.Options{})
	s.Entra().SetLife(time.Minute) // so that azidentity keeps none
	a := app(s)
	secret := a.Secret
	r := open(t, s, a, func(o *Options) { o.Identity.ClientSecret = func() (string, error) { return secret, nil } })
	works(t, r, a.ClientID, "secret")
	s.Entra().Change(a.ClientID, func(a *acrtest.App) { a.Secret = "new" })
	secret = "new"
	s.ExpireTokens(true)
	works(t, r, a.ClientID, "secret")
}

func TestCertificate(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := s.Entra().App("sync", func(a *acrtest.App) { a.Certificate = true })
	assign(s, a)
	r := open(t, s, a, func(o *Options) {
		o.Identity.ClientSecret, o.Identity.ClientCertificate = nil, write(t, "cert.pem", certificate(t))
	})
	works(t, r, a.ClientID, "certificate")
	_, err := open(t, s, a, func(o *Options) {
		o.Identity.ClientSecret, o.Identity.ClientCertificate = nil, "/none"
	}).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "/none") {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

func certificate(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sync"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// TestEnvironment: the default chain, by a secret in the environment.
func TestEnvironment(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := app(s)
	t.Setenv("AZURE_TENANT_ID", a.Tenant)
	t.Setenv("AZURE_CLIENT_ID", a.ClientID)
	t.Setenv("AZURE_CLIENT_SECRET", a.Secret)
	works(t, open(t, s, a, func(o *Options) { o.Identity = Identity{} }), a.ClientID, "AZURE_CLIENT_SECRET")
}

// TestWorkloadIdentity: a service account's token in a file, which the cluster
// replaces, by name, by the default chain, and by that for one client.
func TestWorkloadIdentity(t *testing.T) {
	s := serve(t, acrtest.Options{})
	const subject = "system:serviceaccount:mirror:transship"
	a := s.Entra().App("pod", func(a *acrtest.App) { a.Secret, a.Subject = "", subject })
	assign(s, a)
	file := write(t, "token", s.Entra().Federated(subject, "api://AzureADTokenExchange"))
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
	t.Setenv("AZURE_TENANT_ID", a.Tenant)
	t.Setenv("AZURE_CLIENT_ID", a.ClientID)
	for name, id := range map[string]Identity{"named": {Credential: workloadIdentity}, "default": {}, "client": {ClientID: a.ClientID, TenantID: a.Tenant}} {
		t.Run(name, func(t *testing.T) {
			r := open(t, s, a, func(o *Options) { o.Identity = id })
			works(t, r, a.ClientID, "AZURE_FEDERATED_TOKEN_FILE")
		})
	}
	r := open(t, s, a, func(o *Options) { o.Identity = Identity{Credential: workloadIdentity} })
	works(t, r, a.ClientID, "")
	s.Entra().Change(a.ClientID, func(a *acrtest.App) { a.Subject = "another" }) // the cluster's tokens are others now
	if err := os.WriteFile(file, []byte(s.Entra().Federated("another", "api://AzureADTokenExchange")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Entra().ForgetTokens()
	s.ExpireTokens(true)
	works(t, r, a.ClientID, "")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", write(t, "wrong", s.Entra().Federated("another", "elsewhere")))
	_, err := open(t, s, a, func(o *Options) { o.Identity = Identity{Credential: workloadIdentity, ClientID: a.ClientID} }).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), a.ClientID) || !strings.Contains(providers.HintOf(err), "audience") {
		t.Errorf("with a token for another audience: %v; %s", err, providers.HintOf(err))
	}
}

// uncached is a life so short that Azure's library does not keep the token for the
// process: a machine has one identity of its own, tests have many.
const uncached = 4 * time.Minute

// TestManagedIdentity: the instance's metadata, for one of its identities.
func TestManagedIdentity(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := s.Entra().App("vm", func(a *acrtest.App) { a.Managed = true })
	s.Entra().SetLife(uncached)
	assign(s, a)
	for name, id := range map[string]Identity{"one": {Credential: managedIdentity, ClientID: a.ClientID}, "the only one": {Credential: managedIdentity},
		"by default": {}, "client": {ClientID: a.ClientID}} {
		t.Run(name, func(t *testing.T) {
			works(t, open(t, s, a, func(o *Options) { o.Identity, o.OCI.Base = id, toEntra(t, s.Entra()) }), a.ClientID, "")
		})
	}
	_, err := open(t, s, a, func(o *Options) {
		o.Identity, o.OCI.Base = Identity{Credential: managedIdentity, ClientID: "other"}, toEntra(t, s.Entra())
	}).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "client other") {
		t.Errorf("another identity than the instance has: %v", err)
	}
}

// TestCLI: who ran az login.
func TestCLI(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := app(s)
	token, ends := s.Entra().Token(a.ClientID, acrtest.RegistryAudience)
	az := write(t, "az", fmt.Sprintf("#!/bin/sh\necho '{\"accessToken\": \"%s\", \"expires_on\": %d, \"expiresOn\": \"x\"}'\n", token, ends.Unix()))
	t.Setenv("PATH", filepath.Dir(az))
	works(t, open(t, s, a, func(o *Options) { o.Identity = Identity{Credential: cli} }), a.ClientID, "Azure CLI")
	t.Setenv("PATH", filepath.Dir(write(t, "az", "#!/bin/sh\necho 'Please run az login' >&2\nexit 1\n")))
	_, err := open(t, s, a, func(o *Options) { o.Identity = Identity{Credential: cli} }).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "az login") {
		t.Errorf("nobody is logged in: %v", err)
	}
}

// TestRefused: an identity that is refused is shown once, and the error says whose
// it is and what to do.
func TestRefused(t *testing.T) {
	const otherTenant = "99999999-2222-3333-4444-555555555555"
	for name, tt := range map[string]struct {
		change    func(*acrtest.App)
		use       func(*acrtest.App)
		err, hint string
	}{
		"wrong secret":   {nil, func(a *acrtest.App) { a.Secret = "wrong" }, "AADSTS7000215", "clientSecret"},
		"expired secret": {func(a *acrtest.App) { a.SecretEnds = time.Now().Add(-time.Hour) }, nil, "AADSTS7000222", "expired"},
		"no such tenant": {nil, func(a *acrtest.App) { a.Tenant = "88888888-2222-3333-4444-555555555555" }, "AADSTS90002", "tenantID"},
		"no such client": {nil, func(a *acrtest.App) { a.ClientID = "00000000-1111" }, "AADSTS700016", "clientID"},
		"wrong tenant":   {func(a *acrtest.App) { a.Tenant = otherTenant }, func(a *acrtest.App) { a.Tenant = otherTenant }, "tenant", "tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, acrtest.Options{})
			a := app(s)
			if tt.change != nil {
				s.Entra().Change(a.ClientID, tt.change)
			}
			if tt.use != nil {
				tt.use(&a)
			}
			r := open(t, s, a)
			for range 20 {
				_, err := r.Head(t.Context(), "team/app", "v1")
				if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), a.ClientID) ||
					!strings.Contains(err.Error(), a.Tenant) || !strings.Contains(providers.HintOf(err), tt.hint) {
					t.Fatalf("%v; %s", err, providers.HintOf(err))
				}
				if strings.Contains(err.Error(), a.Secret) || strings.Contains(err.Error(), "Trace ID") {
					t.Fatalf("it tells too much: %v", err)
				}
			}
			if n := s.Entra().Calls()["secret"]; n != 1 {
				t.Errorf("a refused identity was shown %d times", n)
			}
		})
	}
}

// TestOneToken: many requests, one exchange; and one more when its time is over.
func TestOneToken(t *testing.T) {
	s := serve(t, acrtest.Options{})
	r := open(t, s, app(s), func(o *Options) { o.OCI.Limits.Start, o.OCI.Limits.Max = 1, 1 }) // no slot is left for a fetch to wait for
	many := func() {
		var g sync.WaitGroup
		for range 30 {
			g.Go(func() {
				if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
					t.Error(err)
				}
			})
		}
		g.Wait()
	}
	for round, end := range []func(){func() {}, func() { s.ExpireTokens(true) }, func() { s.Entra().ForgetTokens(); s.ExpireTokens(true) }} {
		end()
		many()
		calls := s.Calls()
		if least := int64(round + 1); calls["exchange"] < least || calls["exchange"] > least+1 || calls["token"] > 3*least {
			t.Errorf("after round %d: %v", round+1, calls)
		}
	}
}

// TestOneTokenForBoth: one that pulls lists, too, whichever is asked for first.
func TestOneTokenForBoth(t *testing.T) {
	for _, push := range []bool{false, true} {
		s := serve(t, acrtest.Options{})
		r := open(t, s, app(s), func(o *Options) { o.OCI.Push = push })
		works(t, r, "", "")
		if n := s.Calls()["token"]; n != 2 { // and one for nothing, by which Whoami asks
			t.Errorf("push %v: %d tokens", push, n)
		}
	}
}

// inProcess serves a request without a socket.
func inProcess(h http.Handler, req *http.Request) *http.Response {
	w := httptest.NewRecorder()
	in := req.Clone(req.Context())
	in.RequestURI, in.Host = req.URL.RequestURI(), req.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	h.ServeHTTP(w, in)
	return w.Result()
}

// noSocket speaks to the emulator's control planes without a socket, and to a
// registry that takes any token and has one image.
type noSocket struct{ s *acrtest.Server }

func (p noSocket) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case req.URL.Host != p.s.Host():
		return inProcess(p.s.Entra(), req), nil
	case !strings.HasPrefix(req.URL.Path, "/v2/"):
		return inProcess(p.s.ControlPlane(), req), nil
	}
	w := httptest.NewRecorder()
	h := w.Header()
	h.Set("Docker-Content-Digest", content.Hash(nil).String())
	h.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	h.Set("Content-Length", "10")
	if req.Header.Get("Authorization") == "" {
		h.Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="%s/oauth2/token",service="%s"`, p.s.URL(), p.s.Host()))
		w.WriteHeader(http.StatusUnauthorized)
	}
	return w.Result(), nil
}

// TestExchanges: a registry that is looked at every five minutes for a day and a
// half makes at most three exchanges an hour of its identity.
func TestExchanges(t *testing.T) {
	s := serve(t, acrtest.Options{})
	synctest.Test(t, func(t *testing.T) {
		r := open(t, s, app(s), func(o *Options) { o.OCI.Base = noSocket{s} })
		const hours = 36
		for range hours * 12 {
			if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
				t.Fatal(err)
			}
			if _, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Minute)
		}
		calls, entra := s.Calls(), s.Entra().Calls()
		t.Logf("in %d hours: %v, and of Entra %v", hours, calls, entra)
		if calls["exchange"]+entra["secret"] > 3*hours || calls["exchange"] > hours*2/3+1 || calls["exchange"] < hours/2 {
			t.Errorf("%v, %v in %d hours", calls, entra, hours)
		}
		if calls["token"] > hours*60/37+1 {
			t.Errorf("%d access tokens in %d hours", calls["token"], hours)
		}
	})
}

// TestRenewalFails: a token that cannot be renewed at half its life is used to its
// end, without a request that waits or fails.
func TestRenewalFails(t *testing.T) {
	s := serve(t, acrtest.Options{})
	synctest.Test(t, func(t *testing.T) {
		r := open(t, s, app(s), func(o *Options) { o.OCI.Base = noSocket{s} })
		if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
			t.Fatal(err)
		}
		s.Fail(1<<30, "exchange", acrtest.Fault{Status: 500, Code: "UNKNOWN", Message: "sorry"})
		time.Sleep(100 * time.Minute)
		for range 6 {
			if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
				t.Fatalf("after half its life: %v", err)
			}
			time.Sleep(10 * time.Minute)
		}
		time.Sleep(2 * time.Hour)
		if _, err := r.Head(t.Context(), "team/app", "v1"); providers.KindOf(err) != providers.Unavailable {
			t.Errorf("after its end: %v", err)
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
	unset(t)
	for name, id := range map[string]Identity{"default": {}, "managed": {Credential: managedIdentity}, "client": {ClientID: "11111111-0000"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := Options{Identity: id}
				o.OCI.Host, o.OCI.Base = "registry.azurecr.io", silentMetadata{}
				r, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				start := time.Now()
				for range 3 {
					_, err = r.Whoami(t.Context())
					if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "no credentials were found") || providers.HintOf(err) == "" {
						t.Fatalf("without credentials: %v", err)
					}
				}
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("it took %v to find out", took)
				}
			})
		})
	}
}

type silentMetadata struct{}

func (silentMetadata) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == metadataHost {
		return silence{}.RoundTrip(req)
	}
	return nil, fmt.Errorf("dial tcp: nobody is at %s", req.URL.Host)
}

// TestOwnPassword: a password of the registry's own, such as its admin user's, is
// used for both planes; anonymous reading needs none.
func TestOwnPassword(t *testing.T) {
	s := serve(t, acrtest.Options{})
	a := app(s)
	r := open(t, s, a, func(o *Options) { o.OCI.Authenticator = &authn.Basic{Username: a.ClientID, Password: a.Secret} })
	works(t, r, a.ClientID, "the policy")
	if n := s.Calls()["exchange"]; n != 0 {
		t.Errorf("%d exchanges", n)
	}
	s.Configure(func(q *acrtest.Quirks) { q.AnonymousPull = true })
	nobody := open(t, s, a, func(o *Options) { o.OCI.Authenticator, o.OCI.Push = authn.Anonymous, false })
	if rows, err := trial.Collect(nobody.Rows(t.Context(), "team/app")); err != nil || len(rows) != 1 {
		t.Errorf("anonymously: %v (%v)", rows, err)
	}
	if err := nobody.TryPush(t.Context(), "team/app"); providers.KindOf(err) != providers.Denied {
		t.Errorf("anonymous push: %v", err)
	}
}

// TestRetryAfter: an exchange that the registry asks to wait for is waited for, and
// halves what is in flight; one that waits too long says so, in seconds or as a date.
func TestRetryAfter(t *testing.T) {
	s := serve(t, acrtest.Options{})
	unavailable := acrtest.Fault{Status: 503, Code: "UNAVAILABLE", Message: "sorry"}
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []string{"20", time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)} {
			r := open(t, s, app(s), func(o *Options) { o.OCI.Base, o.OCI.Retry.Max = noSocket{s}, time.Minute })
			before := r.Limiter().Width()
			fault := unavailable
			fault.RetryAfter = after
			s.Fail(1, "exchange", fault)
			start := time.Now()
			if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); after == "20" && took < 20*time.Second {
				t.Errorf("asked again after %v", took)
			}
			if got := r.Limiter().Width(); got >= before {
				t.Errorf("%d in flight after a 503 with Retry-After, %d before", got, before)
			}
		}
		fault := unavailable
		fault.RetryAfter = time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
		s.Fail(1, "exchange", fault)
		r := open(t, s, app(s), func(o *Options) { o.OCI.Base, o.OCI.Retry.Tries = noSocket{s}, 1 })
		_, err := r.Head(t.Context(), "team/app", "v1")
		if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Unavailable || e.After < 59*time.Minute {
			t.Errorf("%+v", e)
		}
	})
}
