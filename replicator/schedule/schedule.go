// Package schedule turns the clock into asks: when a rule is due, its expansion is
// asked for, once by however many processes. It runs nothing itself.
//
// A time that was missed, because nothing ran or the rule stood still, is caught up
// once, whatever the number missed; a rule that never ran is due at once. In which
// order due rules run, and that two asks become one run, is the business of the
// queue.
package schedule

import (
	"cmp"
	"context"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/state"
)

// Memory is what a schedule needs of state. A [state.Store] is one.
type Memory interface {
	Tick(ctx context.Context, rule string, at time.Time, asks ...state.Ask) (bool, error)
	Rules(ctx context.Context) (map[string]state.RuleTime, error)
}

// Options of a [Schedule].
type Options struct {
	Memory Memory
	// Ask is what is asked for when a rule is due: its key, its priority. Cause and
	// NotBefore are filled in here. overdue is a time that was missed.
	Ask    func(rule policy.Rule, overdue bool) state.Ask
	Now    func() time.Time // time.Now
	Logger *slog.Logger
}

// A Schedule asks for rules when they are due. It is safe for concurrent use.
type Schedule struct {
	o     Options
	again chan struct{} // has one when rules or pauses have changed

	mu    sync.Mutex
	rules []policy.Rule
}

// New returns a schedule without rules. It starts nothing.
func New(o Options) *Schedule {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Schedule{o: o, again: make(chan struct{}, 1)}
}

// Set replaces the rules. Those that are new and due are asked for at once.
func (s *Schedule) Set(rules []policy.Rule) {
	s.mu.Lock()
	s.rules = slices.Clone(rules)
	s.mu.Unlock()
	s.Look()
}

// Look looks at once at what is due: what state knows of the rules has changed.
func (s *Schedule) Look() {
	select {
	case s.again <- struct{}{}:
	default: // one is enough
	}
}

const (
	// most is how long nothing is looked at. The clock on the wall may jump, and
	// another process may pause a rule, without anybody telling.
	most = 30 * time.Second
	// patience is how long state is left alone that could not be asked.
	patience = 5 * time.Second
)

// Run asks until ctx ends, and returns its cause. Failures of state are logged once
// and tried again.
func (s *Schedule) Run(ctx context.Context) error {
	failing := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		case <-s.again:
		}
		wait, err := s.tick(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			s.o.Logger.Error("the schedule cannot be kept for now: state does not answer", "err", err)
		}
		if failing && err == nil {
			s.o.Logger.Info("the schedule is kept again")
		}
		failing = err != nil
		timer.Reset(wait)
	}
}

// tick asks for the rules that are due, and returns how long nothing else will be.
func (s *Schedule) tick(ctx context.Context) (time.Duration, error) {
	s.mu.Lock()
	rules := s.rules
	s.mu.Unlock()
	if len(rules) == 0 {
		return most, nil
	}
	known, err := s.o.Memory.Rules(ctx)
	if err != nil {
		return patience, err
	}
	now := s.o.Now()
	wait := most
	for _, d := range due(rules, known, now) {
		if d.at.After(now) {
			wait = min(wait, d.at.Sub(now))
			continue
		}
		won, err := s.ask(ctx, d, now)
		switch {
		case err != nil:
			return patience, err
		case won:
			wait = 0 // its next time is not known yet
		default:
			wait = min(wait, time.Second) // another process has asked, or has another clock
		}
	}
	return wait, nil
}

// ask asks for a rule that is due; another process may have done so.
func (s *Schedule) ask(ctx context.Context, d dueRule, now time.Time) (won bool, err error) {
	a := s.o.Ask(d.rule, d.overdue)
	a.Cause, a.NotBefore = "schedule", Wait(d.rule, now)
	won, err = s.o.Memory.Tick(ctx, d.rule.Name, d.at, a)
	if won && err == nil {
		s.o.Logger.Debug("rule is due", "rule", d.rule.Name, "at", d.at, "in", a.NotBefore)
	}
	return won, err
}

// A dueRule is a rule with the time of its schedule that comes next, or was the
// last to come.
type dueRule struct {
	rule    policy.Rule
	at      time.Time
	since   time.Time // the first time that came and was not asked for
	overdue bool      // that is longer ago than a look takes
}

// due returns the rules that have a schedule and stand not still, those that are
// overdue first, and of these the one that has waited longest.
func due(rules []policy.Rule, known map[string]state.RuleTime, now time.Time) []dueRule {
	var list []dueRule
	for _, r := range rules {
		if d, ok := dueAt(r, known[r.Name], now); ok {
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(a, b dueRule) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.rule.Name, b.rule.Name)) })
	return list
}

func dueAt(r policy.Rule, known state.RuleTime, now time.Time) (dueRule, bool) {
	last := known.Ticked.In(now.Location()) // state tells UTC, and fields of a schedule are read by the clock on the wall
	switch {
	case r.Schedule == "" || r.Paused || known.Paused:
		return dueRule{}, false
	case last.IsZero():
		// The same for all processes that see it within a minute.
		return dueRule{r, now.Truncate(time.Minute), now, true}, true
	case last.After(now.Add(skew)):
		last = now.Add(-time.Minute) // by a clock that was wrong
	}
	next := r.Next(last)
	if at := r.Latest(last, now); !at.IsZero() {
		return dueRule{r, at, next, now.Sub(next) > most}, true
	}
	return dueRule{rule: r, at: next, since: next}, !next.IsZero()
}

// skew is how far apart clocks of processes may be, and how far ahead of its own a
// store takes a time for a mistake.
const skew = time.Minute

// Wait is how long a rule that is due has to wait: its jitter, and then for its
// window to open.
func Wait(r policy.Rule, now time.Time) time.Duration {
	at := now.Add(jitter(r))
	return r.Opens(at).Sub(now)
}

// jitter is the rule's own part of its jitter, the same each time, so that the
// distance of its runs is that of its schedule.
func jitter(r policy.Rule) time.Duration {
	if r.Jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(r.Name))
	return time.Duration(h.Sum64() % uint64(r.Jitter.Std()))
}
