package replicator

import (
	"cmp"
	"slices"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/state"
)

// A Lag is how far one target registry is behind its source for one rule.
type Lag struct {
	Rule   string `json:"rule"`
	Target string `json:"target"` // the registry's host
	State  Step   `json:"state"`

	// Behind is for how long something that the rule wants is not there, or nobody
	// has looked although it was time; 0 in step, and while initializing.
	Behind time.Duration `json:"behindNanoseconds"`
	// Surveyed is when the repository was last looked at that was not for longest.
	Surveyed time.Time `json:"surveyed,omitzero"`
	// Late is set if Behind is more than the rule's maxLag.
	Late bool `json:"late,omitempty"`

	Repositories int   `json:"repositories"`
	InStep       int64 `json:"inStep"` // tags
	Missing      int64 `json:"missing"`
	Failed       int64 `json:"failed"`
	Conflict     int64 `json:"conflict"`
	Refused      int64 `json:"refused"`
	Cooling      int64 `json:"cooling"`
	Gone         int64 `json:"gone"`
}

// A Step is where a target stands.
type Step string

const (
	InStep       Step = "in step"
	Behind       Step = "behind"
	Initializing Step = "initializing" // never was complete: what is missing is no lag yet
	Paused       Step = "paused"
)

// Lags sums up standings for each rule and target host, sorted by these. Rules of
// which no standing is known are left out. The lag is the age of the oldest tag that
// is wanted and not there, and never less than the time since which the rule should
// have looked again (design, "Lag"). paused are rules that stand still.
func Lags(rules []policy.Rule, standings []state.Standing, paused func(rule string) bool, now time.Time) []Lag {
	byName := map[string]policy.Rule{}
	for _, r := range rules {
		byName[r.Name] = r
	}
	sums := map[[2]string]*Lag{}
	for _, s := range standings {
		rule, ok := byName[s.Rule]
		if !ok {
			continue // of a rule that is gone
		}
		key := [2]string{s.Rule, s.Target.Host}
		if sums[key] == nil {
			sums[key] = &Lag{Rule: s.Rule, Target: s.Target.Host, State: InStep}
		}
		sums[key].add(rule, s, now)
	}
	var list []Lag
	for _, l := range sums {
		if rule := byName[l.Rule]; rule.Paused || paused(l.Rule) {
			l.State, l.Behind, l.Late = Paused, 0, false
		} else {
			l.Late = rule.MaxLag > 0 && l.Behind > rule.MaxLag.Std()
		}
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Lag) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Target, b.Target)) })
	return list
}

// add adds the standing of one repository.
func (l *Lag) add(rule policy.Rule, s state.Standing, now time.Time) {
	l.Repositories++
	l.InStep += s.InStep
	l.Missing += s.Behind
	l.Failed += s.Failed
	l.Conflict += s.Conflict
	l.Refused += s.Refused
	l.Cooling += s.Cooling
	l.Gone += s.Gone
	if l.Surveyed.IsZero() || s.Surveyed.Before(l.Surveyed) {
		l.Surveyed = s.Surveyed
	}
	if !s.Complete {
		l.State = Initializing
		return
	}
	behind := unlooked(rule, s.Surveyed, now)
	if s.Behind > 0 && !s.Pending.IsZero() {
		behind = max(behind, now.Sub(s.Pending))
	}
	if behind > 0 {
		l.Behind = max(l.Behind, behind)
		if l.State == InStep {
			l.State = Behind
		}
	}
}

// unlooked is for how long the rule should have looked at what it has last looked at
// then, 0 if it was not time yet. Windows put the time off.
func unlooked(rule policy.Rule, surveyed, now time.Time) time.Duration {
	next := rule.Next(surveyed.In(now.Location()))
	if next.IsZero() {
		return 0
	}
	return max(0, now.Sub(rule.Opens(next.Add(rule.Jitter.Std()))))
}
