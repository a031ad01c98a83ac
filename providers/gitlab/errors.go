package gitlab

import (
	"net/http"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	hintAccess = "GitLab answers so for a project that is not there or not ours to see, for an image more than two path elements below its project, " +
		"and for a token that lacks the scope: check the path, and give the token read_registry (to push write_registry, and the role Developer)"
	hintProtected = "a rule of the project protects it: let the role of this token push it, or leave it out by tags.exclude"
	hintImmutable = "a rule of the project makes the tag immutable: write under another tag, or change the rule"
	hintToken     = "GitLab's API takes personal, group and project access tokens, and no deploy token, job token or password: use one with the scope read_api, or name the repositories in the rule"
	hintScope     = "give the access token the scope read_api, or name the repositories in the rule"
)

// explain says what the registry's refusals mean where they are not those of every
// registry.
func explain(f oci.Refusal) (kind providers.Kind, hint string, ok bool) {
	why := strings.ToLower(f.Message + " " + f.Detail)
	switch {
	case f.Status == http.StatusUnauthorized && f.Repo != "":
		return providers.Denied, hintAccess, true
	case f.Status == http.StatusForbidden && strings.Contains(why, "immutab"):
		return providers.Conflict, hintImmutable, true
	case f.Status == http.StatusForbidden && strings.Contains(why, "protect"):
		return providers.Denied, hintProtected, true
	case f.Status == http.StatusForbidden && f.Repo != "":
		return providers.Denied, hintAccess, true
	}
	return 0, "", false
}

// explainAPI is explain for GitLab's own API.
func explainAPI(f oci.Refusal) (kind providers.Kind, hint string, ok bool) {
	switch {
	case f.Status == http.StatusUnauthorized:
		return providers.Denied, hintToken, true
	case f.Status == http.StatusForbidden:
		return providers.Denied, hintScope, true
	}
	return 0, "", false
}
