package gar

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

const app = "acme/mirror/team/app"

// works wants the registry to be read by both planes, as somebody of that name.
func works(t *testing.T, r *Registry, name, from string) {
	t.Helper()
	if _, err := r.Head(t.Context(), app, "v1"); err != nil {
		t.Errorf("head: %v", err)
	}
	if names, err := trial.Collect(r.Repositories(t.Context(), "acme/")); err != nil || len(names) != 1 {
		t.Errorf("repositories %v (%v)", names, err)
	}
	who, err := r.Whoami(t.Context())
	if err != nil || who.Name != name || !strings.Contains(who.From, from) || who.Expires.IsZero() {
		t.Errorf("we are %+v (%v), want %s from %s", who, err, name, from)
	}
}

func TestKeyFile(t *testing.T) {
	s := serve(t, gartest.Options{})
	email := s.IAM().Account("sync")
	file := signedIn(t, s, email)
	works(t, open(t, s), email, "GOOGLE_APPLICATION_CREDENTIALS")
	clean(t)
	path := write(t, "key.json", file)
	works(t, open(t, s, func(o *Options) { o.Identity.CredentialsFile = path }), email, "auth.gcp.credentialsFile")
}

// TestGcloud: the login of a person, where gcloud writes it.
func TestGcloud(t *testing.T) {
	s := serve(t, gartest.Options{})
	clean(t)
	dir := os.Getenv("HOME") + "/.config/gcloud"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/application_default_credentials.json", s.UserFile(s.IAM().Account("ann")), 0o600); err != nil {
		t.Fatal(err)
	}
	works(t, open(t, s), "gcloud's user", "gcloud")
}

// TestMetadata: the account of an instance, or of a pod by GKE.
func TestMetadata(t *testing.T) {
	s := serve(t, gartest.Options{})
	clean(t)
	t.Setenv("GCE_METADATA_HOST", s.MetadataHost())
	_, err := open(t, s).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "no credentials were found") {
		t.Errorf("without an account: %v", err)
	}
	s.Fail(1, "Metadata", gartest.Fault{Code: 403, Message: "Permission 'iam.serviceAccounts.getAccessToken' denied on resource"})
	_, err = open(t, s).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "getAccessToken") || !strings.Contains(providers.HintOf(err), "workloadIdentityUser") {
		t.Errorf("with an account that may not be used: %v; %s", err, providers.HintOf(err))
	}
	email := s.IAM().Account("pod")
	s.Attach(email)
	works(t, open(t, s), email, "metadata")
	if n := s.Calls()["Metadata"]; n != 1 {
		t.Errorf("%d tokens, want 1 for both planes", n)
	}
}

// TestFederation: a workload of another cloud, for itself and as an account; the
// cluster replaces its token.
func TestFederation(t *testing.T) {
	s := serve(t, gartest.Options{})
	const audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s"
	email := s.IAM().Account("sync")
	s.IAM().Trust(email, gartest.Principal("pod"))
	s.IAM().Allow(gartest.Principal("pod"))
	subject := write(t, "subject", []byte(s.IAM().Workload("pod", audience)))
	for account, name := range map[string]string{"": "the workload of " + audience, email: email} {
		clean(t)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", write(t, "wif.json", s.FederationFile(audience, subject, account)))
		r := open(t, s)
		works(t, r, name, "GOOGLE_APPLICATION_CREDENTIALS")
		if err := os.WriteFile(subject, []byte(s.IAM().Workload("pod", audience)), 0o600); err != nil {
			t.Fatal(err)
		}
		s.IAM().ExpireTokens()
		works(t, r, name, "GOOGLE_APPLICATION_CREDENTIALS")
	}
	wrong := write(t, "subject", []byte(s.IAM().Workload("pod", "elsewhere")))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", write(t, "wif.json", s.FederationFile(audience, wrong, "")))
	_, err := open(t, s).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), audience) || !strings.Contains(providers.HintOf(err), "audience") {
		t.Errorf("with a token for another audience: %v; %s", err, providers.HintOf(err))
	}
}

// TestImpersonation: a chain of accounts, in one exchange; one that is not trusted
// stops the registry and is asked for once.
func TestImpersonation(t *testing.T) {
	s := serve(t, gartest.Options{})
	base, hop, last := s.IAM().Account("base"), s.IAM().Account("hop", "nothing"), s.IAM().Account("last")
	s.IAM().Trust(hop, base)
	s.IAM().Trust(last, hop)
	signedIn(t, s, base)
	r := open(t, s, func(o *Options) { o.Identity.Impersonate = []string{hop, last} })
	works(t, r, last, "impersonated by "+base)
	if n := s.Calls()["GenerateAccessToken"]; n != 1 {
		t.Errorf("%d exchanges for a chain of two", n)
	}
	wrong := open(t, s, func(o *Options) { o.Identity.Impersonate = []string{last} })
	s.ResetCalls()
	for range 20 {
		_, err := wrong.Head(t.Context(), app, "v1")
		if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), last) || !strings.Contains(providers.HintOf(err), "serviceAccountTokenCreator") {
			t.Fatalf("without trust: %v; %s", err, providers.HintOf(err))
		}
		_, err = trial.Collect(wrong.Repositories(t.Context(), "acme/"))
		if providers.KindOf(err) != providers.Denied {
			t.Fatalf("repositories without trust: %v", err)
		}
	}
	if n := s.Calls()["GenerateAccessToken"]; n != 1 {
		t.Errorf("a refused account was asked for %d times", n)
	}
}

// TestOneToken: many requests of both planes, one token; and one more when its time
// is over.
func TestOneToken(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	r := open(t, s, func(o *Options) { o.OCI.Limits.Start, o.OCI.Limits.Max = 1, 1 }) // no slot is left for a fetch to wait for
	for round := range 3 {
		var g sync.WaitGroup
		for range 20 {
			g.Go(func() {
				if _, err := r.Head(t.Context(), app, "v1"); err != nil {
					t.Error(err)
				}
			})
			g.Go(func() {
				if _, err := trial.Collect(r.Repositories(t.Context(), "acme/mirror/")); err != nil {
					t.Error(err)
				}
			})
			g.Go(func() { // as what is not bound to the width of the requests
				if _, err := r.token(t.Context(), ""); err != nil {
					t.Error(err)
				}
			})
		}
		g.Wait()
		if n := s.Calls()["Token"]; n != int64(round+1) {
			t.Errorf("%d tokens after round %d", n, round+1)
		}
		s.IAM().ExpireTokens()
	}
}

// ending ends every token in the middle of a read.
type ending struct {
	s    *gartest.Server
	from io.ReaderAt
	once sync.Once
}

func (e *ending) ReadAt(p []byte, at int64) (int, error) {
	e.once.Do(e.s.IAM().ExpireTokens)
	return e.from.ReadAt(p, at)
}

// TestExpiryInACopy: tokens that end between and within the steps of a copy are
// renewed, and no blob is read or sent twice.
func TestExpiryInACopy(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	layer := content.Layer("large", 3<<20)
	m := content.Image("x", []content.Blob{layer})
	if err := s.Load("acme/from/app", m, "v1"); err != nil {
		t.Fatal(err)
	}
	r := open(t, s)
	if err := r.Ensure(t.Context(), "acme/to/app"); err != nil {
		t.Fatal(err)
	}
	body, err := r.Open(t.Context(), "acme/from/app", layer.Descriptor, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.IAM().ExpireTokens()
	if n, err := io.Copy(io.Discard, body); err != nil || n != layer.Size || body.Close() != nil {
		t.Errorf("read %d (%v)", n, err)
	}
	for _, b := range m.Blobs {
		if _, err := r.Put(t.Context(), "acme/to/app", b.Descriptor, &ending{s: s, from: b.Content}, providers.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.PutManifest(t.Context(), "acme/to/app", "v1", m.Manifest, providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	c := s.Counts()
	if got := c.Digests[layer.Digest.String()]; got.Reads != 1 || got.Uploads != 1 || got.BytesOut != layer.Size || got.BytesIn != layer.Size {
		t.Errorf("the layer moved so: %+v", got)
	}
	if n := s.Calls()["Token"]; n < 2 {
		t.Errorf("%d tokens: none ended", n)
	}
}

// TestRevoked: a key that Google no longer knows stops the registry with one error
// that says whose it is; one that takes its place is found without a restart.
func TestRevoked(t *testing.T) {
	s := serve(t, gartest.Options{})
	email := s.IAM().Account("sync")
	file := s.KeyFile(email)
	clean(t)
	path := write(t, "key.json", file)
	r := open(t, s, func(o *Options) { o.Identity.CredentialsFile = path })
	works(t, r, email, "credentialsFile")
	s.RevokeKey(file)
	s.IAM().ExpireTokens()
	s.ResetCalls()
	for range 20 {
		_, err := r.Head(t.Context(), app, "v1")
		if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), email) || !strings.Contains(providers.HintOf(err), "revoked") {
			t.Fatalf("with a revoked key: %v; %s", err, providers.HintOf(err))
		}
		if _, err := trial.Collect(r.Repositories(t.Context(), "acme/")); providers.KindOf(err) != providers.Denied {
			t.Fatalf("repositories with a revoked key: %v", err)
		}
	}
	if n := s.Calls()["Token"] + s.Calls()["ListRepositories"]; n != 1 {
		t.Errorf("%d calls with a revoked key, want 1", n)
	}
	if err := os.WriteFile(path, s.KeyFile(email), 0o600); err != nil {
		t.Fatal(err)
	}
	r.tokens.mu.Lock()
	r.tokens.until = time.Now() // as if the time had passed
	r.tokens.mu.Unlock()
	if names, err := trial.Collect(r.Repositories(t.Context(), "acme/")); err != nil || len(names) != 1 {
		t.Errorf("with a new key: %v (%v)", names, err)
	}
}

// TestBadFiles: what is no credential is told with its place.
func TestBadFiles(t *testing.T) {
	s := serve(t, gartest.Options{})
	for name, text := range map[string]string{"no JSON": "hello", "no type": "{}", "another": `{"type": "gdch_service_account"}`} {
		clean(t)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", write(t, "key.json", []byte(text)))
		_, err := open(t, s).Head(t.Context(), app, "v1")
		if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := open(t, s, func(o *Options) { o.Identity.CredentialsFile = "/absent" }).Head(t.Context(), app, "v1")
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "auth.gcp.credentialsFile") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestWrongPlace: a clock that is off, and an API that cannot be reached.
func TestWrongPlace(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	for _, off := range []time.Duration{-10 * time.Minute, 2 * time.Hour} {
		s.Configure(func(q *gartest.Quirks) { q.ClockOffset = off })
		_, err := open(t, s).Whoami(t.Context())
		if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "sync@") || !strings.Contains(providers.HintOf(err), "clock") {
			t.Errorf("with a clock that is %v off: %v; %s", off, err, providers.HintOf(err))
		}
	}
	s.Configure(func(q *gartest.Quirks) { q.ClockOffset = 0 })
	away := open(t, s, func(o *Options) { o.Endpoints.API = "http://127.0.0.1:1" })
	_, err := trial.Collect(away.Repositories(t.Context(), "acme/"))
	if providers.KindOf(err) != providers.Unavailable || !strings.Contains(providers.HintOf(err), "artifactregistry.googleapis.com") {
		t.Errorf("an API that is not there: %v", err)
	}
	if rows, err := trial.Collect(away.Rows(t.Context(), app)); err != nil || len(rows) != 1 {
		t.Errorf("tags without the API: %v (%v)", rows, err)
	}
	if err := away.Ensure(t.Context(), app); providers.KindOf(err) != providers.Unavailable {
		t.Errorf("ensure without the API: %v", err)
	}
}

// TestGiven: a credential of the registry's own is used for it; where Google's
// search finds nobody, tags are listed all the same, and repositories are not.
func TestGiven(t *testing.T) {
	s := serve(t, gartest.Options{})
	clean(t)
	file := s.KeyFile(s.IAM().Account("sync"))
	r := open(t, s, func(o *Options) {
		o.OCI.Authenticator = &authn.Basic{Username: "_json_key", Password: string(file)}
	})
	if rows, err := trial.Collect(r.Rows(t.Context(), app)); err != nil || len(rows) != 1 || rows[0].Digest.Hex == "" {
		t.Errorf("rows %v (%v)", rows, err)
	}
	if caps, err := r.Caps(t.Context()); err != nil || caps.Catalog != providers.No {
		t.Errorf("caps %+v (%v)", caps, err)
	}
	if _, err := trial.Collect(r.Repositories(t.Context(), "acme/")); providers.KindOf(err) != providers.Unsupported {
		t.Errorf("repositories: %v", err)
	}
	if err := r.Ensure(t.Context(), "acme/absent/app"); err != nil {
		t.Errorf("ensure: %v", err)
	}
}

// TestNothingPrinted: a token prints as nothing of it.
func TestNothingPrinted(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	r := open(t, s)
	c, err := r.signIn(t.Context())
	if err != nil || strings.Contains(fmt.Sprintf("%v %+v", c, c), c.RegistryToken) {
		t.Errorf("%v (%v)", c, err)
	}
}
