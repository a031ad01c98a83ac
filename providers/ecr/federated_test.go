package ecr

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/trial"
)

// cluster is an issuer whose tokens live for ten minutes.
type cluster struct {
	s     *ecrtest.Server
	asked atomic.Int64
	fails atomic.Bool
}

const subject = "system:serviceaccount:mirror:transship"

func (c *cluster) Assertion(_ context.Context, audience string) (providers.Assertion, error) {
	c.asked.Add(1)
	if c.fails.Load() {
		return providers.Assertion{}, &providers.Error{Kind: providers.Unavailable, Op: "ask", Ref: "the cluster", Err: context.DeadlineExceeded}
	}
	return providers.Assertion{Token: providers.Hidden(c.s.IAM().WebIdentity(subject, audience, 10*time.Minute)), Subject: subject,
		Expires: time.Now().Add(10 * time.Minute)}, nil
}

func (c *cluster) Whoami(context.Context) (providers.Identity, error) {
	return providers.Identity{Name: subject}, nil
}

// TestFederatedDay: a registry that is looked at every five minutes for a day takes
// its role anew shortly before each session ends, with a new assertion, and no more
// often.
func TestFederatedDay(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	role := s.IAM().Role("123456789012", "mirror", ecrtest.Trust{Subjects: []string{subject}})
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{s: s}
		r := open(t, s, func(o *Options) {
			o.OCI.Base, o.Identity.Federated = inProcess{s}, &Federated{Issuer: c, RoleARN: role, SessionName: "nightly"}
		})
		const hours = 24
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
		if n := calls["AssumeRoleWithWebIdentity"]; n < hours || n > hours+4 || c.asked.Load() != n || calls["GetAuthorizationToken"] > hours/6+1 {
			t.Errorf("%d assertions in %d hours: %v", c.asked.Load(), hours, calls)
		}
		who, err := r.Whoami(t.Context())
		if err != nil || who.Name != "arn:aws:sts::123456789012:assumed-role/mirror/nightly" || who.From != "auth.federated" {
			t.Errorf("we are %v (%v)", who, err)
		}
	})
}

// TestFederatedIssuerIsAway: an issuer that is away stops nothing while the session
// lives, and is no refusal of the identity: all goes on when it is back.
func TestFederatedIssuerIsAway(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	role := s.IAM().Role("123456789012", "mirror", ecrtest.Trust{Subjects: []string{subject}})
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{s: s}
		r := open(t, s, func(o *Options) {
			o.OCI.Base, o.Identity.Federated = inProcess{s}, &Federated{Issuer: c, RoleARN: role}
		})
		rows := func() error { _, err := trial.Collect(r.Rows(t.Context(), "team/app")); return err }
		if err := rows(); err != nil {
			t.Fatal(err)
		}
		c.fails.Store(true)
		time.Sleep(50 * time.Minute)
		if err := rows(); err != nil {
			t.Errorf("in its session: %v", err)
		}
		time.Sleep(20 * time.Minute)
		if err := rows(); providers.KindOf(err) != providers.Unavailable || !strings.Contains(err.Error(), "link assertion: ask the cluster: ") {
			t.Errorf("after its session: %v", err)
		}
		c.fails.Store(false)
		if err := rows(); err != nil {
			t.Errorf("when the issuer is back: %v", err)
		}
	})
}

// TestTrust: the trust policy to make is JSON of IAM, and Google's has the condition
// keys that AWS has for it.
func TestTrust(t *testing.T) {
	f := Federated{RoleARN: "arn:aws-us-gov:iam::123456789012:role/path/mirror"}
	for issuer, want := range map[string]map[string]string{
		"https://oidc.eks.eu-west-1.amazonaws.com/id/A1": {"oidc.eks.eu-west-1.amazonaws.com/id/A1:aud": "sts.amazonaws.com", "oidc.eks.eu-west-1.amazonaws.com/id/A1:sub": "s"},
		"https://sts.windows.net/t/":                     {"sts.windows.net/t/:aud": "sts.amazonaws.com", "sts.windows.net/t/:sub": "s"},
		"https://login.microsoftonline.com/t/v2.0":       {"login.microsoftonline.com/t/v2.0:aud": "guid", "login.microsoftonline.com/t/v2.0:sub": "s"},
		"https://accounts.google.com":                    {"accounts.google.com:aud": "s", "accounts.google.com:oaud": "sts.amazonaws.com", "accounts.google.com:sub": "s"},
	} {
		text := f.trust(providers.Assertion{Issuer: issuer, Subject: "s", Audience: []string{"guid"}})
		var doc struct{ Statement []trustStatement }
		if err := json.Unmarshal([]byte(text[strings.Index(text, "{"):]), &doc); err != nil || len(doc.Statement) != 1 {
			t.Fatalf("%v\n%s", err, text)
		}
		if got := doc.Statement[0].Condition["StringEquals"]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("conditions %v, want %v", got, want)
		}
		builtIn := strings.Contains(issuer, "google")
		principal := doc.Statement[0].Principal["Federated"]
		if builtIn != !strings.Contains(text, "create-open-id-connect-provider") || !builtIn && principal != "arn:aws-us-gov:iam::123456789012:oidc-provider/"+strings.TrimPrefix(issuer, "https://") {
			t.Errorf("principal %s\n%s", principal, text)
		}
	}
}

// TestFederatedRedirect: an assertion goes to the token service, and to nobody that it
// sends us to.
func TestFederatedRedirect(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	clean(t)
	var seen atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	t.Cleanup(other.Close)
	sts := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(sts.Close)
	r := open(t, s, func(o *Options) {
		o.Endpoints.STS, o.Identity.Federated = sts.URL, &Federated{Issuer: &cluster{s: s}, RoleARN: "arn:aws:iam::123456789012:role/mirror"}
	})
	if _, err := r.Whoami(t.Context()); err == nil || !strings.Contains(err.Error(), "link exchange: ") || seen.Load() > 0 {
		t.Errorf("%v; somebody else was asked %d times", err, seen.Load())
	}
}

// TestProxy: what is answered on this machine or its link, as the agent of EKS Pod
// Identity is, is asked past the proxy.
func TestProxy(t *testing.T) {
	client, err := httpClient(oci.Options{Proxy: "http://proxy.example:3128"})
	if err != nil {
		t.Fatal(err)
	}
	for url, proxied := range map[string]bool{"http://169.254.170.23/v1/credentials": false, "http://[fe80::1]/": false, "http://localhost:1/": false,
		"https://sts.eu-west-1.amazonaws.com/": true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		at, err := client.(*awshttp.BuildableClient).GetTransport().Proxy(req)
		if err != nil || (at != nil) != proxied {
			t.Errorf("%s by the proxy %v (%v)", url, at, err)
		}
	}
}
