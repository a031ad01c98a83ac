package quay

import (
	"context"
	"errors"

	"github.com/transship/transship/providers"
)

// Whoami signs in. Nobody gets a token for nothing in particular here, which is no
// refusal: public repositories are read without a name.
func (r *Registry) Whoami(ctx context.Context) (providers.Identity, error) {
	if r.nobody(ctx) {
		return providers.Identity{Name: providers.Anonymous, From: "no credential is known"}, context.Cause(ctx)
	}
	return r.Registry.Whoami(ctx)
}

// TryPush begins an upload and gives it up, in a repository that we are shown. To
// ask for push in another one would make it: that is NotFound.
func (r *Registry) TryPush(ctx context.Context, repo string) error {
	for _, err := range r.Registry.Rows(ctx, repo) {
		if e, ok := errors.AsType[*providers.Error](err); ok && e.Kind == providers.NotFound {
			is := *e
			is.Op, is.Hint = "try to push", hintMade
			return &is
		}
		if err != nil {
			return err
		}
		break
	}
	return r.Registry.TryPush(ctx, repo)
}

// Permissions says what to grant.
func (r *Registry) Permissions(push bool) string {
	text := "the robot account needs read on the repositories that are read; for private ones, an OAuth token with repo:read as auth.apiToken lists tags with their digests"
	if push {
		text += "; write on those that are written to, and the role creator of a team in the namespace where repositories are to be made"
	}
	return text
}
