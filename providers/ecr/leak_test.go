package ecr

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestNothingLeaks: neither logs at any level nor errors hold a secret key, a
// session token or the registry token (I7).
func TestNothingLeaks(t *testing.T) {
	s := serve(t, ecrtest.Options{})
	base := s.IAM().User("sync")
	signedIn(t, base)
	role := s.IAM().Role("123456789012", "mirror", ecrtest.Trust{Principals: []string{"*"}})
	var said bytes.Buffer
	r := open(t, s, func(o *Options) {
		o.Identity.Roles = []Role{{ARN: role, ExternalID: "external-secret"}}
		o.OCI.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	works(t, r, "assumed-role/mirror/transship", "auth.aws.roles")
	c, err := r.api(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := c.creds.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := r.signIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tell := func(err error) { said.WriteString(err.Error()) }
	s.IAM().Allow(role, "ecr:GetAuthorizationToken")
	_, err = trial.Collect(r.Rows(t.Context(), "team/app"))
	tell(err)
	s.Fail(1, "DescribeRepositories", ecrtest.Fault{Code: "InvalidSignatureException", Message: "The request signature we calculated does not match.\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:" + creds.SessionToken + "'"})
	_, err = trial.Collect(r.Repositories(t.Context(), ""))
	tell(err)
	s.IAM().Revoke(role)
	_, err = r.Head(context.Background(), "team/app", "v1")
	tell(err)
	for name, secret := range map[string]string{"secret key": base.Secret, "session's key": creds.SecretAccessKey,
		"session token": creds.SessionToken, "registry token": token.Password, "external id": "external-secret"} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("the %s is told", name)
		}
	}
	if !strings.Contains(said.String(), "does not match") || !strings.Contains(said.String(), "request") {
		t.Errorf("the test looked at nothing: %s", said.String())
	}
}
