package ecr

import (
	"context"
	"errors"

	"github.com/transship/transship/providers"
)

// push pushes to repo. If somebody deleted that since it was found or made it is made
// anew, once.
func (r *Registry) push(ctx context.Context, repo string, push func() error) error {
	return r.ensured.Push(repo, push, func(err error) bool {
		e, ok := errors.AsType[*providers.Error](err)
		return ok && e.Code == "NAME_UNKNOWN" && r.makes(ctx)
	}, func() error { return r.Ensure(ctx, repo) })
}

// makes reports whether a repository that is missing is made.
func (r *Registry) makes(ctx context.Context) bool {
	return !r.opts.Create.Never && !r.opts.Create.Template && !r.plain(ctx)
}
