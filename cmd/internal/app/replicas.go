package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/transship/transship/providers/all"
)

// countEvery is how often replicas are counted.
const countEvery = 5 * time.Second

// replicas are the processes that share the state, and so the limits of the policy and
// what registries publish.
type replicas struct {
	count func(context.Context) (int, error) // nil where there can be no others
	among *all.Among
	log   *slog.Logger

	n atomic.Int64 // as last counted, 0 before
}

// alive is how many they are, for the metrics.
func (r *replicas) alive() float64 { return float64(max(1, r.n.Load())) }

// look counts them once. While state does not answer they are as many as they were.
func (r *replicas) look(ctx context.Context) {
	n, err := r.count(ctx)
	if err != nil || int64(n) == r.n.Load() {
		return
	}
	r.n.Store(int64(n))
	r.among.Set(n)
	r.log.Info("replicas counted; each keeps to its part of the limits", "replicas", n)
}

// watch counts them until ctx ends.
func (r *replicas) watch(ctx context.Context) {
	if r.count == nil {
		return
	}
	r.look(ctx)
	every(ctx, countEvery, func() { r.look(ctx) })
}
