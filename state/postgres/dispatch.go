package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/transship/transship/state/internal/sqlstore"
)

const (
	// unqueued tells the time and counts the rows that have been due for a while and for
	// which no wake-up waits. It need not be exact, and goes no further than a bound.
	unqueued = `WITH clock AS (SELECT ` + clock + ` AS us)
		SELECT us, GREATEST(0,
		(SELECT COUNT(*) FROM (SELECT 1 FROM work WHERE running = 0 AND wanted > done AND not_before <= us - $1 LIMIT 1000) AS due) -
		(SELECT COUNT(*) FROM (SELECT 1 FROM river_job WHERE state = 'available' AND queue = $2 LIMIT 1000) AS waiting))
		FROM clock`

	// lookOften is how much more often one looks for wake-ups that wait than for those
	// that were lost.
	lookOften = 4
	// aWhile is how long a row may be due before one looks for its wake-up.
	aWhile = 2 * time.Second
	// comeBack is how much later a wake-up comes back that led to nothing.
	comeBack = time.Second
	// patience is how long River is left alone that could not be started, and stopping
	// how long it may take to put down what it did.
	patience = 2 * time.Second
	stopping = 10 * time.Second
)

// Dispatch calls look for each wake-up that comes to this process, at most width at a
// time, until ctx ends, and returns when all of them have. look takes the row whose
// turn it is, runs it and ends it; after an error the wake-up comes back.
//
// Who asks wakes a process at once; that it looks for wake-ups by itself is for those
// of which River told nobody. health is told as often as one looks for what was lost
// whether state answers.
func (s *Store) Dispatch(ctx context.Context, width int, look func() error, health func(error)) error {
	d := &dispatcher{Store: s, width: width, look: look, health: health}
	for ctx.Err() == nil {
		client, err := d.start(ctx)
		health(explain(err))
		if err == nil {
			d.sweepUntil(ctx, client)
			if err := d.stop(client); err != nil {
				return fmt.Errorf("stop the dispatcher: %w", err)
			}
			return nil
		}
		pause(ctx, patience)
	}
	return nil
}

type dispatcher struct {
	*Store
	width  int
	look   func() error
	health func(error)

	running atomic.Int64 // calls of look
}

// start starts River, which hands wake-ups to d.
func (d *dispatcher) start(ctx context.Context) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(d.wakeUp))
	client, err := river.NewClient(riverpgxv5.New(d.pool), &river.Config{
		Queues:        map[string]river.QueueConfig{wakeQueue: {MaxWorkers: d.width}},
		Workers:       workers,
		Hooks:         []rivertype.Hook{byOurClock},
		Logger:        d.log,
		FetchCooldown: fetchCooldown, FetchPollInterval: d.every / lookOften,
		JobTimeout: wakeTimeout, RescueStuckJobsAfter: wakeRescue,
		CompletedJobRetentionPeriod: keepWakes, CancelledJobRetentionPeriod: keepWakes, DiscardedJobRetentionPeriod: keepWakes,
	})
	if err != nil {
		return nil, err
	}
	// Its own stop, which waits for what runs, is the only one: ctx ends no run.
	return client, client.Start(context.WithoutCancel(ctx))
}

// wakeUp runs what is due. A run ends when it ends, whatever River wants, and a panic
// in it is not River's to catch.
func (d *dispatcher) wakeUp(context.Context, *river.Job[wake]) error {
	d.running.Add(1)
	defer d.running.Add(-1)
	done := make(chan error)
	go func() { done <- d.look() }()
	if err := <-done; err != nil {
		return river.JobSnooze(comeBack)
	}
	return nil
}

// sweepUntil looks for what nobody was told of until ctx ends.
func (d *dispatcher) sweepUntil(ctx context.Context, client *river.Client[pgx.Tx]) {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := d.sweep(ctx, client); ctx.Err() == nil {
			d.health(err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// sweep gives back what processes ran that died, and wakes somebody for each row that
// is due and whose wake-up was lost, as with a process that had taken it.
func (d *dispatcher) sweep(ctx context.Context, client *river.Client[pgx.Tx]) error {
	if err := d.Adopt(ctx); err != nil {
		return err
	}
	var us int64
	var lost int
	err := d.session.db.QueryRowContext(ctx, unqueued, aWhile.Microseconds(), wakeQueue).Scan(&us, &lost)
	if err != nil || lost == 0 {
		return explain(err)
	}
	_, err = client.InsertMany(ctx, wakesOf(slices.Repeat([]sqlstore.Due{{Now: time.UnixMicro(us)}}, lost)))
	return explain(err)
}

// stop waits for what runs, however long that takes, and then for River.
func (d *dispatcher) stop(client *river.Client[pgx.Tx]) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), stopping)
		err := client.Stop(ctx)
		cancel()
		if err == nil || d.running.Load() == 0 {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
