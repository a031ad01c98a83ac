package all

import (
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/clouds"
	"github.com/transship/transship/providers/registrytest/idp"
)

// A broken way is one whose link says what was presented, what was expected, and what
// to do.
type broken struct {
	name     string
	from, to string
	harm     func(t *testing.T, w *clouds.World, a *clouds.Auth)
	link     string
	kind     providers.Kind
	says     []string
	hint     string
}

// claim changes a claim of the token that the pod shows.
func claim(name string, value any) func(*testing.T, *clouds.World, *clouds.Auth) {
	return func(_ *testing.T, w *clouds.World, a *clouds.Auth) {
		a.TokenFile = w.Project(a.Expecting, func(claims map[string]any) { claims[name] = value })
	}
}

// in is a time relative to now, as claims have it.
func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

// lasts has the token last from one time to another.
func lasts(from, to time.Duration) func(*testing.T, *clouds.World, *clouds.Auth) {
	return func(_ *testing.T, w *clouds.World, a *clouds.Auth) {
		a.TokenFile = w.Project(a.Expecting, func(c map[string]any) { c["nbf"], c["exp"] = in(from), in(to) })
	}
}

// signedBy has another cluster write the token; name is the issuer that it says.
func signedBy(other bool) func(*testing.T, *clouds.World, *clouds.Auth) {
	return func(t *testing.T, w *clouds.World, a *clouds.Auth) {
		c := idp.NewCluster(t)
		a.TokenFile = w.Write(a.Expecting, c.Token(clouds.Namespace, clouds.Account, a.Expecting, time.Hour, func(claims map[string]any) {
			if !other {
				claims["iss"] = w.Cluster.Issuer()
			}
		}))
	}
}

func text(raw string) func(*testing.T, *clouds.World, *clouds.Auth) {
	return func(_ *testing.T, w *clouds.World, a *clouds.Auth) { a.TokenFile = w.Write(a.Expecting, raw) }
}

// nowhere is an address at which nobody listens.
func nowhere(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "://" + l.Addr().String()
}

func unset(names ...string) func(*testing.T, *clouds.World, *clouds.Auth) {
	return func(t *testing.T, _ *clouds.World, _ *clouds.Auth) {
		for _, name := range names {
			t.Setenv(name, "")
		}
	}
}

const pod, me = clouds.Kubernetes, "system:serviceaccount:mirror:transship"

var ways = []broken{
	// The token itself, whoever takes it.
	{"file is missing", pod, clouds.AWS, func(_ *testing.T, _ *clouds.World, a *clouds.Auth) { a.TokenFile += ".gone" },
		"assertion", providers.Denied, []string{"read the token in ", ".gone", "no such file"}, "auth.federated.tokenFile"},
	{"file is unreadable", pod, clouds.Azure, func(t *testing.T, w *clouds.World, a *clouds.Auth) { a.TokenFile = t.TempDir() },
		"assertion", providers.Denied, []string{"read the token in ", "is a directory"}, "auth.federated.tokenFile"},
	{"file is empty", pod, clouds.GCP, text("\n"), "assertion", providers.Denied, []string{"it is empty"}, "kubelet"},
	{"file is no token", pod, clouds.GCP, text("-----BEGIN CERTIFICATE-----"), "assertion", providers.Denied, []string{"no JSON Web Token"}, "kubelet projects"},
	{"file is another thing", pod, clouds.AWS, text(strings.Repeat("x", 100<<10)), "assertion", providers.Denied, []string{"more than 65536 bytes"}, "tokenFile"},
	{"audience is not that of the policy", pod, clouds.AWS, func(_ *testing.T, w *clouds.World, a *clouds.Auth) {
		a.Audience, a.TokenFile = "sts.amazonaws.com", w.Project("vault")
	}, "assertion", providers.Denied, []string{"expected sts.amazonaws.com", "presented: issuer https://oidc.cluster.example/id/", "subject " + me, "audience vault"}, "projected volume"},
	{"it is long over", pod, clouds.Azure, lasts(-2*time.Hour, -time.Hour), "assertion", providers.Denied, []string{"it has been over for 1h0m", "subject " + me}, "renewed"},
	{"it is long over, for aws", pod, clouds.AWS, lasts(-2*time.Hour, -time.Hour), "assertion", providers.Denied, []string{"it has been over for 1h0m"}, "renewed"},
	{"it is long over, for google", pod, clouds.GCP, lasts(-2*time.Hour, -time.Hour), "assertion", providers.Denied, []string{"it has been over for 1h0m"}, "renewed"},
	{"it is for later", pod, clouds.GCP, lasts(time.Hour, 2*time.Hour), "assertion", providers.Denied, []string{"not good for another ", "subject " + me}, "clock"},

	// AWS does not take it.
	{"aws: issuer", pod, clouds.AWS, signedBy(true), "exchange", providers.Denied,
		[]string{"InvalidIdentityToken", "No OpenIDConnect provider found", "presented: issuer https://oidc.cluster.example/id/", "expected: audience sts.amazonaws.com"}, "aws iam create-open-id-connect-provider --url https://oidc.cluster.example/id/"},
	{"aws: audience", pod, clouds.AWS, claim("aud", "vault"), "exchange", providers.Denied,
		[]string{"Incorrect token audience", "audience vault", "expected: audience sts.amazonaws.com"}, "auth.federated.audience"},
	{"aws: subject", pod, clouds.AWS, claim("sub", "system:serviceaccount:mirror:other"), "exchange", providers.Denied,
		[]string{"AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", "subject system:serviceaccount:mirror:other", "role/mirror-kubernetes"}, "trust policy"},
	{"aws: over", pod, clouds.AWS, lasts(-time.Hour, -time.Minute), "exchange", providers.Denied, []string{"ExpiredTokenException", " until "}, "renewed"},
	{"aws: for later", pod, clouds.AWS, lasts(2*time.Minute, time.Hour), "exchange", providers.Denied, []string{"not yet valid", "good from "}, "clock"},
	{"aws: signature", pod, clouds.AWS, signedBy(false), "exchange", providers.Denied, []string{"InvalidIdentityToken", "signature"}, "doctor"},
	{"aws: keys are not to be found", pod, clouds.AWS, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) { w.Cluster.Close() },
		"exchange", providers.Unavailable, []string{"IDPCommunicationError"}, "/.well-known/openid-configuration"},
	{"aws: role is not there", pod, clouds.AWS, func(_ *testing.T, _ *clouds.World, a *clouds.Auth) { a.RoleARN += "x" },
		"exchange", providers.Denied, []string{"AccessDenied", "role/mirror-kubernetesx"}, "trust policy"},
	{"aws: account of google", clouds.GCP, clouds.AWS, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) {
		w.GAR.Attach(w.GAR.IAM().Account("other"))
	}, "exchange", providers.Denied, []string{"AccessDenied", "issuer https://accounts.google.com"}, "trust policy"},
	{"aws: service is away", pod, clouds.AWS, func(t *testing.T, _ *clouds.World, _ *clouds.Auth) {
		t.Setenv("AWS_ENDPOINT_URL_STS", "http"+nowhere(t))
	}, "exchange", providers.Unavailable, []string{"Security Token Service of AWS cannot be reached"}, "sts.eu-west-1.amazonaws.com"},

	// Google does not take it.
	{"google: issuer", pod, clouds.GCP, signedBy(true), "exchange", providers.Denied,
		[]string{"invalid_grant", "does not match the expected ones", "presented: issuer ", "expected: audience https://iam.googleapis.com/projects/42/"}, "--issuer-uri"},
	{"google: audience", pod, clouds.GCP, claim("aud", "vault"), "exchange", providers.Denied, []string{"The audience in ID Token", "audience vault"}, "--allowed-audiences"},
	{"google: subject", pod, clouds.GCP, claim("sub", "system:serviceaccount:mirror:other"), "exchange", providers.Denied,
		[]string{"unauthorized_client", "attribute condition", "subject system:serviceaccount:mirror:other"}, "attribute condition"},
	{"google: over", pod, clouds.GCP, lasts(-time.Hour, -time.Minute), "exchange", providers.Denied, []string{"stale", " until "}, "renewed"},
	{"google: for later", pod, clouds.GCP, lasts(2*time.Minute, time.Hour), "exchange", providers.Denied, []string{"not yet valid"}, "clock"},
	{"google: signature", pod, clouds.GCP, signedBy(false), "exchange", providers.Denied, []string{"Invalid ID Token signature"}, "keys of the issuer"},
	{"google: keys are not to be found", pod, clouds.GCP, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) { w.Cluster.Close() },
		"exchange", providers.Denied, []string{"Error connecting to the given credential's issuer"}, "--jwk-json-path"},
	{"google: provider", pod, clouds.GCP, func(_ *testing.T, _ *clouds.World, a *clouds.Auth) {
		a.WorkloadIdentityProvider = clouds.Provider("typo")
	}, "exchange", providers.Denied, []string{"invalid_target", "providers/typo"}, "auth.federated.workloadIdentityProvider"},
	{"google: account of aws", clouds.AWS, clouds.GCP, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) {
		w.GAR.IAM().Pool(gartest.PoolProvider{Name: clouds.Provider("aws"), Account: "999999999999", STS: w.ECR.Endpoint()}, "")
	}, "exchange", providers.Denied, []string{"AWS account 123456789012", "signed with the access key ASIA"}, "--account-id"},
	{"google: role of aws", clouds.AWS, clouds.GCP, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) {
		w.GAR.IAM().Pool(gartest.PoolProvider{Name: clouds.Provider("aws"), Account: w.ECR.Account(), STS: w.ECR.Endpoint(),
			Condition: func(arn string) bool { return strings.Contains(arn, "/another/") }}, "")
	}, "exchange", providers.Denied, []string{"unauthorized_client", "attribute condition"}, "attribute condition"},
	{"google: may not act", pod, clouds.GCP, func(_ *testing.T, w *clouds.World, a *clouds.Auth) {
		a.ServiceAccount = w.GAR.IAM().Account("another")
	}, "impersonation", providers.Denied, []string{"another@acme.iam.gserviceaccount.com", "iam.serviceAccounts.getAccessToken"}, "roles/iam.workloadIdentityUser on another@acme.iam.gserviceaccount.com"},
	{"google: service is away", pod, clouds.GCP, func(t *testing.T, _ *clouds.World, _ *clouds.Auth) {
		t.Setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "http"+nowhere(t))
	}, "exchange", providers.Unavailable, []string{"Security Token Service of Google cannot be reached"}, "sts.googleapis.com"},
	{"google: service fails", pod, clouds.GCP, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) {
		w.GAR.Fail(10, "Exchange", gartest.Fault{Code: http.StatusServiceUnavailable, Raw: "<html>"})
	}, "exchange", providers.Unavailable, []string{"503"}, "sts.googleapis.com"},

	// Entra does not take it.
	{"azure: issuer", pod, clouds.Azure, signedBy(true), "exchange", providers.Denied,
		[]string{"AADSTS700211", "presented: issuer https://oidc.cluster.example/id/", "expected: a federated credential of client ", "audience api://AzureADTokenExchange"}, "issuer, subject and audience"},
	{"azure: audience", pod, clouds.Azure, claim("aud", "vault"), "exchange", providers.Denied, []string{"AADSTS700212", "audience vault"}, "api://AzureADTokenExchange"},
	{"azure: subject", pod, clouds.Azure, claim("sub", "system:serviceaccount:mirror:other"), "exchange", providers.Denied, []string{"AADSTS700213", "subject system:serviceaccount:mirror:other"}, "subject"},
	{"azure: over", pod, clouds.Azure, lasts(-time.Hour, -time.Minute), "exchange", providers.Denied, []string{"AADSTS700024", " until "}, "clock"},
	{"azure: for later", pod, clouds.Azure, lasts(2*time.Minute, time.Hour), "exchange", providers.Denied, []string{"AADSTS700024", "good from "}, "clock"},
	{"azure: signature", pod, clouds.Azure, signedBy(false), "exchange", providers.Denied, []string{"AADSTS50013"}, "keys"},
	{"azure: keys are not to be found", pod, clouds.Azure, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) { w.Cluster.Close() },
		"exchange", providers.Denied, []string{"AADSTS501661"}, "/.well-known/openid-configuration"},
	{"azure: client", pod, clouds.Azure, func(_ *testing.T, _ *clouds.World, a *clouds.Auth) { a.ClientID = "nobody" },
		"exchange", providers.Denied, []string{"AADSTS700016", "client nobody"}, "clientID"},
	{"azure: tenant", pod, clouds.Azure, func(_ *testing.T, _ *clouds.World, a *clouds.Auth) { a.TenantID = "nowhere" },
		"exchange", providers.Denied, []string{"AADSTS90002", "tenant nowhere"}, "tenantID"},
	{"azure: service is away", pod, clouds.Azure, func(t *testing.T, _ *clouds.World, _ *clouds.Auth) {
		t.Setenv("AZURE_AUTHORITY_HOST", "https"+nowhere(t))
	}, "exchange", providers.Unavailable, []string{"Entra ID cannot be reached"}, "login.microsoftonline.com"},

	// There is nobody to show, or who gives tokens gives none.
	{"nobody at aws", clouds.AWS, clouds.GCP, unset("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"), "assertion", providers.Denied, []string{"no credentials of AWS were found"}, "instance profile"},
	{"no region at aws", clouds.AWS, clouds.Azure, unset("AWS_REGION"), "assertion", providers.Denied, []string{"no region is known"}, "auth.federated.aws.region"},
	{"aws gives no tokens", clouds.AWS, clouds.Azure, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) { w.ECR.ForbidOutbound() },
		"assertion", providers.Denied, []string{"OutboundWebIdentityFederationDisabledException"}, "aws iam enable-outbound-web-identity-federation"},
	{"aws gives us no token", clouds.AWS, clouds.Azure, func(_ *testing.T, w *clouds.World, a *clouds.Auth) { w.ECR.IAM().Allow(a.Subject, "ecr:*") },
		"assertion", providers.Denied, []string{"is not authorized to perform: sts:GetWebIdentityToken"}, "grant sts:GetWebIdentityToken"},
	{"role of aws is not ours", clouds.AWS, clouds.GCP, func(_ *testing.T, w *clouds.World, a *clouds.Auth) {
		w.ECR.IAM().Role(w.ECR.Account(), "pod", ecrtest.Trust{})
	}, "assertion", providers.Denied, []string{"role arn:aws:iam::123456789012:role/pod", "AccessDenied"}, "identity of transship at AWS"},
	{"nobody at google", clouds.GCP, clouds.AWS, func(t *testing.T, _ *clouds.World, _ *clouds.Auth) {
		t.Setenv("GCE_METADATA_HOST", nowhere(t)[3:])
	}, "assertion", providers.Denied, []string{"no credentials were found"}, ""},
	{"nobody at azure", clouds.Azure, clouds.GCP, unset("AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID"), "assertion", providers.Denied, []string{"Azure"}, "auth.federated"},
	{"application is not there", clouds.Azure, clouds.AWS, func(_ *testing.T, _ *clouds.World, a *clouds.Auth) { a.Audience = "api://typo" },
		"assertion", providers.Denied, []string{"AADSTS500011", "api://typo"}, "az ad app create --identifier-uris api://typo"},
	{"azure's own token is refused", clouds.Azure, clouds.AWS, func(_ *testing.T, w *clouds.World, a *clouds.Auth) {
		w.ACR.Entra().Change(a.Subject, func(app *acrtest.App) { app.Federated[0].Subject = "other" })
	}, "assertion", providers.Denied, []string{"AADSTS700213"}, "federated credential"},
}

// TestBrokenWays: sign-in, and each link when it is tried, say which link is broken,
// what was presented and expected, and what to do; and nothing secret.
func TestBrokenWays(t *testing.T) {
	for _, tt := range ways {
		t.Run(tt.name, func(t *testing.T) {
			w := clouds.New(t)
			a := w.Trust(tt.from, tt.to, w.RunsIn(t, tt.from))
			tt.harm(t, w, &a)
			r := federated(t, w, tt.to, a)
			_, err := r.Whoami(t.Context())
			tt.check(t, err)
			if token, e := os.ReadFile(a.TokenFile); e == nil && strings.Count(string(token), ".") == 2 && strings.Contains(err.Error(), strings.Split(string(token), ".")[2]) {
				t.Errorf("a token is in %v", err)
			}
			way := Way(t.Context(), r)
			last := way.Links[len(way.Links)-1]
			if last.Name == providers.LinkIdentity {
				return // it is found a link earlier when all are tried
			}
			if last.Name != tt.link {
				t.Errorf("the last link is %+v", last)
			}
			tt.check(t, last.Err)
		})
	}
}

func (tt broken) check(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("it works")
	}
	if providers.KindOf(err) != tt.kind || !strings.Contains(err.Error(), "link "+tt.link+": ") {
		t.Errorf("%v, want link %s, %v", err, tt.link, tt.kind)
	}
	for _, s := range tt.says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v does not say %q", err, s)
		}
	}
	if hint := providers.HintOf(err); hint == "" || !strings.Contains(hint, tt.hint) {
		t.Errorf("hint %q, want %q", hint, tt.hint)
	}
}
