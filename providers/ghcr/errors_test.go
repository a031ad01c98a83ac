package ghcr

import (
	"net/http"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ghcr/ghcrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/trial"
)

func openOptions() oci.Options { return oci.Options{Host: "ghcr.io"} }

// TestTokens holds what is said of tokens that ghcr.io does not take, and that it
// is said without them.
func TestTokens(t *testing.T) {
	for text, hint := range map[string]string{
		"github_pat_11AAAA_secret": "no fine-grained tokens",
		"ghs_ofAnApp":              "no token of a GitHub App",
		"ghp_revoked":              "check the credentials",
	} {
		s := serve(t)
		r := open(t, s, ghcrtest.Token{User: "jo", Text: text})
		_, err := r.Whoami(t.Context())
		trial.WantKind(t, err, providers.Denied, hint)
		if err == nil || strings.Contains(err.Error()+providers.HintOf(err), text) || !strings.Contains(err.Error(), "as jo") {
			t.Errorf("the error says %v", err)
		}
	}
	s := serve(t)
	workflow := s.Add(ghcrtest.Token{User: "github-actions[bot]", Text: "ghs_workflow", Scopes: []string{"write:packages"}})
	if err := open(t, s, workflow).TryPush(t.Context(), "acme/app"); err != nil {
		t.Errorf("a GITHUB_TOKEN: %v", err)
	}
}

// TestReadOnlyToken holds that a token without write:packages is told what it lacks.
func TestReadOnlyToken(t *testing.T) {
	s := serve(t)
	r := open(t, s, s.Classic("jo", "read:packages"))
	if _, err := r.Head(t.Context(), "acme/app", "v1"); err != nil {
		t.Fatal(err)
	}
	trial.WantKind(t, r.TryPush(t.Context(), "acme/app"), providers.Denied, "write:packages")
	_, err := r.PutManifest(t.Context(), "acme/app", "v2", image("x").Manifest, providers.PutOptions{})
	trial.WantKind(t, err, providers.Denied, "Manage Actions access")
}

// TestEgress holds that an account whose traffic is used up slows us down and is
// told so.
func testEgress(t *testing.T) {
	s := serve(t)
	r := open(t, s, pusher(s), func(o *Options) { o.OCI.Retry.Tries = 1 })
	s.Before(func(_ *http.Request, c registrytest.Class) *registrytest.Fault {
		if c != registrytest.Storage {
			return nil
		}
		return &registrytest.Fault{Status: http.StatusServiceUnavailable, Message: "Egress is over the account limit"}
	})
	_, err := r.Open(t.Context(), "acme/app", image("x").Blobs[0].Descriptor, 0)
	trial.WantKind(t, err, providers.Throttled, "traffic out of GitHub")
}

func TestEgress(t *testing.T) { testEgress(t) }

func TestExplain(t *testing.T) {
	r, err := New(Options{OCI: openOptions()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, tt := range []struct {
		kind string // of the token
		f    oci.Refusal
		hint string
	}{
		{"ghp_", oci.Refusal{Op: "get manifest", Status: 403, Message: "Resource protected by organization SAML enforcement"}, hintSSO},
		{"ghp_", oci.Refusal{Op: "get manifest", Status: 403, Code: "DENIED", Message: "denied"}, hintRead},
		{"ghp_", oci.Refusal{Op: "put manifest", Status: 403, Code: "DENIED", Message: "permission_denied: write_package"}, hintWrite},
		{"ghs_", oci.Refusal{Op: "upload blob", Status: 403, Message: "installation not allowed to Write organization package"}, hintWrite},
		{"ghu_", oci.Refusal{Op: "get manifest", Status: 403, Message: "denied"}, hintApp},
	} {
		r.prefix.Store(tt.kind)
		if kind, hint, ok := r.explain(tt.f); !ok || kind != providers.Denied || hint != tt.hint {
			t.Errorf("%s %s: %s, %q", tt.kind, tt.f.Message, kind, hint)
		}
	}
	if _, _, ok := r.explain(oci.Refusal{Status: 404}); ok {
		t.Error("what is not there is explained")
	}
}
