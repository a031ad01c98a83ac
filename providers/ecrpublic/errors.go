package ecrpublic

import (
	"net/http"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/oci"
)

const (
	hintName  = "check the alias and the repository's name; a repository is made before it is pushed to, by create or by its account"
	hintLogin = "that login's time is over, and fails even what anyone may read: sign in again (aws ecr-public get-login-password), by auth.aws, or write auth: {anonymous: true}"
)

// explain says what ECR Public's own words mean: those of ECR, but for what they say
// of a repository that is missing.
func explain(f oci.Refusal) (kind providers.Kind, hint string, ok bool) {
	switch {
	case f.Code == "NAME_UNKNOWN":
		return providers.NotFound, hintName, true
	case f.Status == http.StatusForbidden && strings.Contains(f.Message, "authorization token has expired"):
		return providers.Denied, hintLogin, true
	}
	return ecr.Explain(f)
}
