package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// expand lists a rule's repositories and asks for their jobs, as one pass.
func (w *Workers) expand(ctx context.Context, g Generation, name string, c *state.Claim) end {
	rule, ok := g.Set.Rule(name)
	if !ok || rule.Paused {
		return end{} // it was taken out of the policy since it was asked for
	}
	now := w.o.Now()
	if wait := rule.Opens(now).Sub(now); wait > 0 && !byHand(c) {
		return w.later(ctx, c, wait)
	}
	ctx, traced := w.o.Tracer.Pass(ctx, name, c.Cause)
	p := state.Pass{Rule: name, Trigger: c.Cause, Started: now, Outcome: state.Running}
	defer func() { traced(p) }()
	jobs, problems, err := g.Engine.ExpandRule(ctx, rule)
	if err != nil {
		p.Outcome = state.Interrupted
		return end{back: true}
	}
	note := w.o.Tracer.Note(ctx)
	jobs, tooLong := w.kept(name, jobs, note)
	problems = append(problems, tooLong...)
	for _, problem := range problems {
		w.o.Logger.Warn("a part of a rule cannot be run", "rule", problem.Rule, "err", problem.Reason, "hint", problem.Hint)
	}
	if len(jobs) == 0 {
		return w.unable(ctx, c, &p, problems)
	}
	if err := w.begin(ctx, c, rule, jobs, note, p); err != nil {
		p.Outcome, p.Error = state.FailedWhole, err.Error()
		w.o.Logger.Error("the jobs of a rule could not be asked for", "rule", name, "err", err)
		return end{failure: err, retryIn: retryIn(c.Attempt)}
	}
	w.o.Logger.Info("rule begun", "rule", name, "cause", c.Cause, "jobs", len(jobs))
	return end{}
}

// kept leaves out jobs of which a row cannot keep what they are, and tells of them: to
// ask for one would fail with all others, after their pass was opened.
func (w *Workers) kept(rule string, jobs []replicator.Job, note string) (fit []replicator.Job, tooLong []replicator.Problem) {
	for _, job := range jobs {
		n := len(detailOf(job, note))
		if n <= w.o.mostDetail {
			fit = append(fit, job)
			continue
		}
		tooLong = append(tooLong, replicator.Problem{Rule: rule,
			Reason: fmt.Sprintf("%d ways lead to the targets of %s, which is more than the queue keeps of a job (%d bytes of %d)", len(job.Links), job.Key, n, w.o.mostDetail),
			Hint:   "give more of its repositories a target of their own"})
	}
	return fit, tooLong
}

// begin opens the pass and asks for its jobs: the small ones first, in the turns
// that the rule's weight gives it. note is the tracer's, of the pass.
func (w *Workers) begin(ctx context.Context, c *state.Claim, rule policy.Rule, jobs []replicator.Job, note string, p state.Pass) error {
	if err := w.sort(ctx, jobs, rule.Name); err != nil {
		return err
	}
	keys := make([]string, len(jobs))
	asks := make([]state.Ask, len(jobs))
	for i, job := range jobs {
		keys[i] = job.Key
		asks[i] = state.Ask{Key: job.Key, Priority: jobPriority(c), Cause: c.Cause, Detail: detailOf(job, note),
			Turn: int64(i) * state.TurnStep / int64(max(1, rule.Weight))}
	}
	if _, err := w.o.Store.BeginJobs(ctx, p, keys); err != nil {
		return err
	}
	return w.o.Store.Ask(ctx, asks...)
}

// jobPriority is that of the jobs of an expansion: those of one that a person
// waits for go first, all others take turns.
func jobPriority(c *state.Claim) int {
	if byHand(c) {
		return PriorityByHand
	}
	return PriorityJob
}

// sort puts jobs in the order in which they are run: what is small as far as is
// known, then what is not known, then by key.
func (w *Workers) sort(ctx context.Context, jobs []replicator.Job, rule string) error {
	standings, err := w.o.Store.Standings(ctx, rule)
	if err != nil {
		return err
	}
	tags := map[string]int64{}
	for _, s := range standings {
		tags[s.Source.Name] = max(tags[s.Source.Name], s.InStep+s.Behind)
	}
	size := func(j replicator.Job) (n int64) {
		seen := map[plan.Place]bool{}
		for _, l := range j.Links {
			if !seen[l.From] {
				seen[l.From] = true
				n += tags[l.From.Repo]
			}
		}
		return n
	}
	slices.SortStableFunc(jobs, func(a, b replicator.Job) int { return cmp.Or(cmp.Compare(size(a), size(b)), cmp.Compare(a.Key, b.Key)) })
	return nil
}

// unable records that a rule ran and came to nothing. A list that failed is tried
// again; other problems are for a person.
func (w *Workers) unable(ctx context.Context, c *state.Claim, p *state.Pass, problems []replicator.Problem) end {
	id, err := w.o.Store.BeginPass(ctx, *p)
	if err != nil {
		p.Outcome, p.Error = state.FailedWhole, err.Error()
		return end{failure: err, retryIn: patience}
	}
	p.ID, p.Ended, p.Outcome = id, w.o.Now(), state.FailedWhole
	again := false
	var reasons []error
	for _, problem := range problems {
		reasons = append(reasons, errors.New(problem.Reason))
		again = again || problem.Listing
	}
	failure := cmp.Or(errors.Join(reasons...), fmt.Errorf("rule %s has no job", p.Rule))
	p.Error = failure.Error()
	if err := w.o.Store.EndPass(ctx, *p); err != nil {
		return end{failure: err, retryIn: patience}
	}
	w.passed(*p)
	if !again {
		return end{}
	}
	return end{failure: failure, retryIn: retryIn(c.Attempt)}
}
