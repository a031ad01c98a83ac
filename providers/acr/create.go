package acr

import (
	"context"
	"errors"
	"net/url"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Ensure does nothing, as a push makes its repository, unless Create says never:
// then one that is missing is NotFound.
func (r *Registry) Ensure(ctx context.Context, repo string) error {
	if !r.opts.Create.Never {
		return nil
	}
	if _, found := r.there.Load(repo); found {
		return nil
	}
	q := oci.Query{Op: "find repository", Count: providers.OpTags, Repo: repo, Path: "/acr/v1/" + url.PathEscape(repo),
		Scopes: []string{"repository:" + repo + ":pull,metadata_read"}}
	for _, err := range r.Pages(ctx, q) {
		if e, ok := errors.AsType[*providers.Error](err); ok && e.Kind == providers.NotFound {
			e.Hint = "the policy says create.never: push to the repository once by other means, or remove that"
		}
		if err != nil {
			return err
		}
	}
	r.there.Store(repo, true)
	return nil
}
