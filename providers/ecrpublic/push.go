package ecrpublic

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
		return ok && e.Code == "NAME_UNKNOWN" && r.makes()
	}, func() error { return r.Ensure(ctx, repo) })
}
