package replicator_test

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

// A timedStore adds up how long the calls take that a survey and a journal make.
type timedStore struct {
	state.Store
	reads, writes atomic.Int64 // nanoseconds
}

// timed adds the time since start to sum.
func timed(sum *atomic.Int64, start time.Time) { sum.Add(int64(time.Since(start))) }

func (s *timedStore) SourceTags(ctx context.Context, r state.Repo) iter.Seq2[state.SourceTag, error] {
	return timedSeq(&s.reads, s.Store.SourceTags(ctx, r))
}

func (s *timedStore) TargetTags(ctx context.Context, r state.Repo) iter.Seq2[state.TargetTag, error] {
	return timedSeq(&s.reads, s.Store.TargetTags(ctx, r))
}

// timedSeq counts what the consumer does with an element too: it is little.
func timedSeq[T any](sum *atomic.Int64, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		defer timed(sum, time.Now())
		seq(yield)
	}
}

func (s *timedStore) Locate(ctx context.Context, host string, d []v1.Hash, limit int) (map[v1.Hash][]string, error) {
	defer timed(&s.reads, time.Now())
	return s.Store.Locate(ctx, host, d, limit)
}

func (s *timedStore) Has(ctx context.Context, r state.Repo, d []v1.Hash) (map[v1.Hash]bool, error) {
	defer timed(&s.reads, time.Now())
	return s.Store.Has(ctx, r, d)
}

func (s *timedStore) Checked(ctx context.Context, r state.Repo, d []v1.Hash) (map[v1.Hash]time.Time, error) {
	defer timed(&s.reads, time.Now())
	return s.Store.Checked(ctx, r, d)
}

func (s *timedStore) SeeSource(ctx context.Context, r state.Repo, at time.Time, tags []state.SourceTag) error {
	defer timed(&s.writes, time.Now())
	return s.Store.SeeSource(ctx, r, at, tags)
}

func (s *timedStore) Put(ctx context.Context, r state.Record) error {
	defer timed(&s.writes, time.Now())
	return s.Store.Put(ctx, r)
}

func (s *timedStore) SetChecked(ctx context.Context, r state.Repo, at time.Time, d []v1.Hash) error {
	defer timed(&s.writes, time.Now())
	return s.Store.SetChecked(ctx, r, at, d)
}

func (s *timedStore) SetStanding(ctx context.Context, st state.Standing, items []state.Item) error {
	defer timed(&s.writes, time.Now())
	return s.Store.SetStanding(ctx, st, items)
}
