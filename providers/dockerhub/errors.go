package dockerhub

import (
	"net/http"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	hintToken  = "the password is an access token (hub.docker.com, Account settings, Personal access tokens), or an organization's with its name as username"
	hintPush   = "the token may not push: make one with Read & Write, of an account that may write to the namespace"
	hintRead   = "Docker Hub says so of a repository that is not there, or private: check its name, and that the account may see it"
	hintAbuse  = "too many requests from this address, whoever sends them: lower limits.requests of this registry if it goes on"
	hintUnpaid = "the account may have no more private repositories: make this one public at hub.docker.com, or upgrade"
)

// writes are the operations of [oci] that need push.
var writes = map[string]bool{"put manifest": true, "upload blob": true, "mount blob": true, "try to push": true}

// explain says what Docker Hub means by its refusals.
func explain(f oci.Refusal) (providers.Kind, string, bool) {
	says := strings.ToLower(f.Message)
	switch {
	case f.Status == http.StatusTooManyRequests && strings.Contains(says, "pull rate limit"):
		return providers.Waiting, hintPulls, true
	case f.Status == http.StatusTooManyRequests:
		return providers.Throttled, hintAbuse, true
	case strings.Contains(says, "immutab"):
		return 0, "", false
	case f.Status == http.StatusPaymentRequired:
		return providers.Quota, hintUnpaid, true
	case f.Status != http.StatusUnauthorized && f.Status != http.StatusForbidden:
		return 0, "", false
	case writes[f.Op]:
		return providers.Denied, hintPush, true
	case f.Op == opSignIn:
		return providers.Denied, hintToken, true
	}
	return providers.Denied, hintRead, true
}

// explainAPI says what the Hub API means.
func explainAPI(f oci.Refusal) (providers.Kind, string, bool) {
	switch {
	case f.Op == opSignIn && f.Status >= 400 && f.Status < 404:
		return providers.Denied, hintToken, true
	case f.Status == http.StatusTooManyRequests:
		return providers.Throttled, hintAbuse, true
	case f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden:
		return providers.Denied, hintRead, true
	}
	return 0, "", false
}

// at names a repository, or what ref names in it, in errors.
func (r *Registry) at(repo, ref string) string {
	text := r.Host()
	if repo != "" {
		text += "/" + repo
	}
	switch {
	case ref == "":
	case strings.Contains(ref, ":"):
		text += "@" + ref
	default:
		text += ":" + ref
	}
	return text
}

func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: op, Ref: r.at(repo, ""), Hint: hint, Err: err}
}
