// Package jobs does what work rows ask for. A row of key expand/RULE lists a rule's
// repositories and asks for their jobs; one of key run/… is such a job, a look at
// source repositories with all their targets. Whoever wants something looked at
// asks for one of the two: the schedule, an event, the API.
//
// A row says what to look at, never what to do, so that asking twice and running
// twice do no harm. Who may run a row is the store's business; that a rule runs in
// its windows only, that what failed comes back, and that passes are told what
// their jobs came to, is this package's.
package jobs

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
)

// The kinds of keys.
const (
	expandPrefix = "expand/"
	runPrefix    = "run/"
)

// ExpandKey is the key of the row that expands a rule.
func ExpandKey(rule string) string { return expandPrefix + rule }

// RuleOf is the rule that an expansion's key is about; false for another key.
func RuleOf(key string) (rule string, ok bool) { return strings.CutPrefix(key, expandPrefix) }

// Priorities of asks. What a person asked for by hand goes first, and ignores
// windows. Rules are expanded before jobs are run, so that all rules that are due
// have their jobs in the queue, where they take turns.
const (
	PriorityJob     = 0
	PriorityRule    = 10
	PriorityOverdue = 15 // a time of the schedule was missed
	PriorityEvent   = 20
	PriorityByHand  = 30
)

// Causes of asks, as passes and rows show them.
const (
	BySchedule = "schedule"
	ByEvent    = "event"
	ByAPI      = "api"
)

// Store is what jobs need of state. A [state.Store] is one.
type Store interface {
	Ask(ctx context.Context, asks ...state.Ask) error
	Take(ctx context.Context) (*state.Claim, error)
	Done(ctx context.Context, c *state.Claim, failure error, retryIn time.Duration) error
	Release(ctx context.Context, c *state.Claim) error
	Holding(ctx context.Context) error
	Broke() <-chan struct{}
	NextDue(ctx context.Context) (time.Time, error)
	Asked() <-chan struct{}
	BeginJobs(ctx context.Context, p state.Pass, keys []string) (int64, error)
	EndJob(ctx context.Context, r state.JobRun) ([]state.Pass, error)
	BeginPass(ctx context.Context, p state.Pass) (int64, error)
	EndPass(ctx context.Context, p state.Pass) error
	Standings(ctx context.Context, rule string) ([]state.Standing, error)
}

// A Generation is a policy with the engine that carries it out. Release is called
// once by whoever was given it.
type Generation struct {
	Set     *policy.Set
	Engine  *replicator.Engine
	Release func()
}

// A Dispatch calls look whenever a row may be due, at most width at a time, until ctx
// ends, and returns when all of them have. look takes the row whose turn it is, if there
// is one, and returns when that was run; an error is for when it could not look. health
// is told, now and then, whether the queue can be asked.
type Dispatch func(ctx context.Context, width int, look func() error, health func(error)) error

// Options of [Workers].
type Options struct {
	Store Store
	// Current returns the generation in force.
	Current func() Generation
	// Dispatch tells when to take a row; nil is this process's own dispatcher, which
	// knows what is asked here.
	Dispatch Dispatch
	// Workers is how many rows are run side by side; 8.
	Workers int
	// Poll is the longest time in which this process's own dispatcher does not look at
	// the queue. 30 s.
	Poll time.Duration
	// Grace is how long what runs may go on after the soft stop; 30 s. It is then
	// cancelled, and given back without a lost attempt.
	Grace time.Duration
	// Tracer is told of passes; may be nil.
	Tracer Tracer
	// Done is told of each run of a job; may be nil.
	Done func(key string, r replicator.Report, took time.Duration, err error)
	// Passed is told of each pass that ends by a run of this process; may be nil.
	Passed func(p state.Pass)
	Now    func() time.Time // time.Now
	Logger *slog.Logger

	mostDetail int // bytes of what a row keeps of a job; state.MaxDetail, but for tests

	after func(time.Duration, func()) *time.Timer // time.AfterFunc, but for tests
}

// Workers run rows. A process has one of them.
type Workers struct {
	o      Options
	places places

	mu      sync.Mutex
	failing bool // state does not answer, and that was told
}

// New returns workers that do nothing yet.
func New(o Options) *Workers {
	o.Workers = cmp.Or(o.Workers, 8)
	o.Poll = cmp.Or(o.Poll, 30*time.Second)
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	o.mostDetail = cmp.Or(o.mostDetail, state.MaxDetail)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.after == nil {
		o.after = time.AfterFunc
	}
	if o.Tracer == nil {
		o.Tracer = untraced{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Workers{o: o, places: places{held: map[string]bool{}}}
}

// Run takes rows and runs them until stop is closed, which is the soft stop: what
// runs then may come to its end within the grace. ctx is the hard stop: what runs is
// cancelled and given back. Run returns once nothing runs any more, with ctx's cause.
func (w *Workers) Run(ctx context.Context, stop <-chan struct{}) error {
	hard, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	soft, done := until(ctx, stop)
	defer done()
	holding, let := context.WithCancel(hard)
	var side sync.WaitGroup
	side.Go(func() { w.hold(holding) })
	defer func() { let(); side.Wait() }()
	var running sync.WaitGroup
	running.Go(func() { w.dispatch(soft, hard) })
	<-soft.Done()
	grace := time.AfterFunc(w.o.Grace, func() { cancel(errGrace) })
	defer grace.Stop()
	running.Wait()
	return context.Cause(ctx)
}

// dispatch takes rows until soft ends, and returns when they have been run. hard
// cancels them.
func (w *Workers) dispatch(soft, hard context.Context) {
	if w.o.Dispatch == nil {
		w.embedded(soft, hard)
		return
	}
	err := w.o.Dispatch(soft, w.o.Workers, func() error { return w.look(soft, hard) }, w.answers)
	if err != nil {
		w.o.Logger.Warn("the dispatcher has left things as they were", "err", err)
	}
}

// embedded is this process's own dispatcher.
func (w *Workers) embedded(soft, hard context.Context) {
	var running sync.WaitGroup
	slots := make(chan struct{}, w.o.Workers)
	for {
		select {
		case slots <- struct{}{}:
		case <-soft.Done():
		}
		c := w.next(soft)
		if c == nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			w.run(hard, c)
		})
	}
	running.Wait()
}

// look takes a row, if one is due, and runs it.
func (w *Workers) look(soft, hard context.Context) error {
	c, err := w.o.Store.Take(soft)
	if err != nil && soft.Err() == nil {
		c, err = w.o.Store.Take(soft) // the first call may meet a connection that broke
	}
	if err != nil && soft.Err() == nil {
		w.answers(err)
	}
	if c != nil {
		w.run(hard, c)
	}
	return err
}

// holdEvery is how often one makes sure of what is held.
const holdEvery = 5 * time.Second

// hold makes sure of what is held until ctx ends, also while no row is taken. That
// state does not answer is told by whoever takes rows.
func (w *Workers) hold(ctx context.Context) {
	tick := time.NewTicker(holdEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.o.Store.Broke():
		}
		_ = w.o.Store.Holding(ctx)
	}
}

// until returns a context that ends with ctx or when stop is closed. done ends it
// and waits for what watches.
func until(ctx context.Context, stop <-chan struct{}) (soft context.Context, done func()) {
	soft, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-stop:
			cancel()
		case <-soft.Done():
		}
	})
	return soft, func() { cancel(); watch.Wait() }
}

// next waits for a row that is due; nil once ctx has ended. Failures of state are
// tried again.
func (w *Workers) next(ctx context.Context) *state.Claim {
	for ctx.Err() == nil {
		c, err := w.o.Store.Take(ctx)
		if c == nil && ctx.Err() != nil {
			return nil
		}
		if w.answers(err); c != nil {
			return c
		}
		w.wait(ctx, err != nil)
	}
	return nil
}

// answers tells once that state cannot be asked, and once that it can again.
func (w *Workers) answers(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil && !w.failing:
		w.o.Logger.Error("no work can be taken for now: state does not answer", "err", err)
	case err == nil && w.failing:
		w.o.Logger.Info("work can be taken again")
	}
	w.failing = err != nil
}

const (
	// patience is how long state is left alone that could not be asked.
	patience = 2 * time.Second
	// least is how long the queue is left alone at least when a row is due that is
	// somebody else's to run.
	least = 50 * time.Millisecond
)

// wait returns when there may be a row to take.
func (w *Workers) wait(ctx context.Context, failing bool) {
	wait := w.o.Poll
	if failing {
		wait = patience
	} else if due, err := w.o.Store.NextDue(ctx); err == nil && !due.IsZero() {
		wait = min(wait, max(least, due.Sub(w.o.Now())))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-w.o.Store.Asked():
	}
}
