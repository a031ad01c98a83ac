package quay

import (
	"context"
	"errors"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	hintImmutable = "the tag is immutable: lift that in the repository's settings, or write under another tag"
	hintQuota     = "the namespace's quota is used up: delete what is not needed, or have it raised"
	hintReadOnly  = "the registry is in maintenance: what it lacks goes on when that is over"
	hintDisabled  = "the namespace is disabled: whoever runs the registry has to enable it"
	hintApp       = "the repository is not one of container images: use another one"
	hintWrite     = "give the account write on the repository, or, where that is not there yet, let it create repositories in the namespace (a robot: by a team with the role creator); the repository must not be a mirror or read only"
	hintMade      = "it is made by the first push, if the account may create repositories in the namespace; or it is there, and the account may not read it"
	hintRead      = "check the name: it may not be there, or the account may not read it; give the account read on the repository"
	hintLogin     = "check the user name and the password; a robot is called namespace+name, and its token is its password"
	hintNested    = "this Quay has no names with more than two elements: change to.repository, or switch on FEATURE_EXTENDED_REPOSITORY_NAMES"
	hintToken     = "make another token of an OAuth application of the organization, with \"View all visible repositories\" (repo:read)"
)

// explain says what the registry's refusals mean. What it does not show us may not
// be there: at a registry that is written to that is taken for true, so that the
// push makes it, or is told what it lacks.
func (r *Registry) explain(f oci.Refusal) (providers.Kind, string, bool) {
	words := strings.ToLower(f.Message)
	switch {
	case f.Code == "TAG_IMMUTABLE":
		return providers.Conflict, hintImmutable, true
	case strings.Contains(words, "quota"):
		return providers.Quota, hintQuota, true
	case f.Status == http.StatusMethodNotAllowed && strings.Contains(words, "read-only"):
		return providers.Unavailable, hintReadOnly, true
	case f.Status == http.StatusMethodNotAllowed && strings.Contains(words, "disabled"):
		return providers.Denied, hintDisabled, true
	case f.Status == http.StatusMethodNotAllowed && strings.Contains(words, "not container images"):
		return providers.Invalid, hintApp, true
	case strings.Contains(words, "nested repositories"):
		return providers.Invalid, hintNested, true
	case f.Op == "sign in" && f.Status == http.StatusUnauthorized:
		return providers.Denied, hintLogin, true
	case f.Status == http.StatusUnauthorized && f.Repo != "":
		if writes(f.Op) {
			return providers.Denied, hintWrite, true
		}
		if r.push {
			return providers.NotFound, hintRead, true
		}
		return providers.Denied, hintRead, true
	}
	return providers.Unknown, "", false
}

func writes(op string) bool {
	switch op {
	case "put manifest", "upload blob", "mount blob", "try to push":
		return true
	}
	return false
}

// explainAPI says what the API's refusals mean.
func explainAPI(f oci.Refusal) (providers.Kind, string, bool) {
	switch f.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return providers.Denied, hintToken, true
	}
	return providers.Unknown, "", false
}

// Referrers lists the manifests that refer to subject. One that is not there is
// refused as an invalid manifest: nothing that we could see refers to it.
func (r *Registry) Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	list, err := r.Registry.Referrers(ctx, repo, subject)
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Code == "MANIFEST_INVALID" && e.Status == http.StatusBadRequest {
		return nil, nil
	}
	return list, err
}
