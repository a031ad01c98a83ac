package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/content"
)

// ring is a policy that reads from and writes to each of three clouds.
const ring = `registries:
  aws:    {host: %q, provider: ecr, plainHTTP: true, auth: {aws: {region: eu-west-1}}}
  google: {host: %q, provider: gar, plainHTTP: true, auth: {gcp: {credentialsFile: %q}}}
  azure:
    host: %q
    provider: acr
    caFile: %q
    auth: {azure: {tenantID: %s, clientID: %s, clientSecret: %q}}
rules:
  - {name: one, from: {registry: aws, repositories: {include: [team/app]}}, to: [{registry: google, repository: "acme/mirror/{{.Repository}}"}]}
  - {name: two, from: {registry: google, repositories: {include: ["acme/mirror/team/*"]}}, to: [{registry: azure, repository: dr/app}]}
  - {name: three, from: {registry: azure, repositories: {include: [dr/app]}}, to: [{registry: aws, repository: back/app}]}
`

// May is what the identities of the three clouds are allowed; nil is everything that
// a target needs.
type may struct {
	aws    []string
	google []string
	azure  acrtest.Role
}

// doctorOf runs doctor over the three clouds, as somebody who may that.
func doctorOf(t *testing.T, m may) (code int, text string, clouds map[string]checkup) {
	t.Helper()
	dir := t.TempDir()
	ecr, gar := ecrtest.New(t, ecrtest.Options{}), gartest.New(t, gartest.Options{})
	acr := acrtest.New(t, acrtest.Options{TLS: true})
	for repo, load := range map[string]func(string, *content.Manifest, ...string) error{
		"team/app": ecr.Load, "back/app": ecr.Load, "acme/mirror/team/app": gar.Load, "dr/app": acr.Load, "aaa/first": acr.Load,
	} {
		if err := load(repo, content.Image("app", []content.Blob{content.Layer("l", 100)}), "v1"); err != nil {
			t.Fatal(err)
		}
	}
	key, app := ecr.IAM().User("sync", m.aws...), acr.Entra().App("sync")
	acr.Assign(app.ClientID, m.azure)
	write := func(name string, raw []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("policy.yaml", fmt.Appendf(nil, ring, ecr.Host(),
		gar.Host(), write("key.json", gar.KeyFile(gar.IAM().Account("sync", m.google...))),
		acr.Host(), write("ca.pem", slices.Concat(acr.CA(), acr.Entra().CA())), app.Tenant, app.ClientID, app.Secret))
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": key.ID, "AWS_SECRET_ACCESS_KEY": key.Secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none",
		"AWS_ENDPOINT_URL_ECR": ecr.Endpoint(), "AWS_ENDPOINT_URL_STS": ecr.Endpoint(),
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY": gar.Endpoint(), "CLOUDSDK_ARTIFACTS_LOCATION": gar.Location(),
		"AZURE_AUTHORITY_HOST": acr.Entra().URL(),
	} {
		t.Setenv(name, value)
	}
	args := []string{"doctor", "-c", file, "--state", filepath.Join(dir, "state.db")}
	run := func(more ...string) (int, string) {
		var out, errs bytes.Buffer
		code := Main(append(args, more...), strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	_, raw := run("-o", "json")
	var all struct{ Registries []checkup }
	if err := json.NewDecoder(strings.NewReader(raw)).Decode(&all); err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	clouds = map[string]checkup{}
	for _, c := range all.Registries {
		clouds[c.Registry] = c
	}
	code, text = run()
	return code, text, clouds
}

func (c checkup) check(name string) finding {
	for _, f := range c.Checks {
		if f.Name == name {
			return f
		}
	}
	return finding{}
}

// TestDoctorOfClouds: with an identity that may do what the policy asks for, all is
// well at each cloud, it is told who we are, and what is the least to grant.
func TestDoctorOfClouds(t *testing.T) {
	code, text, clouds := doctorOf(t, may{azure: acrtest.AcrPush})
	if code != 0 {
		t.Errorf("exit code %d\n%s", code, text)
	}
	for name, want := range map[string]struct{ who, grant string }{
		"aws":    {"arn:aws:iam::123456789012:user/sync", "ecr:PutImage"},
		"google": {"sync@acme.iam.gserviceaccount.com", "artifactregistry.repositories.uploadArtifacts"},
		"azure":  {"sync, client ", "AcrPush"},
	} {
		c := clouds[name]
		for _, check := range []string{"sign in", "list", "pull", "push", "referrers", "quotas"} {
			if f := c.check(check); f.Verdict != fine && (check != "list" || f.Verdict != warned) {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if who := c.check("sign in").Detail; !strings.Contains(who, want.who) || !strings.Contains(text, want.who) {
			t.Errorf("%s: we are %s, want %s", name, who, want.who)
		}
		if !strings.Contains(c.Grant, want.grant) || !strings.Contains(text, want.grant) {
			t.Errorf("%s: to grant: %s; want %s", name, c.Grant, want.grant)
		}
	}
}

// TestDoctorOfReaders: who may list and pull and not push is told at each cloud which
// permission is missing, and what to grant.
func TestDoctorOfReaders(t *testing.T) {
	code, text, clouds := doctorOf(t, may{
		aws: []string{"ecr:GetAuthorizationToken", "ecr:Describe*", "ecr:List*", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability",
			"ecr:GetDownloadUrlForLayer", "ecr:GetAccountSetting", "sts:*"},
		google: []string{"artifactregistry.repositories.get", "artifactregistry.*.list", "artifactregistry.repositories.downloadArtifacts"},
		azure:  acrtest.AcrPull,
	})
	if code != exitSomeLeft {
		t.Errorf("exit code %d\n%s", code, text)
	}
	for name, missing := range map[string]string{
		"aws": "ecr:InitiateLayerUpload", "google": "artifactregistry.repositories.uploadArtifacts", "azure": "AcrPush",
	} {
		c := clouds[name]
		for _, check := range []string{"sign in", "pull"} {
			if f := c.check(check); f.Verdict != fine {
				t.Errorf("%s: %+v", name, f)
			}
		}
		push := c.check("push")
		if push.Verdict != failed || !strings.Contains(push.Fix, missing) {
			t.Errorf("%s: %+v; want to be told of %s", name, push, missing)
		}
		if !strings.Contains(c.Grant, missing) {
			t.Errorf("%s: to grant: %s; want %s", name, c.Grant, missing)
		}
	}
}

// TestDoctorPushesWhereRulesWrite: where a rule has a pattern, the push is tried where
// a repository of its source would come to, not at whatever the target lists first.
func TestDoctorPushesWhereRulesWrite(t *testing.T) {
	_, _, clouds := doctorOf(t, may{azure: acrtest.AcrPush})
	// "two" maps acme/mirror/team/* to dr/app; the other rules name what they read.
	for name, want := range map[string]string{"google": "to acme/mirror/team/app", "azure": "to dr/app", "aws": "to back/app"} {
		if f := clouds[name].check("push"); f.Verdict != fine || f.Detail != want {
			t.Errorf("%s: %+v, want %s", name, f, want)
		}
	}
	for _, check := range []string{"mount", "immutable"} {
		for name, c := range clouds {
			if f := c.check(check); !strings.Contains(f.Detail, "not tried") {
				t.Errorf("%s: %s: %+v", name, check, f)
			}
		}
	}
}
