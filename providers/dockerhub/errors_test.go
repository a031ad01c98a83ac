package dockerhub

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/dockerhub/dockerhubtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/trial"
)

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		f    oci.Refusal
		kind providers.Kind
		hint string
		ok   bool
	}{
		{oci.Refusal{Op: "get manifest", Status: 429, Message: "You have reached your pull rate limit."}, providers.Waiting, hintPulls, true},
		{oci.Refusal{Op: "get manifest", Status: 429, Message: "Too Many Requests"}, providers.Throttled, hintAbuse, true},
		{oci.Refusal{Op: "put manifest", Status: 401, Message: "authentication required"}, providers.Denied, hintPush, true},
		{oci.Refusal{Op: "get manifest", Status: 401, Message: "authentication required"}, providers.Denied, hintRead, true},
		{oci.Refusal{Op: "sign in", Status: 401}, providers.Denied, hintToken, true},
		{oci.Refusal{Op: "put manifest", Status: 403, Message: "tag v1 is immutable"}, 0, "", false},
		{oci.Refusal{Op: "try to push", Status: 402}, providers.Quota, hintUnpaid, true},
		{oci.Refusal{Op: "get manifest", Status: 404}, 0, "", false},
	} {
		if kind, hint, ok := explain(tt.f); kind != tt.kind || hint != tt.hint || ok != tt.ok {
			t.Errorf("%+v: %s, %q, %v", tt.f, kind, hint, ok)
		}
	}
}

// TestTokens holds what is said of tokens that may not, and of an account that is none.
func TestTokens(t *testing.T) {
	s := serve(t)
	r := open(t, s, "jo", s.Account("jo", "acme", false))
	trial.WantKind(t, r.TryPush(t.Context(), "acme/app"), providers.Denied, "Read & Write")
	_, err := r.PutManifest(t.Context(), "acme/app", "v2", anImage("x").Manifest, providers.PutOptions{})
	trial.WantKind(t, err, providers.Denied, "Read & Write")

	_, err = open(t, s, "jo", "s3cret-wrong").Whoami(t.Context())
	trial.WantKind(t, err, providers.Denied, "access token")
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "as jo") {
		t.Errorf("the error says %v", err)
	}

	private := serve(t, func(o *dockerhubtest.Options) { o.Wire = func(q *registrytest.Quirks) { q.AnonymousPull = false } })
	_, err = open(t, private, "", "").Head(t.Context(), "acme/app", "v1")
	trial.WantKind(t, err, providers.Denied, "not there, or private")
}
