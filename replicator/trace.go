package replicator

import (
	"context"

	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// A Tracer is told of the tree that runs make: passes, their jobs, and the images
// and blobs of these. What a context that it returns is given to belongs to that
// step; the function is called once, with what the step has come to, whatever fails.
type Tracer interface {
	transfer.Tracer
	Pass(ctx context.Context, rule, trigger string) (context.Context, func(state.Pass))
	Job(ctx context.Context, job Job) (context.Context, func(Report, error))
}

// untraced is the Tracer of who wants none.
type untraced struct{ transfer.Untraced }

func (untraced) Pass(ctx context.Context, _, _ string) (context.Context, func(state.Pass)) {
	return ctx, func(state.Pass) {}
}

func (untraced) Job(ctx context.Context, _ Job) (context.Context, func(Report, error)) {
	return ctx, func(Report, error) {}
}
