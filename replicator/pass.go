package replicator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// RunAll runs jobs as one pass of each of their rules, and returns a report for
// each, in the order of jobs. At most Options.Jobs of them are looked at side by
// side; one whose plan is made gives its place to the next as soon as there is
// room for its images among those under way. A job that fails is reported and
// stops nothing else; after a soft stop no further job is begun.
// done, which may be nil, is called for each as it ends, from many goroutines;
// only there a report has its plans.
// The error is ctx's cause, or a failure of state.
func (e *Engine) RunAll(ctx context.Context, trigger string, jobs []Job, done func(Report)) ([]Report, error) {
	passes, err := e.begin(ctx, trigger, jobs)
	if err != nil {
		return nil, err
	}
	reports := make([]Report, len(jobs))
	slots := make(chan struct{}, e.opts.Jobs)
	var wg sync.WaitGroup
	for i, job := range jobs {
		if !e.slot(ctx, slots) {
			reports[i] = Report{Key: job.Key, Interrupted: true}
			continue
		}
		wg.Go(func() {
			r, err := e.runIn(passes.of(ctx, job), job, func() { <-slots }, nil)
			if r.Err = err; err != nil && ctx.Err() != nil {
				r.Interrupted, r.Err = true, nil // whatever it was, we stopped it
			}
			if done != nil {
				done(r)
			}
			r.Plans = nil // a registry's plans are many; whoever wants them has seen them
			reports[i] = r
		})
	}
	wg.Wait()
	if err := e.end(context.WithoutCancel(ctx), passes, jobs, reports); err != nil {
		return reports, err
	}
	return reports, context.Cause(ctx)
}

// Unable records a failed pass for each rule that has problems and no job: it ran,
// and came to nothing. Expand has found them.
func (e *Engine) Unable(ctx context.Context, trigger string, jobs []Job, problems []Problem) error {
	told := map[string]bool{}
	for _, job := range jobs {
		for _, l := range job.Links {
			told[l.Rule.Name] = true
		}
	}
	for _, problem := range problems {
		if told[problem.Rule] {
			continue
		}
		told[problem.Rule] = true
		p, err := e.open(ctx, problem.Rule, trigger)
		if err != nil {
			return err
		}
		p.Outcome, p.Error = state.FailedWhole, problem.Reason
		if err := e.shut(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// slot waits for a place, and returns false if no job may be begun any more.
func (e *Engine) slot(ctx context.Context, slots chan struct{}) bool {
	if e.stopping() {
		return false
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-e.opts.Transfer.Stop: // nil blocks
		return false
	case <-ctx.Done():
		return false
	}
}

// A pass is one that is under way.
type pass struct {
	state.Pass
	ctx    context.Context // of what belongs to it
	traced func(state.Pass)
}

// passes are those of one run, by rule.
type passes map[string]*pass

// of is the context in which a job runs: that of its first rule's pass.
func (p passes) of(ctx context.Context, job Job) context.Context {
	if rules := rulesOf(job); len(rules) > 0 {
		return p[rules[0]].ctx
	}
	return ctx
}

// open begins a pass.
func (e *Engine) open(ctx context.Context, rule, trigger string) (*pass, error) {
	p := &pass{Pass: state.Pass{Rule: rule, Trigger: trigger, Started: e.opts.Now(), Outcome: state.Running}}
	id, err := e.opts.State.BeginPass(ctx, p.Pass)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	p.ID = id
	p.ctx, p.traced = e.opts.Tracer.Pass(ctx, rule, trigger)
	return p, nil
}

// shut ends a pass as it is.
func (e *Engine) shut(ctx context.Context, p *pass) error {
	p.Ended = e.opts.Now()
	p.traced(p.Pass)
	if err := e.opts.State.EndPass(ctx, p.Pass); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// begin opens a pass for each rule of jobs.
func (e *Engine) begin(ctx context.Context, trigger string, jobs []Job) (passes, error) {
	begun := passes{}
	for _, job := range jobs {
		for _, l := range job.Links {
			if begun[l.Rule.Name] != nil {
				continue
			}
			p, err := e.open(ctx, l.Rule.Name, trigger)
			if err != nil {
				e.giveUp(context.WithoutCancel(ctx), begun, err)
				return nil, err
			}
			begun[l.Rule.Name] = p
		}
	}
	return begun, nil
}

// giveUp closes passes that run no job, as state would not open them all. What it
// does not hear of now, it closes itself when it is opened next.
func (e *Engine) giveUp(ctx context.Context, begun passes, why error) {
	for _, name := range slices.Sorted(maps.Keys(begun)) {
		p := begun[name]
		p.Outcome, p.Error = state.FailedWhole, why.Error()
		if interrupted(why) {
			p.Outcome, p.Error = state.Interrupted, ""
		}
		_ = e.shut(ctx, p) // why is told
	}
}

// end closes the passes with what their jobs have come to: all of them, also where
// state does not take one. The error is the first that it made.
func (e *Engine) end(ctx context.Context, begun passes, jobs []Job, reports []Report) error {
	tallies := map[string]*tally{}
	for i, job := range jobs {
		for _, name := range rulesOf(job) {
			if tallies[name] == nil {
				tallies[name] = &tally{outcome: state.Succeeded}
			}
			tallies[name].add(name, reports[i])
		}
	}
	var failed error
	for _, name := range slices.Sorted(maps.Keys(begun)) {
		p, t := begun[name], tallies[name]
		p.Outcome, p.Error, p.Figures = t.verdict(), t.err, t.figures
		failed = cmp.Or(failed, e.shut(ctx, p))
	}
	return failed
}

// A tally is what the jobs of one rule have come to.
type tally struct {
	ran, failed int
	outcome     state.Outcome // but for the jobs that failed
	err         string        // of the last one that failed
	figures     state.Figures
}

func (t *tally) add(rule string, r Report) {
	t.ran++
	t.figures.Add(r.ByRule[rule])
	switch {
	case r.Interrupted || r.Err != nil && interrupted(r.Err):
		t.outcome = state.Interrupted
	case r.Err != nil:
		t.failed++
		t.err = r.Err.Error()
	case len(r.Failures) > 0 && (t.outcome == state.Succeeded || t.outcome == state.Waited):
		t.outcome = state.Partly
	case len(r.Waiting) > 0 && t.outcome == state.Succeeded:
		t.outcome = state.Waited
	}
}

func (t *tally) verdict() state.Outcome {
	switch {
	case t.outcome == state.Interrupted || t.failed == 0:
		return t.outcome
	case t.failed == t.ran:
		return state.FailedWhole
	}
	return state.Partly
}

// rulesOf returns the names of job's rules, each once, sorted.
func rulesOf(job Job) []string {
	var names []string
	for _, l := range job.Links {
		names = append(names, l.Rule.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// interrupted reports whether err says that we were stopped.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, transfer.ErrInterrupted)
}
