package replicator

import (
	"context"

	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// stand records how far a target is behind each of its sources, for each rule.
func (e *Engine) stand(ctx context.Context, job Job, f plan.Facts, p plan.Plan, l *ledger) error {
	to, err := e.repo(p.Target)
	if err != nil {
		return err
	}
	for _, link := range job.Links {
		if link.To != p.Target {
			continue
		}
		from, err := e.repo(link.From)
		if err != nil {
			return err
		}
		s := state.Standing{Rule: link.Rule.Name, Source: from, Target: to}
		items := e.count(&s, link.From, f, p, l)
		if len(job.Hints) > 0 {
			continue // a look at some tags says nothing of the whole
		}
		if err := e.setStanding(ctx, s, items, p); err != nil {
			return err
		}
	}
	return nil
}

// count fills s, and returns what keeps the target from being in step.
func (e *Engine) count(s *state.Standing, from plan.Place, f plan.Facts, p plan.Plan, l *ledger) []state.Item {
	mine := func(rule string, at plan.Place) bool { return rule == s.Rule && at == from }
	wants := 0
	for _, w := range f.Wants {
		if mine(w.Rule.Name, w.From) {
			wants++
		}
	}
	var items []state.Item
	kept := 0
	for _, k := range p.Kept {
		if !mine(k.Rule, k.From) || k.Kind == plan.LeftSkipped {
			continue
		}
		if k.Kind != plan.LeftCooling {
			items = append(items, state.Item{Rule: s.Rule, Target: s.Target, Tag: firstOf(k.Tag, k.Ref), Kind: string(k.Kind), Reason: k.Reason, Hint: k.Hint})
		}
		kept += countKept(s, k.Kind)
	}
	for _, failure := range l.failures {
		if failure.Rule == s.Rule {
			s.Failed++
			items = append(items, state.Item{Rule: s.Rule, Target: s.Target, Tag: failure.Tag, Kind: "failed", Reason: failure.Reason, Hint: failure.Hint})
		}
	}
	s.Behind = s.Failed + int64(len(l.interrupted))
	s.InStep = max(0, int64(wants-kept)-int64(len(l.failures))-int64(len(l.interrupted)))
	return items
}

// countKept adds one refusal to s; it returns 1 if that was a want of the plan,
// and not something that the survey had left before.
func countKept(s *state.Standing, kind plan.Left) int {
	switch kind {
	case plan.LeftConflict:
		s.Conflict++
	case plan.LeftRefused, plan.LeftArchived, plan.LeftCollision:
		s.Refused++
	case plan.LeftCooling:
		s.Cooling++
		return 0
	case plan.LeftGone:
		s.Gone++
	case plan.LeftFailed:
		s.Failed++
	}
	return 1
}

// setStanding writes s over what was known. A target is pending since it was
// last seen in step, if it is not now.
func (e *Engine) setStanding(ctx context.Context, s state.Standing, items []state.Item, p plan.Plan) error {
	past, err := e.pastOf(ctx, s)
	if err != nil {
		return err
	}
	s.Surveyed, s.Complete = p.At, past.Complete || s.Behind == 0
	for _, k := range p.Kept {
		if k.Ref == "*" {
			s.Surveyed, s.Complete = past.Surveyed, past.Complete
		}
	}
	if s.Behind > 0 {
		s.Pending = past.Pending
		if s.Pending.IsZero() {
			s.Pending = past.Surveyed
		}
		if s.Pending.IsZero() {
			s.Pending = p.At
		}
	}
	e.mu.Lock()
	e.past[s.Rule][[2]state.Repo{s.Source, s.Target}] = s
	e.mu.Unlock()
	return e.opts.State.SetStanding(ctx, s, items)
}

// pastOf returns what was known before; state is asked once for each rule.
func (e *Engine) pastOf(ctx context.Context, s state.Standing) (state.Standing, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.past[s.Rule] == nil {
		list, err := e.opts.State.Standings(ctx, s.Rule)
		if err != nil {
			return state.Standing{}, err
		}
		e.past[s.Rule] = map[[2]state.Repo]state.Standing{}
		for _, old := range list {
			e.past[s.Rule][[2]state.Repo{old.Source, old.Target}] = old
		}
	}
	return e.past[s.Rule][[2]state.Repo{s.Source, s.Target}], nil
}
