package app

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
)

// What the policy says of a registry reaches the provider.
func TestRegistryOptions(t *testing.T) {
	set := &policy.Set{Registries: map[string]policy.Registry{
		"src": {Host: "https://src.example.com", TokenRealm: "https://auth.example.com/token", TrustHosts: []string{"10.0.0.7:9000"},
			CAFile: "ca.pem", ClientCert: "c.pem", ClientKey: "k.pem", Capabilities: map[string]policy.Ability{"mount": "no"}},
		"dst": {Host: "dst.example.com:5000", PlainHTTP: true},
	}, Rules: []policy.Rule{{Name: "r", From: policy.Source{Registry: "src"}, To: []policy.Target{{Registry: "dst"}}}}}
	r := newRegistries(set, slog.New(slog.DiscardHandler))

	src, err := r.options("src", set.Registries["src"])
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
	dst, err := r.options("dst", set.Registries["dst"])
	if err != nil || !dst.PlainHTTP || !dst.Push || dst.Host != "dst.example.com:5000" {
		t.Errorf("target: %+v, %v", dst, err)
	}
}
