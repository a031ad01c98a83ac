package ecr

import (
	"context"
	"fmt"
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
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// works wants the registry to be read by both planes, as somebody whose ARN ends so.
func works(t *testing.T, r *Registry, arn, from string) {
	t.Helper()
	if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
		t.Errorf("head: %v", err)
	}
	if rows, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil || len(rows) != 1 {
		t.Errorf("%d rows (%v)", len(rows), err)
	}
	who, err := r.Whoami(t.Context())
	if err != nil || !strings.HasSuffix(who.Name, arn) || !strings.Contains(who.From, from) {
		t.Errorf("we are %v (%v), want %s from %s", who, err, arn, from)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serve starts an ECR with one image.
func serve(t *testing.T, o ecrtest.Options) *ecrtest.Server {
	t.Helper()
	s := ecrtest.New(t, o)
	if err := s.Load("team/app", content.Image("x", []content.Blob{content.Layer("l", 1000)}), "v1"); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEnvironment(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	works(t, open(t, s), ":user/sync", "the environment")
}

// TestBundle: the SDK's own variable for authorities is no obstacle.
func TestBundle(t *testing.T) {
	s := serve(t, ecrtest.Options{TLS: true})
	signedIn(t, s.IAM().User("sync"))
	t.Setenv("AWS_CA_BUNDLE", write(t, "ca.pem", string(s.CA())))
	r := open(t, s, func(o *Options) { o.OCI.PlainHTTP, o.OCI.TLS.CAPEM = false, s.CA() })
	works(t, r, ":user/sync", "the environment")
}

// TestProfile: a profile that assumes a role, as AWS's own tools do.
func TestProfile(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	k := s.IAM().User("base")
	role := s.IAM().Role("123456789012", "mirror", ecrtest.Trust{Principals: []string{"arn:aws:iam::123456789012:user/base"}, ExternalID: "x-1"})
	t.Setenv("AWS_ENDPOINT_URL_STS", s.Endpoint())
	t.Setenv("AWS_CONFIG_FILE", write(t, "config", fmt.Sprintf("[profile base]\naws_access_key_id = %s\naws_secret_access_key = %s\n"+
		"[profile mirror]\nrole_arn = %s\nexternal_id = x-1\nrole_session_name = nightly\nsource_profile = base\n", k.ID, k.Secret, role)))
	works(t, open(t, s, func(o *Options) { o.Identity.Profile = "mirror" }), "assumed-role/mirror/nightly", "profile mirror")
	_, err := open(t, s, func(o *Options) { o.Identity.Profile = "absent" }).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a profile that is not there: %v", err)
	}
}

// TestRoles: a chain of roles, the first with an external id, the last in another
// account.
func TestRoles(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().UserOf("111111111111", "sync"))
	hop := s.IAM().Role("111111111111", "hop", ecrtest.Trust{Principals: []string{"arn:aws:iam::111111111111:user/sync"}, ExternalID: "x-1"})
	last := s.IAM().Role("123456789012", "mirror", ecrtest.Trust{Principals: []string{hop}})
	r := open(t, s, func(o *Options) {
		o.Identity.Roles = []Role{{ARN: hop, ExternalID: "x-1"}, {ARN: last, SessionName: "nightly"}}
	})
	works(t, r, "assumed-role/mirror/nightly", "auth.aws.roles")
	wrong := open(t, s, func(o *Options) { o.Identity.Roles = []Role{{ARN: hop, ExternalID: "wrong"}} })
	s.ResetCalls()
	for range 20 {
		_, err := wrong.Head(t.Context(), "team/app", "v1")
		if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "role "+hop) || !strings.Contains(err.Error(), "sts:AssumeRole") {
			t.Fatalf("with a wrong external id: %v", err)
		}
	}
	if n := s.Calls()["AssumeRole"]; n != 1 {
		t.Errorf("a refused role was asked for %d times", n)
	}
}

// TestIRSA: a web identity token in a file, which the cluster replaces.
func TestIRSA(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	role := s.IAM().Role("123456789012", "pod", ecrtest.Trust{Subjects: []string{"system:serviceaccount:mirror:transship"}})
	issue := func() string {
		return s.IAM().WebIdentity("system:serviceaccount:mirror:transship", "sts.amazonaws.com", time.Minute)
	}
	file := write(t, "token", issue())
	t.Setenv("AWS_ROLE_ARN", role)
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
	t.Setenv("AWS_ENDPOINT_URL_STS", s.Endpoint())
	t.Setenv("AWS_REGION", s.Region())
	r := open(t, s)
	works(t, r, "", "web identity token")
	if err := os.WriteFile(file, []byte(issue()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.IAM().ExpireSessions()
	s.ExpireTokens()
	works(t, r, "", "web identity token")
	if n := s.Calls()["AssumeRoleWithWebIdentity"]; n != 2 {
		t.Errorf("%d exchanges, want one for each token", n)
	}
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write(t, "wrong", s.IAM().WebIdentity("system:serviceaccount:mirror:transship", "elsewhere", time.Minute)))
	_, err := open(t, s).Whoami(t.Context())
	if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), role) || !strings.Contains(providers.HintOf(err), "audience") {
		t.Errorf("with a token for another audience: %v; %s", err, providers.HintOf(err))
	}
}

// TestPodIdentity: a container's endpoint, with the token in a file.
func TestPodIdentity(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	role := s.IAM().Role("123456789012", "pod", ecrtest.Trust{})
	token := s.IAM().PodToken(role)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", s.PodIdentityURL())
	file := write(t, "token", token)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
	r := open(t, s)
	works(t, r, "assumed-role/pod/eks-cluster-pod", "Pod Identity")
	s.IAM().EndPodToken(token)
	if err := os.WriteFile(file, []byte(s.IAM().PodToken(role)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.IAM().ExpireSessions()
	s.ExpireTokens()
	works(t, r, "", "Pod Identity")
	if n := s.Calls()["PodIdentity"]; n != 2 {
		t.Errorf("%d questions to the agent, want 2", n)
	}
}

// TestOneToken: many requests, one token; and one more when its time is over.
func TestOneToken(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	r := open(t, s, func(o *Options) { o.OCI.Limits.Start, o.OCI.Limits.Max = 1, 1 }) // no slot is left for a fetch to wait for
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
	for round, end := range []func(){func() {}, s.ExpireTokens, s.IAM().ForgetTokens} {
		end()
		many()
		if n := s.Calls()["GetAuthorizationToken"]; n != int64(round+1) {
			t.Errorf("%d tokens after round %d", n, round+1)
		}
	}
}

// TestRevoked: keys that AWS no longer knows stop the registry with one error that
// says whose they are, and are not shown again for every request.
func TestRevoked(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	k := s.IAM().User("sync")
	signedIn(t, k)
	r := open(t, s)
	works(t, r, ":user/sync", "the environment")
	s.IAM().Revoke(k.ID)
	s.ResetCalls()
	for range 20 {
		_, err := r.Head(t.Context(), "team/app", "v1")
		if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "arn:aws:iam::123456789012:user/sync") || !strings.Contains(providers.HintOf(err), "revoked") {
			t.Fatalf("with revoked keys: %v; %s", err, providers.HintOf(err))
		}
		_, err = trial.Collect(r.Rows(t.Context(), "team/app"))
		if providers.KindOf(err) != providers.Denied {
			t.Fatalf("rows with revoked keys: %v", err)
		}
	}
	if n := s.Calls()["GetAuthorizationToken"] + s.Calls()["DescribeImages"]; n != 1 {
		t.Errorf("%d calls with revoked keys, want 1", n)
	}
}

// TestMended: keys that were replaced in AWS's files are found without a restart.
func TestMended(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	old, fresh := s.IAM().User("old"), s.IAM().User("fresh")
	keys := func(k ecrtest.Key) string {
		return fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", k.ID, k.Secret)
	}
	file := write(t, "credentials", keys(old))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	r := open(t, s)
	works(t, r, ":user/old", "configuration files")
	s.IAM().Revoke(old.ID)
	if _, err := trial.Collect(r.Rows(t.Context(), "team/app")); providers.KindOf(err) != providers.Denied {
		t.Fatalf("with revoked keys: %v", err)
	}
	if err := os.WriteFile(file, []byte(keys(fresh)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.session.mu.Lock()
	r.session.until = time.Now() // as if the time had passed
	r.session.mu.Unlock()
	if rows, err := trial.Collect(r.Rows(t.Context(), "team/app")); err != nil || len(rows) != 1 {
		t.Errorf("with new keys: %d rows (%v)", len(rows), err)
	}
}

// inProcess speaks to the emulator's control plane without a socket, and to a
// registry that takes any password and has one image.
type inProcess struct{ s *ecrtest.Server }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if req.URL.Host == p.s.Host() {
		h := w.Header()
		h.Set("Docker-Content-Digest", content.Hash(nil).String())
		h.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		h.Set("Content-Length", "10")
		if req.Header.Get("Authorization") == "" {
			h.Set("Www-Authenticate", `Basic realm="x"`)
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

// TestExchanges: a registry that is looked at every five minutes for a day and a
// half makes at most three exchanges an hour, by a chain of two roles.
func TestExchanges(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	synctest.Test(t, func(t *testing.T) {
		k := s.IAM().User("base")
		t.Setenv("AWS_ACCESS_KEY_ID", k.ID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", k.Secret)
		hop := s.IAM().Role("123456789012", "hop", ecrtest.Trust{Principals: []string{"*"}})
		last := s.IAM().Role("123456789012", "mirror", ecrtest.Trust{Principals: []string{hop}})
		r := open(t, s, func(o *Options) {
			o.OCI.Base = inProcess{s}
			o.Identity.Roles = []Role{{ARN: hop}, {ARN: last}}
		})
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
		calls := s.Calls()
		exchanges := calls["AssumeRole"] + calls["GetAuthorizationToken"]
		t.Logf("%d exchanges in %d hours: %v", exchanges, hours, calls)
		if exchanges > 3*hours || calls["GetAuthorizationToken"] > hours/6+1 || calls["GetAuthorizationToken"] < hours/6 {
			t.Errorf("%d exchanges in %d hours: %v", exchanges, hours, calls)
		}
	})
}

// TestRenewalFails: a token that cannot be renewed at half its life is used to its
// end, without a request that waits or fails.
func TestRenewalFails(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	synctest.Test(t, func(t *testing.T) {
		k := s.IAM().User("base")
		t.Setenv("AWS_ACCESS_KEY_ID", k.ID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", k.Secret)
		r := open(t, s, func(o *Options) { o.OCI.Base = inProcess{s} })
		if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
			t.Fatal(err)
		}
		s.Fail(1<<30, "GetAuthorizationToken", ecrtest.Fault{Status: 500, Code: "ServerException"})
		time.Sleep(7 * time.Hour)
		for range 20 {
			if _, err := r.Head(t.Context(), "team/app", "v1"); err != nil {
				t.Fatalf("after half its life: %v", err)
			}
			time.Sleep(10 * time.Minute)
		}
		time.Sleep(3 * time.Hour)
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
	clean(t)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	synctest.Test(t, func(t *testing.T) {
		o := Options{}
		o.OCI.Host, o.OCI.Base = "123456789012.dkr.ecr.eu-west-1.amazonaws.com", silence{}
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		start := time.Now()
		for range 3 {
			_, err = r.Whoami(t.Context())
			if providers.KindOf(err) != providers.Denied || !strings.Contains(err.Error(), "no credentials were found") {
				t.Fatalf("without credentials: %v", err)
			}
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it took %v to find out", took)
		}
	})
}

// TestAlone: a registry with a password of its own asks a metadata server that is
// not there once in a quarter of an hour, not for every list.
func TestAlone(t *testing.T) {
	clean(t)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	synctest.Test(t, func(t *testing.T) {
		o := Options{}
		o.OCI.Host, o.OCI.Base = "123456789012.dkr.ecr.eu-west-1.amazonaws.com", silence{}
		o.OCI.Authenticator = &authn.Basic{Username: "AWS", Password: "x"}
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		start := time.Now()
		for range 14 {
			if c, err := r.Caps(t.Context()); err != nil || c.BulkDigests {
				t.Errorf("%v (%v)", c.BulkDigests, err)
			}
			time.Sleep(time.Minute)
		}
		if waited := time.Since(start) - 14*time.Minute; waited > 3*time.Second {
			t.Errorf("waited %v in a quarter of an hour", waited)
		}
	})
}

// TestClockOff: a clock ten minutes off is mended by the SDK, once it has seen the
// service's time.
func TestClockOff(t *testing.T) {
	s := serve(t, ecrtest.Options{Quirks: func(q *ecrtest.Quirks) { q.ClockOffset = 10 * time.Minute }})
	signedIn(t, s.IAM().User("sync"))
	works(t, open(t, s), ":user/sync", "the environment")
}

// TestOwnPassword: a password of the registry's own is used for it; the API only if
// AWS's chain finds somebody.
func TestOwnPassword(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	token, err := open(t, s).signIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	given := func(o *Options) {
		o.OCI.Authenticator = &authn.Basic{Username: token.Username, Password: token.Password}
	}
	works(t, open(t, s, given), "", "the policy")
	s.ResetCalls()
	caps, err := open(t, s, given).Caps(t.Context())
	if err != nil || !caps.BulkDigests {
		t.Errorf("with AWS's credentials there: %+v (%v)", caps, err)
	}
	clean(t)
	r := open(t, s, given)
	if caps, err := r.Caps(t.Context()); err != nil || caps.BulkDigests {
		t.Errorf("without: %v (%v)", caps.BulkDigests, err)
	}
	rows, err := trial.Collect(r.Rows(t.Context(), "team/app"))
	if err != nil || len(rows) != 1 || rows[0].Tags[0] != "v1" {
		t.Errorf("without AWS's credentials: %v (%v)", rows, err)
	}
	if err := r.Ensure(t.Context(), "new"); err != nil {
		t.Error(err)
	}
}
