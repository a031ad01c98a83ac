package app

import (
	"context"
	"log/slog"
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

	counted bool // at least once; of whoever looks
}

// alive is how many they are, for the metrics.
func (r *replicas) alive() float64 { return float64(r.among.N()) }

// look counts them once. While state does not answer they are as many as they were.
func (r *replicas) look(ctx context.Context) {
	n, err := r.count(ctx)
	if err != nil || r.counted && n == r.among.N() {
		return
	}
	r.counted = true
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
