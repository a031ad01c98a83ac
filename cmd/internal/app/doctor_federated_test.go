package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/registrytest/clouds"
)

// policyOf is a policy with one registry, which is signed in to from another cloud
// and is a source and a target.
func policyOf(w *clouds.World, to string, a clouds.Auth) string {
	keys := []string{"from: " + a.From}
	for key, value := range map[string]string{"audience": a.Audience, "tokenFile": a.TokenFile, "roleARN": a.RoleARN, "region": a.Region,
		"workloadIdentityProvider": a.WorkloadIdentityProvider, "serviceAccount": a.ServiceAccount, "tenantID": a.TenantID, "clientID": a.ClientID} {
		if value != "" {
			keys = append(keys, fmt.Sprintf("%s: %q", key, value))
		}
	}
	if a.From == clouds.Azure {
		keys = append(keys, "azure: {credential: workloadIdentity}")
	}
	provider := map[string]string{clouds.AWS: "ecr", clouds.GCP: "gar", clouds.Azure: "acr"}[to]
	return fmt.Sprintf("registries:\n  far: {host: %q, provider: %s, caFile: %q, auth: {federated: {%s}}}\n"+
		"rules: [{name: r, from: {registry: far, repositories: {include: [%q]}}, to: [{registry: far, repository: %q}]}]\n",
		w.Host(to), provider, w.CA(), strings.Join(keys, ", "), clouds.Repo(to), clouds.Repo(to)+"/copy")
}

// doctorOfPolicy runs doctor on a policy with one registry.
func doctorOfPolicy(t *testing.T, policy string) (code int, text string, up checkup) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(more ...string) (int, string) {
		var out, errs bytes.Buffer
		code := Main(append([]string{"doctor", "-c", file, "--state", filepath.Join(dir, "state.db")}, more...), strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	_, raw := run("-o", "json")
	var all struct{ Registries []checkup }
	if err := json.NewDecoder(strings.NewReader(raw)).Decode(&all); err != nil || len(all.Registries) != 1 {
		t.Fatalf("%v in\n%s", err, raw)
	}
	code, text = run()
	return code, text, all.Registries[0]
}

var directions = []struct{ from, to, trust string }{
	{clouds.AWS, clouds.GCP, "providers create-aws aws"}, {clouds.AWS, clouds.Azure, "az ad app federated-credential create"},
	{clouds.GCP, clouds.AWS, `"accounts.google.com:oaud": "sts.amazonaws.com"`}, {clouds.GCP, clouds.Azure, `"issuer": "https://accounts.google.com"`},
	{clouds.Azure, clouds.AWS, "aws iam create-open-id-connect-provider --url https://sts.windows.net/" + acrtest.Tenant}, {clouds.Azure, clouds.GCP, "--allowed-audiences=api://transship"},
	{clouds.Kubernetes, clouds.AWS, ":sub\": \"system:serviceaccount:mirror:transship"}, {clouds.Kubernetes, clouds.GCP, "providers create-oidc kubernetes"},
	{clouds.Kubernetes, clouds.Azure, `"subject": "system:serviceaccount:mirror:transship"`},
}

// TestDoctorOfFederations: each link of each direction has a line, and the trust to
// make is printed with what is really shown.
func TestDoctorOfFederations(t *testing.T) {
	for _, tt := range directions {
		t.Run(tt.from+" to "+tt.to, func(t *testing.T) {
			w := clouds.New(t)
			a := w.Trust(tt.from, tt.to, w.RunsIn(t, tt.from))
			code, text, up := doctorOfPolicy(t, policyOf(w, tt.to, a))
			if code != 0 {
				t.Errorf("exit code %d\n%s", code, text)
			}
			links := []string{providers.LinkIdentity, providers.LinkAssertion, providers.LinkExchange}
			if tt.to == clouds.GCP {
				links = append(links, providers.LinkImpersonation)
			}
			for _, name := range append(links, "sign in", "pull", "push") {
				if f := up.check(name); f.Verdict != fine && f.Verdict != warned || !strings.Contains(text, "\n  "+name+" ") {
					t.Errorf("%s: %+v", name, f)
				}
			}
			if !strings.Contains(text, "to trust:") || !strings.Contains(up.Trust, tt.trust) {
				t.Errorf("the trust to make: %s; want %s", up.Trust, tt.trust)
			}
		})
	}
}

// TestDoctorOfBrokenLinks: the links before the broken one are fine, it says what is
// wrong and what to do, and nothing behind it is tried.
func TestDoctorOfBrokenLinks(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		harm     func(t *testing.T, w *clouds.World, a *clouds.Auth)
		fine     []string
		broken   string
		says     string
		trust    string
	}{
		{clouds.GCP, clouds.AWS, func(t *testing.T, _ *clouds.World, _ *clouds.Auth) { t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1") },
			nil, "identity", "no credentials were found", ""},
		{clouds.AWS, clouds.Azure, func(_ *testing.T, w *clouds.World, _ *clouds.Auth) { w.ECR.ForbidOutbound() },
			[]string{"identity"}, "assertion", "aws iam enable-outbound-web-identity-federation", ""},
		{clouds.Kubernetes, clouds.AWS, func(_ *testing.T, w *clouds.World, a *clouds.Auth) { a.TokenFile = w.Project("vault") },
			[]string{"identity", "assertion"}, "exchange", "Incorrect token audience", `:aud": "sts.amazonaws.com"`},
		{clouds.Azure, clouds.GCP, func(_ *testing.T, w *clouds.World, a *clouds.Auth) {
			a.ServiceAccount = w.GAR.IAM().Account("another")
		}, []string{"identity", "assertion", "exchange"}, "impersonation", "roles/iam.workloadIdentityUser on another@acme.iam.gserviceaccount.com", "add-iam-policy-binding another@acme.iam.gserviceaccount.com"},
	} {
		t.Run(tt.broken, func(t *testing.T) {
			w := clouds.New(t)
			a := w.Trust(tt.from, tt.to, w.RunsIn(t, tt.from))
			tt.harm(t, w, &a)
			code, text, up := doctorOfPolicy(t, policyOf(w, tt.to, a))
			if code != exitSomeLeft {
				t.Errorf("exit code %d\n%s", code, text)
			}
			for _, name := range tt.fine {
				if f := up.check(name); f.Verdict != fine {
					t.Errorf("%s: %+v", name, f)
				}
			}
			f := up.check(tt.broken)
			if f.Verdict != failed || f.Fix == "" || !strings.Contains(f.Detail, "link "+tt.broken) || !strings.Contains(f.Detail+f.Fix, tt.says) {
				t.Errorf("%s: %+v", tt.broken, f)
			}
			if s := up.check("sign in"); s.Verdict != skipped {
				t.Errorf("sign in: %+v", s)
			}
			if !strings.Contains(up.Trust, tt.trust) {
				t.Errorf("the trust to make: %s; want %s", up.Trust, tt.trust)
			}
		})
	}
}
