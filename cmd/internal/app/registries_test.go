package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/all"
)

// What the policy says of a registry reaches the provider.
func TestRegistryOptions(t *testing.T) {
	set := &policy.Set{Registries: map[string]policy.Registry{
		"src": {Host: "https://src.example.com", TokenRealm: "https://auth.example.com/token", TrustHosts: []string{"10.0.0.7:9000"},
			CAFile: "ca.pem", ClientCert: "c.pem", ClientKey: "k.pem", Capabilities: map[string]policy.Ability{"mount": "no"}},
		"dst": {Host: "dst.example.com:5000", PlainHTTP: true},
	}, Rules: []policy.Rule{{Name: "r", From: policy.Source{Registry: "src"}, To: []policy.Target{{Registry: "dst"}}}}}
	r := newRegistries(set, slog.New(slog.DiscardHandler))

	src, err := r.pool.options(set.Registries["src"], r.isTarget("src"))
	if err != nil {
		t.Fatal(err)
	}
	if src.Host != "src.example.com" || src.PlainHTTP || src.Push {
		t.Errorf("source: host %q, plain %v, push %v", src.Host, src.PlainHTTP, src.Push)
	}
	if src.TokenRealm != "https://auth.example.com/token" || !slices.Equal(src.TrustHosts, []string{"10.0.0.7:9000"}) {
		t.Errorf("source: realm %q, trusted %v", src.TokenRealm, src.TrustHosts)
	}
	if src.CAFile != "ca.pem" || src.CertFile != "c.pem" || src.KeyFile != "k.pem" {
		t.Errorf("source: TLS files %q, %q, %q", src.CAFile, src.CertFile, src.KeyFile)
	}
	if src.Capabilities["mount"] != providers.No {
		t.Errorf("source: capabilities %v", src.Capabilities)
	}
	dst, err := r.pool.options(set.Registries["dst"], r.isTarget("dst"))
	if err != nil || !dst.PlainHTTP || !dst.Push || dst.Host != "dst.example.com:5000" {
		t.Errorf("target: %+v, %v", dst, err)
	}
}

// What the policy says of a cloud reaches its provider: who signs in, how
// repositories are made, and quotas.
func TestCloudOptions(t *testing.T) {
	dir := t.TempDir()
	lifecycle := filepath.Join(dir, "lifecycle.json")
	if err := os.WriteFile(lifecycle, []byte(`{"rules":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := policy.Parse("p.yaml", []byte(`
registries:
  ecr:
    host: 123456789012.dkr.ecr.eu-west-1.amazonaws.com
    auth: {aws: {profile: sync, region: us-east-1, roles: [{arn: "arn:aws:iam::123456789012:role/r", externalID: x, sessionName: dr}]}}
    limits: {quotas: {PutImage: 50/s}}
    create: {enforce: true, ecr: {immutability: immutable, exclusions: [latest], scanOnPush: true, kmsKey: k, tags: {a: b}, lifecyclePolicy: `+lifecycle+`}}
  gar:
    host: europe-docker.pkg.dev
    auth: {gcp: {credentialsFile: /c.json, impersonate: [a@b.c]}}
    create: {gar: {kmsKey: k, immutableTags: true, labels: {a: b}, description: d}}
  acr:
    host: acmedr.azurecr.io
    auth: {azure: {credential: servicePrincipal, tenantID: t, clientID: c, clientSecret: "${TRANSSHIP_TEST_SECRET}"}}
    create: {never: true}
  docker: {host: acmedr.azurecr.io, auth: {dockerConfig: true}}
  nobody: {host: acmedr.azurecr.io, auth: {anonymous: true}}
rules: []
`))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRANSSHIP_TEST_SECRET", "s3cret")
	r := newRegistries(set, slog.New(slog.DiscardHandler))
	get := func(name string) all.Options {
		o, err := r.pool.options(set.Registries[name], r.isTarget(name))
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	e := get("ecr")
	if want := (all.ECRIdentity{Profile: "sync", Region: "us-east-1", Roles: []all.ECRRole{
		{ARN: "arn:aws:iam::123456789012:role/r", ExternalID: "x", SessionName: "dr"}}}); !reflect.DeepEqual(e.ECR, want) {
		t.Errorf("identity %+v", e.ECR)
	}
	if c := e.CreateECR; !c.Enforce || c.Immutability != "IMMUTABLE" || !slices.Equal(c.Exclusions, []string{"latest"}) ||
		!c.ScanOnPush || c.KMSKey != "k" || c.Tags["a"] != "b" || string(c.LifecyclePolicy) != `{"rules":[]}` {
		t.Errorf("create %+v", c)
	}
	if e.Quotas["PutImage"] != (providers.Rate{N: 50, Per: time.Second}) {
		t.Errorf("quotas %v", e.Quotas)
	}
	g := get("gar")
	if g.GAR.CredentialsFile != "/c.json" || !slices.Equal(g.GAR.Impersonate, []string{"a@b.c"}) ||
		!g.CreateGAR.ImmutableTags || g.CreateGAR.KMSKey != "k" || g.CreateGAR.Labels["a"] != "b" || g.CreateGAR.Description != "d" {
		t.Errorf("identity %+v, create %+v", g.GAR, g.CreateGAR)
	}
	a := get("acr")
	if secret, err := a.ACR.ClientSecret(); err != nil || secret != "s3cret" || a.ACR.Credential != "servicePrincipal" ||
		a.ACR.TenantID != "t" || a.ACR.ClientID != "c" || !a.CreateACR.Never {
		t.Errorf("identity %+v, create %+v, %v", a.ACR, a.CreateACR, err)
	}
	for name, signsIn := range map[string]bool{"ecr": true, "gar": true, "acr": true, "docker": false, "nobody": false} {
		if o := get(name); (o.Authenticator == nil && o.Keychain == nil) != signsIn {
			t.Errorf("%s: the cloud's own chain signs in: %v, want %v", name, !signsIn, signsIn)
		}
	}
}
