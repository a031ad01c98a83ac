package ghcr

import (
	"net/http"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	hintFineGrained = "ghcr.io takes no fine-grained tokens: make a classic one (github.com/settings/tokens) with read:packages, and write:packages to push"
	hintApp         = "ghcr.io takes the GITHUB_TOKEN of Actions (permissions: packages: write), and no token of a GitHub App: use that, or a classic token with read:packages and write:packages"
	hintWrite       = "the token may not push: it needs write:packages, and its user or workflow the role Write in the package's settings (Manage Actions access)"
	hintRead        = "make a classic token with read:packages, and give its user or workflow access to the package; ghcr.io says the same of one that is not there"
	hintSSO         = "authorize the token for the organization's single sign-on (github.com/settings/tokens)"
	hintEgress      = "the account's traffic out of GitHub is used up; it comes back by itself: ask for less at once with limits.bytes, or raise the account's spending limit"
	hintAPIBusy     = "GitHub wants fewer requests at once: lower limits.requests of this registry if it goes on; for an hour each tag is asked for by itself"
	hintAPISpent    = "the API's requests of this hour are used up; until then each tag is asked for by itself"
)

// explain says what ghcr.io means by its refusals.
func (r *Registry) explain(f oci.Refusal) (providers.Kind, string, bool) {
	if f.Status != http.StatusUnauthorized && f.Status != http.StatusForbidden {
		return 0, "", false
	}
	return providers.Denied, r.deniedHint(f), true
}

func (r *Registry) deniedHint(f oci.Refusal) string {
	says := strings.ToLower(f.Message)
	switch kind := r.shown(); {
	case strings.Contains(says, "saml") || strings.Contains(says, "sso"):
		return hintSSO
	case kind == "github_pat_":
		return hintFineGrained
	case kind == "ghs_" && f.Op == opSignIn, kind == "ghu_":
		return hintApp
	case writes[f.Op]:
		return hintWrite
	case f.Op == opSignIn:
		return "" // the general word for a credential that is refused
	}
	return hintRead
}

// The operations of [oci] that need push, and that of its sign-in.
var writes = map[string]bool{"put manifest": true, "upload blob": true, "mount blob": true, "try to push": true}

const opSignIn = "sign in"

// explainStorage says what the storage host means, to which reads are redirected.
func explainStorage(f oci.Refusal) (providers.Kind, string, bool) {
	if f.Status == http.StatusServiceUnavailable && strings.Contains(f.Message, "Egress is over the account limit") {
		return providers.Throttled, hintEgress, true
	}
	return 0, "", false
}

// explainAPI says what GitHub's API means.
func (r *Registry) explainAPI(f oci.Refusal) (providers.Kind, string, bool) {
	switch {
	case (f.Status == http.StatusForbidden || f.Status == http.StatusTooManyRequests) && strings.Contains(f.Message, "API rate limit exceeded"):
		return providers.Waiting, hintAPISpent, true
	case (f.Status == http.StatusForbidden || f.Status == http.StatusTooManyRequests) && strings.Contains(f.Message, "secondary rate limit"):
		return providers.Throttled, hintAPIBusy, true
	case f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden:
		return providers.Denied, r.deniedHint(f), true
	}
	return 0, "", false
}
