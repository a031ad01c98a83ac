package replicator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

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
	room := semaphore.NewWeighted(int64(e.opts.Images))
	var wg sync.WaitGroup
	for i, job := range jobs {
		if !e.slot(ctx, slots) {
			reports[i] = Report{Key: job.Key, Interrupted: true}
			continue
		}
		wg.Go(func() {
			r, err := e.runIn(ctx, job, slots, room)
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

// runIn runs job. Its slot is given back when it has been looked at and has room
// for its images: surveys ask little at a time and wait much, so the next one
// goes on while this one's images move.
func (e *Engine) runIn(ctx context.Context, job Job, slots chan struct{}, room *semaphore.Weighted) (Report, error) {
	free := sync.OnceFunc(func() { <-slots })
	defer free()
	s, err := e.look(ctx, job)
	if err != nil {
		return Report{Key: job.Key}, err
	}
	if size := int64(min(s.images(), e.opts.Images)); size > 0 {
		if err := room.Acquire(ctx, size); err != nil {
			return Report{Key: job.Key}, context.Cause(ctx)
		}
		defer room.Release(size)
	}
	free()
	return e.carry(ctx, s)
}

// Unable records a failed pass for each rule that has problems and no job: it ran,
// and came to nothing. Expand has found them.
func (e *Engine) Unable(ctx context.Context, trigger string, jobs []Job, problems []Problem) error {
	for i, problem := range problems {
		ran := slices.ContainsFunc(jobs, func(j Job) bool { return has(j, problem.Rule) })
		if ran || i > 0 && problems[i-1].Rule == problem.Rule {
			continue
		}
		now := e.opts.Now()
		p := state.Pass{Rule: problem.Rule, Trigger: trigger, Started: now, Outcome: state.Running}
		id, err := e.opts.State.BeginPass(ctx, p)
		if err != nil {
			return fmt.Errorf("state: %w", err)
		}
		p.ID, p.Ended, p.Outcome, p.Error = id, now, state.FailedWhole, problem.Reason
		if err := e.opts.State.EndPass(ctx, p); err != nil {
			return fmt.Errorf("state: %w", err)
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

// begin opens a pass for each rule of jobs.
func (e *Engine) begin(ctx context.Context, trigger string, jobs []Job) (map[string]*state.Pass, error) {
	passes := map[string]*state.Pass{}
	for _, job := range jobs {
		for _, l := range job.Links {
			if passes[l.Rule.Name] != nil {
				continue
			}
			p := &state.Pass{Rule: l.Rule.Name, Trigger: trigger, Started: e.opts.Now(), Outcome: state.Running}
			id, err := e.opts.State.BeginPass(ctx, *p)
			if err != nil {
				return nil, fmt.Errorf("state: %w", err)
			}
			p.ID = id
			passes[l.Rule.Name] = p
		}
	}
	return passes, nil
}

// end closes the passes with what their jobs have come to.
func (e *Engine) end(ctx context.Context, passes map[string]*state.Pass, jobs []Job, reports []Report) error {
	for _, name := range sortedRules(passes) {
		p := passes[name]
		failed, ran := 0, 0
		p.Outcome = state.Succeeded
		for i, job := range jobs {
			if !has(job, name) {
				continue
			}
			ran++
			r := reports[i]
			p.Figures.Add(r.ByRule[name])
			switch {
			case r.Interrupted || r.Err != nil && interrupted(r.Err):
				p.Outcome = state.Interrupted
			case r.Err != nil:
				failed++
				p.Error = r.Err.Error()
			case len(r.Failures) > 0 && p.Outcome == state.Succeeded:
				p.Outcome = state.Partly
			}
		}
		if p.Outcome != state.Interrupted && failed > 0 {
			p.Outcome = state.Partly
			if failed == ran {
				p.Outcome = state.FailedWhole
			}
		}
		p.Ended = e.opts.Now()
		if err := e.opts.State.EndPass(ctx, *p); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

func has(job Job, rule string) bool {
	for _, l := range job.Links {
		if l.Rule.Name == rule {
			return true
		}
	}
	return false
}

func sortedRules(passes map[string]*state.Pass) []string {
	var names []string
	for name := range passes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// interrupted reports whether err says that we were stopped.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, transfer.ErrInterrupted)
}
