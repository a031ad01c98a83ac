package replicator

import (
	"context"
	"slices"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/survey"
	"github.com/transship/transship/state"
)

// ItemFailed is the kind of a [state.Item] that is an image which failed.
const ItemFailed = "failed"

// stand records how far a target is behind each of its sources, for each rule.
func (e *Engine) stand(ctx context.Context, job Job, f plan.Facts, p plan.Plan, l *ledger) error {
	to, err := e.repo(p.Target)
	if err != nil {
		return nil // a registry that cannot be opened: the plan says so, and the other targets go on
	}
	if len(job.Hints) > 0 {
		return nil // a look at some tags says nothing of the whole
	}
	shares := sharesOf(f, p, l)
	for _, link := range job.Links {
		if link.To != p.Target {
			continue
		}
		from, err := e.repo(link.From)
		if err != nil {
			return err
		}
		s := state.Standing{Rule: link.Rule.Name, Source: from, Target: to}
		items, behind := shares[part{link.Rule.Name, link.From}].count(&s)
		if err := e.setStanding(ctx, s, items, behind, p); err != nil {
			return err
		}
	}
	return nil
}

// A part of a target is what one rule brings from one source.
type part struct {
	rule string
	from plan.Place
}

// A share is what a part wants, what of it is left, and what failed.
type share struct {
	wants map[[2]string]time.Time // when the source moved it, by reference and tag
	kept  []plan.Refusal
	late  []late
}

// sharesOf sorts what was wanted of a target and what came of it by its parts.
func sharesOf(f plan.Facts, p plan.Plan, l *ledger) map[part]*share {
	shares := map[part]*share{}
	of := func(rule string, from plan.Place) *share {
		k := part{rule, from}
		if shares[k] == nil {
			shares[k] = &share{wants: map[[2]string]time.Time{}}
		}
		return shares[k]
	}
	for _, w := range f.Wants {
		of(w.Rule.Name, w.From).wants[[2]string{w.Ref, w.Tag}] = w.Pushed
	}
	for _, k := range p.Kept {
		s := of(k.Rule, k.From)
		s.kept = append(s.kept, k)
	}
	for _, t := range l.late {
		s := of(t.Rule, t.from)
		s.late = append(s.late, t)
	}
	return shares
}

// count fills s, and returns what keeps the target from being in step, and of
// each tag that is behind when it was moved at the source, zero if nobody told.
func (h *share) count(s *state.Standing) (items []state.Item, behind []time.Time) {
	if h == nil {
		return nil, nil
	}
	item := func(tag, kind, reason, hint string) {
		items = append(items, state.Item{Rule: s.Rule, Target: s.Target, Tag: tag, Kind: kind, Reason: reason, Hint: hint})
	}
	s.InStep = int64(len(h.wants))
	waiting := int64(0)
	for _, k := range h.kept {
		if k.Kind == plan.LeftSkipped {
			continue
		}
		countKept(s, k.Kind)
		pushed, wanted := h.wants[[2]string{k.Ref, k.Tag}]
		if wanted {
			s.InStep--
		}
		if k.Kind == plan.LeftWaiting {
			waiting++
		}
		if k.Kind == plan.LeftFailed || k.Kind == plan.LeftWaiting {
			behind = append(behind, pushed)
		}
		if k.Kind != plan.LeftCooling {
			item(firstOf(k.Tag, k.Ref), string(k.Kind), k.Reason, k.Hint)
		}
	}
	interrupted := int64(0)
	for _, t := range h.late {
		s.InStep--
		behind = append(behind, t.pushed)
		if t.interrupted {
			interrupted++
			continue
		}
		if t.Kind == providers.Waiting {
			waiting++
			item(t.Tag, string(plan.LeftWaiting), t.Reason, t.Hint)
			continue
		}
		s.Failed++
		item(t.Tag, ItemFailed, t.Reason, t.Hint)
	}
	s.Behind, s.InStep = s.Failed+interrupted+waiting, max(0, s.InStep)
	return items, behind
}

// countKept adds one refusal to s.
func countKept(s *state.Standing, kind plan.Left) {
	switch kind {
	case plan.LeftConflict:
		s.Conflict++
	case plan.LeftRefused, plan.LeftArchived, plan.LeftCollision:
		s.Refused++
	case plan.LeftCooling:
		s.Cooling++
	case plan.LeftGone:
		s.Gone++
	case plan.LeftFailed:
		s.Failed++
	}
}

// pendingSince returns the time since which the oldest of the tags that are
// behind is pending (design, "Lag"): when the source moved it, else the last
// complete survey without it. No tag is pending for longer than the oldest was
// at that survey, or than the survey itself if then all was in step.
func pendingSince(past state.Standing, at time.Time, behind []time.Time) time.Time {
	base := past.Pending
	if base.IsZero() {
		base = past.Surveyed
	}
	oldest := at
	for _, since := range behind {
		if since.Before(base) {
			since = base
		}
		if !since.IsZero() && since.Before(oldest) {
			oldest = since
		}
	}
	return oldest
}

// setStanding writes s over what was known.
func (e *Engine) setStanding(ctx context.Context, s state.Standing, items []state.Item, behind []time.Time, p plan.Plan) error {
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
		s.Pending = pendingSince(past, p.At, behind)
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

// forget drops the standings of a rule that none of its links leads to: the source
// or the policy has them no more, and they would be behind for ever.
func (e *Engine) forget(ctx context.Context, rule string, links []survey.Link) error {
	known, err := e.opts.State.Standings(ctx, rule)
	if err != nil || len(known) == 0 {
		return err
	}
	wanted := map[[2]state.Repo]bool{}
	for _, l := range links {
		from, err := e.repo(l.From)
		if err != nil {
			return nil // whoever opens it says so
		}
		to, err := e.repo(l.To)
		if err != nil {
			return nil
		}
		wanted[[2]state.Repo{from, to}] = true
	}
	gone := slices.DeleteFunc(known, func(s state.Standing) bool { return wanted[[2]state.Repo{s.Source, s.Target}] })
	err = e.opts.State.ForgetStandings(ctx, gone)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range gone {
		delete(e.past[rule], [2]state.Repo{s.Source, s.Target})
	}
	return err
}
