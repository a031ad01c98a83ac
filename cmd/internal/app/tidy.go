package app

import (
	"context"
	"log/slog"
	"time"
)

const (
	// settleEvery is how often one looks for what waits for a time that nobody meant.
	settleEvery = time.Minute
	// pruneEvery is how often history is pruned, and pruneFirst how long after the
	// start: a machine that has just started may not have set its clock yet.
	pruneEvery = time.Hour
	pruneFirst = 5 * time.Minute
	// jump is by how much the clock on the wall may differ from the time that has
	// passed before it counts as set.
	jump = time.Minute
)

// A memory is what a tidier needs of state.
type memory interface {
	Prune(ctx context.Context, before time.Time) (int64, error)
	Settle(ctx context.Context) (int, error)
}

// A tidier drops history that is older than it is kept, and has nothing wait for a
// clock that was wrong. A clock that was set is trusted once it has been steady for
// an hour.
type tidier struct {
	store  memory
	keep   time.Duration
	log    *slog.Logger
	now    func() time.Time     // by the clock on the wall, which may be set
	passed func() time.Duration // since the start, whatever that clock says

	wall time.Time     // at the last look
	at   time.Duration // passed then
	next time.Duration // when history is pruned, as passed
}

func newTidier(store memory, keep time.Duration, log *slog.Logger) *tidier {
	start := time.Now()
	return &tidier{store: store, keep: keep, log: log,
		now:    func() time.Time { return time.Now().Round(0) },
		passed: func() time.Duration { return time.Since(start) },
		wall:   start.Round(0), next: pruneFirst}
}

// run tidies until ctx ends.
func (t *tidier) run(ctx context.Context) {
	t.look(ctx)
	every(ctx, settleEvery, func() { t.look(ctx) })
}

// look does what is to be done by now.
func (t *tidier) look(ctx context.Context) {
	wall, passed := t.now(), t.passed()
	if set := wall.Sub(t.wall) - (passed - t.at); set.Abs() > jump {
		t.log.Warn("the clock was set; history is pruned when it has been steady for a while", "by", set.Round(time.Second), "while", pruneEvery)
		t.next = passed + pruneEvery
	}
	t.wall, t.at = wall, passed
	if n, err := t.store.Settle(ctx); err == nil && n > 0 {
		t.log.Warn("jobs that waited for a time too far ahead are due as they were meant: the clock was wrong", "jobs", n)
	} // a failure of state is told by whoever takes work
	if passed < t.next {
		return
	}
	t.next = passed + pruneEvery
	if n, err := t.store.Prune(ctx, wall.Add(-t.keep)); err != nil && ctx.Err() == nil {
		t.log.Warn("old history could not be pruned", "err", err)
	} else if n > 0 {
		t.log.Info("old history pruned", "passes", n)
	}
}
