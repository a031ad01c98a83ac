package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Question is about one reference of a source registry.
type Question struct {
	Registry   string // the registry's name in the policy, or its host
	Repository string
	Tag        string

	// Now and Tags (all the tags of the repository, with their times) let age and
	// newest be judged. Without Tags, a verdict is by names alone.
	Now  time.Time
	Tags []TagInfo
}

// An Explanation is what one rule does with a reference, and why. Steps are
// clauses in the order in which the rule decides.
type Explanation struct {
	Rule    string    `json:"rule"`
	Taken   bool      `json:"taken"`
	Steps   []string  `json:"steps"`
	Targets []Arrival `json:"targets,omitempty"` // of a reference that is taken
}

// An Arrival is the name under which a target keeps a reference, or why it cannot.
type Arrival struct {
	Registry   string `json:"registry"` // its name in the policy
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Problem    string `json:"problem,omitempty"`

	// Readers are the registries that layers are read from, best first and the
	// source last; none where there is but the source.
	Readers []Price `json:"readers,omitempty"`
}

// A Price is a registry and its egressPrice.
type Price struct {
	Registry string   `json:"registry"`
	PerGB    *float64 `json:"egressPrice,omitempty"` // USD; nil if the policy gives none
}

func (p Price) String() string {
	if p.PerGB == nil {
		return p.Registry
	}
	return fmt.Sprintf("%s (%v USD per GB)", p.Registry, *p.PerGB)
}

// Explain asks every rule, in order, about one reference.
func (s *Set) Explain(q Question) []Explanation {
	all := make([]Explanation, 0, len(s.Rules))
	sources := s.Find(q.Registry)
	for _, r := range s.Rules {
		e := Explanation{Rule: r.Name}
		e.Taken = e.judge(r, sources, q)
		if e.Taken {
			e.arrive(s, r, q)
		}
		all = append(all, e)
	}
	return all
}

func (e *Explanation) step(format string, args ...any) {
	e.Steps = append(e.Steps, fmt.Sprintf(format, args...))
}

// judge adds a step for each filter, up to the first that leaves the reference out.
func (e *Explanation) judge(r Rule, sources []string, q Question) bool {
	if !slices.Contains(sources, r.From.Registry) {
		e.step("registry: the rule reads from %s, not from %s", r.From.Registry, q.Registry)
		return false
	}
	if r.Paused {
		e.step("paused: the rule does nothing for now")
		return false
	}
	ok, reason := r.From.Repositories.Match(q.Repository)
	e.step("repository %s: %s", q.Repository, reason)
	if !ok || q.Tag == "" {
		return ok
	}
	return e.judgeTag(r, q)
}

func (e *Explanation) judgeTag(r Rule, q Question) bool {
	if q.Tags == nil {
		return e.judgeName(r, q.Tag)
	}
	for _, v := range r.SelectTags(q.Now, q.Tags) {
		if v.Tag == q.Tag {
			e.step("tag %s: %s", q.Tag, v.Reason)
			return v.Taken
		}
	}
	e.step("tag %s: the repository has no such tag", q.Tag)
	return false
}

// judgeName says what the name alone decides, and what is left open.
func (e *Explanation) judgeName(r Rule, tag string) bool {
	s, err := r.Selector()
	if err != nil {
		e.step("tag %s: the filter is invalid: %v", tag, err)
		return false
	}
	ok, reason := s.Name(tag)
	e.step("tag %s: %s", tag, reason)
	if !ok {
		return false
	}
	var open []string
	if r.Tags.MinAge > 0 || r.Tags.MaxAge > 0 {
		open = append(open, "its age")
	}
	if n := r.Tags.Newest; n != nil {
		open = append(open, fmt.Sprintf("whether it is among the newest %d by %s", n.Count, n.By))
	}
	if len(open) > 0 {
		e.step("left open, as the registry was not asked: %s", strings.Join(open, ", and "))
	}
	return true
}

// arrive maps the reference to every target of the rule.
func (e *Explanation) arrive(s *Set, r Rule, q Question) {
	for _, t := range r.To {
		a := Arrival{Registry: t.Registry, Readers: s.readersOf(r, t)}
		var err error
		a.Repository, err = r.MapRepository(t, r.From.Registry, q.Repository)
		if err == nil && q.Tag != "" {
			a.Tag, err = r.MapTag(t, r.From.Registry, q.Repository, q.Tag)
		}
		if err != nil {
			a.Problem = err.Error()
		}
		e.Targets = append(e.Targets, a)
	}
}

// readersOf tells where layers are read for t, if there is a choice.
func (s *Set) readersOf(r Rule, t Target) []Price {
	var all []Price
	for _, reader := range s.Readers(r, t) {
		all = append(all, Price{reader.Registry, s.Registries[reader.Registry].EgressPrice})
	}
	if len(all) == 0 {
		return nil
	}
	return append(all, Price{r.From.Registry, s.Registries[r.From.Registry].EgressPrice})
}

// String prints the verdict, the steps and the targets, a line each.
func (e Explanation) String() string {
	var b strings.Builder
	verdict := "leaves it"
	if e.Taken {
		verdict = "takes it"
	}
	fmt.Fprintf(&b, "rule %s %s\n", e.Rule, verdict)
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	for _, a := range e.Targets {
		fmt.Fprintf(&b, "  to %s\n", a)
	}
	return b.String()
}

func (a Arrival) String() string {
	if a.Problem != "" {
		return a.Registry + ": " + a.Problem
	}
	text := a.Registry + ": " + a.Repository
	if a.Tag != "" {
		text += ":" + a.Tag
	}
	for i, p := range a.Readers {
		switch i {
		case 0:
			text += "; layers are read from " + p.String()
		case len(a.Readers) - 1:
			text += " where it is known to hold them, else from " + p.String()
		default:
			text += ", " + p.String()
		}
	}
	return text
}
