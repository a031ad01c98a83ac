package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

var errLost = fmt.Errorf("%w: the connection to state was lost, and with it the right to this job", transfer.ErrInterrupted)

var errGrace = fmt.Errorf("%w: the time to come to an end was over", transfer.ErrInterrupted)

// An end is how a row's run ends.
type end struct {
	failure error         // nil is done
	retryIn time.Duration // with a failure
	back    bool          // given back as it was: we stopped it
	run     *state.JobRun // that the passes which wait for it are told of before; may be nil
}

// run does what c asks for and ends it.
func (w *Workers) run(ctx context.Context, c *state.Claim) {
	g := w.o.Current()
	defer g.Release()
	ctx, done := whileHeld(ctx, c)
	defer done()
	var e end
	switch rule, isRule := RuleOf(c.Key); {
	case isRule:
		e = w.expand(ctx, g, rule, c)
	case strings.HasPrefix(c.Key, runPrefix):
		e = w.job(ctx, g, c)
	default:
		w.o.Logger.Warn("a row of work is of no kind that is known, and is dropped", "job", c.Key)
	}
	w.end(ctx, c, e)
}

// whileHeld returns a context that ends with the claim, if that is lost.
func whileHeld(ctx context.Context, c *state.Claim) (held context.Context, done func()) {
	held, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-c.Lost: // nil blocks
			cancel(errLost)
		case <-held.Done():
		}
	})
	return held, func() { cancel(nil); watch.Wait() }
}

// end tells the store, until it listens or the stop is over.
func (w *Workers) end(ctx context.Context, c *state.Claim, e end) {
	for try := 0; ; try++ {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		err := w.record(after, c, &e)
		cancel()
		if err == nil {
			return
		}
		if errors.Is(err, state.ErrLost) {
			w.o.Logger.Warn("the right to a job was lost while it ran; it runs again", "job", c.Key)
			return
		}
		if try == 0 {
			w.o.Logger.Error("the end of a job could not be recorded; it may run once more", "job", c.Key, "err", err)
		}
		select {
		case <-ctx.Done():
			return // whoever opens the state next gives it back
		case <-time.After(patience):
		}
	}
}

// record tells passes, then the queue: what dies in between runs and tells again.
func (w *Workers) record(ctx context.Context, c *state.Claim, e *end) error {
	if e.run != nil {
		ended, err := w.o.Store.EndJob(ctx, *e.run)
		if err != nil {
			return err
		}
		e.run = nil
		for _, p := range ended {
			w.passed(p)
		}
	}
	if e.back {
		return w.o.Store.Release(ctx, c)
	}
	return w.o.Store.Done(ctx, c, e.failure, e.retryIn)
}

func (w *Workers) passed(p state.Pass) {
	if w.o.Passed != nil {
		w.o.Passed(p)
	}
}

// later puts c off: it asks for c's key again, due after wait, and this run of it has
// ended without a failure.
func (w *Workers) later(ctx context.Context, c *state.Claim, wait time.Duration) end {
	err := w.o.Store.Ask(ctx, state.Ask{Key: c.Key, Hints: c.Hints, Priority: c.Priority, Cause: c.Cause, NotBefore: wait})
	if err != nil {
		return end{back: true} // it is taken and put off once more
	}
	return end{}
}

// byHand reports whether a person wants c now.
func byHand(c *state.Claim) bool { return c.Priority >= PriorityByHand }

// job runs the job that c's detail tells.
func (w *Workers) job(ctx context.Context, g Generation, c *state.Claim) end {
	job, pass := jobOf(g.Set, c)
	ctx = w.o.Tracer.Resume(ctx, pass)
	now := w.o.Now()
	closes := time.Time{}
	if !byHand(c) {
		wait := time.Duration(0)
		if job.Links, wait, closes = opened(job.Links, now); len(job.Links) == 0 && wait > 0 {
			return w.later(ctx, c, wait)
		}
	}
	if len(job.Links) == 0 { // the rules that wanted it are gone, or stand still
		return w.told(c, replicator.Report{Key: c.Key}, state.Interrupted, nil)
	}
	release, free := w.places.hold(job)
	if !free {
		return w.later(ctx, c, busyFor) // what waits here would keep others from running
	}
	defer release()
	return w.carry(ctx, g, c, job, closes)
}

// carry runs job; it begins no image after closes, if that is not zero.
func (w *Workers) carry(ctx context.Context, g Generation, c *state.Claim, job replicator.Job, closes time.Time) end {
	closing := make(chan struct{})
	if !closes.IsZero() {
		timer := w.o.after(closes.Sub(w.o.Now()), func() { close(closing) })
		defer timer.Stop()
	}
	start := w.o.Now()
	r, err := g.Engine.RunUntil(ctx, job, closing)
	took := w.o.Now().Sub(start)
	r.Interrupted = r.Interrupted || stopped(ctx, err)
	if w.o.Done != nil {
		w.o.Done(c.Key, r, took, err)
	}
	w.log(c, r, took, err)
	switch {
	case r.Interrupted && over(closing):
		_, wait, _ := opened(job.Links, w.o.Now())
		return w.later(ctx, c, max(wait, time.Second))
	case r.Interrupted:
		return end{back: true}
	case err != nil:
		return w.told(c, r, state.FailedWhole, err)
	case len(r.Failures) > 0:
		return w.told(c, r, state.Partly, mayPass(r))
	case len(r.Waiting) > 0:
		e := w.later(ctx, c, max(r.Until().Sub(w.o.Now()), time.Second)) // no attempt is lost
		e.run = w.told(c, r, state.Waited, nil).run
		return e
	}
	return w.told(c, r, state.Succeeded, nil)
}

// stopped reports whether err, with which a run ended, is that we stopped it. Once ctx
// has ended it is, by whatever name.
func stopped(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil || errors.Is(err, transfer.ErrInterrupted) || errors.Is(err, context.Canceled)
}

func over(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// told is the end of c that is told to the passes which wait for it; failure, if it
// is not nil, is what may pass and is tried again.
func (w *Workers) told(c *state.Claim, r replicator.Report, outcome state.Outcome, failure error) end {
	run := &state.JobRun{Key: c.Key, Taken: c.Taken, Ended: w.o.Now(), Outcome: outcome, Figures: r.ByRule}
	if failure != nil {
		run.Error = failure.Error()
	}
	return end{failure: failure, retryIn: retryIn(c.Attempt), run: run}
}

// log says once how a job went.
func (w *Workers) log(c *state.Claim, r replicator.Report, took time.Duration, err error) {
	f := r.Figures
	args := []any{"job", c.Key, "cause", c.Cause, "took", took.Round(time.Millisecond), "tags", f.Tags, "copied", f.Copied,
		"failed", f.Failed, "kept", f.Kept, "bytes", f.BytesSent}
	switch {
	case r.Interrupted:
		w.o.Logger.Info("job interrupted; it goes on later", args...)
	case err != nil:
		w.o.Logger.Error("job failed", append(args, "err", err)...)
	case len(r.Failures) > 0:
		first := r.Failures[0]
		w.o.Logger.Error("job done, some images failed", append(args,
			"first", first.Target.String()+":"+first.Tag, "err", first.Reason, "hint", first.Hint)...)
	case len(r.Waiting) > 0:
		w.o.Logger.Info("job done as far as its source allows; the rest waits", append(args, "waiting", len(r.Waiting), "until", r.Until())...)
	default:
		w.o.Logger.Info("job done", args...)
	}
}

// opened returns the links whose rules are in a window, and those that lead to a
// repository which one of these leads to: tags of one repository are judged
// together. Without any it says how long until one opens. closes is when the first
// window of these rules closes, zero if none does.
func opened(links []replicator.Link, now time.Time) (open []replicator.Link, wait time.Duration, closes time.Time) {
	targets := map[string]bool{}
	for _, l := range links {
		if l.Rule.Open(now) {
			targets[l.To.String()] = true
			closes = earlier(closes, l.Rule.Closes(now))
		} else if d := l.Rule.Opens(now).Sub(now); wait == 0 || d < wait {
			wait = d
		}
	}
	for _, l := range links {
		if targets[l.To.String()] {
			open = append(open, l)
		}
	}
	return open, wait, closes
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
