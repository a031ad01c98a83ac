package jobs

import (
	"context"

	"github.com/transship/transship/state"
)

// A Tracer is told of passes. A pass goes on in jobs that any process may run: what
// Note says of it is kept in their rows, and Resume makes a context of the pass again.
type Tracer interface {
	// Pass begins one. The function is called once: when its jobs have been asked for,
	// while it is [state.Running], or with what it came to without any.
	Pass(ctx context.Context, rule, trigger string) (context.Context, func(state.Pass))
	Note(ctx context.Context) string
	// Resume takes any text for a note; one that is none changes nothing.
	Resume(ctx context.Context, note string) context.Context
}

// untraced is the Tracer of who wants none.
type untraced struct{}

func (untraced) Pass(ctx context.Context, _, _ string) (context.Context, func(state.Pass)) {
	return ctx, func(state.Pass) {}
}
func (untraced) Note(context.Context) string                          { return "" }
func (untraced) Resume(ctx context.Context, _ string) context.Context { return ctx }
