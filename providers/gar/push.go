package gar

import (
	"context"
	"errors"
	"net/http"

	"github.com/transship/transship/providers"
)

// push pushes to repo. If somebody deleted that since it was found or made it is made
// anew, once.
func (r *Registry) push(ctx context.Context, repo string, push func() error) error {
	return r.ensured.Push(r.host.place(repo).key(), func() error { return r.apart(ctx, repo, push()) },
		r.isMissing, func() error { return r.Ensure(ctx, repo) })
}

// isMissing reports whether err says, as apart does, that a repository is not there
// which we would make.
func (r *Registry) isMissing(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	return ok && e.Kind == providers.NotFound && e.Status == http.StatusForbidden && !r.opts.Create.Never
}
