package transfer

import (
	"context"

	"github.com/transship/transship/replicator/plan"
)

// A Tracer is told where an image or a blob begins. The context that it returns is
// that of everything below the step; the function is called once, with how the step
// ended. Calls come from many goroutines.
type Tracer interface {
	Image(ctx context.Context, target plan.Place, img *plan.Image) (context.Context, func(Result))
	// Blob is told of a blob that this image brings, not of one that is there already
	// or that another image brings, nor of one that the target imports. how is
	// [plan.Mount], [plan.Upload], or [plan.Here] of what another replica has brought
	// meanwhile; with an error it may be empty.
	Blob(ctx context.Context, target plan.Place, blob plan.Blob) (context.Context, func(how plan.Have, err error))
}

// Untraced is the Tracer of who wants none. It costs nothing.
type Untraced struct{}

func (Untraced) Image(ctx context.Context, _ plan.Place, _ *plan.Image) (context.Context, func(Result)) {
	return ctx, func(Result) {}
}

func (Untraced) Blob(ctx context.Context, _ plan.Place, _ plan.Blob) (context.Context, func(plan.Have, error)) {
	return ctx, func(plan.Have, error) {}
}
