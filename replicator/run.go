package replicator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/survey"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// A Report is what a job has come to.
type Report struct {
	Key         string                   `json:"key"`
	Plans       []plan.Plan              `json:"plans,omitempty"`
	Figures     state.Figures            `json:"figures"`
	Failures    []Failure                `json:"failures,omitempty"` // sorted by target, tag
	Waiting     []Wait                   `json:"waiting,omitempty"`  // the same; no failures
	Interrupted bool                     `json:"interrupted,omitempty"`
	Err         error                    `json:"-"` // why the job could not be run, in [Engine.RunAll]
	ByRule      map[string]state.Figures `json:"-"`

	// Slowed is what the plans say of referrers that are asked for less often.
	Slowed []plan.Slowed `json:"slowed,omitempty"`
	// Pulls is what they say of sources that allow so many manifests in a time.
	Pulls []plan.Pulls `json:"pulls,omitempty"`
}

// Until is when what waits may come: the first of its times; zero if nothing waits.
func (r Report) Until() (first time.Time) {
	for _, w := range r.Waiting {
		if first.IsZero() || w.Until.Before(first) {
			first = w.Until
		}
	}
	return first
}

// OK reports whether everything that the job wants is as it should be.
func (r Report) OK() bool {
	return r.Err == nil && len(r.Failures)+len(r.Waiting) == 0 && !r.Interrupted
}

// Run does one job: survey, plan, transfer, journal. What fails for an image or a
// target is in the report and stops nothing else. The error is ctx's cause, a
// failure of state, or that of a source that could not be read at all; after a
// soft stop the report says Interrupted.
func (e *Engine) Run(ctx context.Context, job Job) (Report, error) {
	return e.RunUntil(ctx, job, nil)
}

// RunUntil is Run that begins no further image once closing is closed; those under
// way come to their end, and the report says Interrupted if something was left.
func (e *Engine) RunUntil(ctx context.Context, job Job, closing <-chan struct{}) (Report, error) {
	return e.runIn(ctx, job, func() {}, closing)
}

// runIn runs job. free is called when it has been looked at and has room for its
// images among those under way: surveys ask little at a time and wait much, so the
// next job goes on while this one's images move. One without images is free when
// state has been told: what waits for a slow state is bounded by who frees.
func (e *Engine) runIn(ctx context.Context, job Job, free func(), closing <-chan struct{}) (r Report, err error) {
	free = sync.OnceFunc(free)
	defer free()
	ctx, traced := e.opts.Tracer.Job(ctx, job)
	defer func() { traced(r, err) }()
	s, err := e.look(ctx, job)
	if err != nil {
		return Report{Key: job.Key}, err
	}
	if size := int64(min(s.images(), e.opts.Images)); size > 0 {
		if err := e.room.Acquire(ctx, size); err != nil {
			return Report{Key: job.Key}, context.Cause(ctx)
		}
		defer e.room.Release(size)
		free()
	}
	return e.carry(ctx, s, closing)
}

// A seen is a job that has been looked at: what there is, and what is to be done.
type seen struct {
	job   Job
	read  survey.Result
	plans []plan.Plan
}

// images is how many are to be brought, to all targets.
func (s seen) images() (n int) {
	for _, p := range s.plans {
		n += len(p.Images)
	}
	return n
}

// look surveys job and decides; it writes to no registry.
func (e *Engine) look(ctx context.Context, job Job) (seen, error) {
	if e.transfer == nil {
		return seen{}, errors.New("this engine is read only")
	}
	read, err := e.survey.Read(ctx, job)
	if err != nil {
		return seen{}, fmt.Errorf("survey: %w", err)
	}
	s := seen{job, read, plans(read)}
	for i := range read.Facts {
		read.Facts[i].Sources = nil // the content of manifests is decided about, and much
	}
	return s, nil
}

// carry does what look has decided.
func (e *Engine) carry(ctx context.Context, s seen, closing <-chan struct{}) (Report, error) {
	r := Report{Key: s.job.Key, Plans: s.plans}
	if err := e.remember(ctx, r.Plans); err != nil {
		return r, err
	}
	ledgers, closeLedgers := e.openLedgers(r.Plans)
	defer closeLedgers()
	err := e.transfer.RunUntil(ctx, closing, r.Plans...)
	if errors.Is(err, transfer.ErrInterrupted) {
		r.Interrupted, err = true, nil
	}
	after := context.WithoutCancel(ctx)
	e.sum(&r, s.read, ledgers)
	if err := e.journal(after, s.job, s.read, r.Plans, ledgers); err != nil {
		return r, err
	}
	return r, err
}

// remember tells state what the plans found to be so already.
func (e *Engine) remember(ctx context.Context, plans []plan.Plan) error {
	for _, p := range plans {
		if len(p.Found)+len(p.Held)+len(p.Lost)+len(p.Verified) == 0 {
			continue
		}
		repo, err := e.repo(p.Target)
		if err != nil {
			return err
		}
		if err := e.rememberPlan(ctx, repo, p); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

func (e *Engine) rememberPlan(ctx context.Context, repo state.Repo, p plan.Plan) error {
	rec := state.Record{Repo: repo}
	for _, f := range p.Found {
		if f.Tag == "" {
			continue
		}
		rec.Tags = append(rec.Tags, state.TargetTag{
			Name: f.Tag, Rule: f.Rule, Source: f.Source, Digest: f.Digest, Selection: f.Selection, PutAt: f.PutAt, VerifiedAt: p.At,
		})
	}
	for _, d := range p.Held {
		rec.Present = append(rec.Present, state.Present{Digest: d})
	}
	if len(rec.Tags)+len(rec.Present) > 0 {
		if err := e.opts.State.Put(ctx, rec); err != nil {
			return err
		}
	}
	if len(p.Lost) > 0 {
		if err := e.opts.State.Forget(ctx, repo, p.Lost); err != nil {
			return err
		}
	}
	if len(p.Verified) > 0 {
		return e.opts.State.Verified(ctx, repo, p.At, p.Verified)
	}
	return nil
}

// sum adds up what plans and images say, each under the rule that it is about.
func (e *Engine) sum(r *Report, read survey.Result, ledgers map[plan.Place]*ledger) {
	r.ByRule = map[string]state.Figures{}
	add := func(rule string, f state.Figures) {
		sum := r.ByRule[rule]
		sum.Add(f)
		r.ByRule[rule] = sum
		r.Figures.Add(f)
	}
	for i, p := range r.Plans {
		r.Slowed, r.Pulls = append(r.Slowed, p.Rechecks...), append(r.Pulls, p.Pulls...)
		for rule, f := range ledgers[p.Target].figures {
			add(rule, f)
		}
		for rule, n := range p.InStepOf {
			add(rule, state.Figures{InStep: int64(n)})
		}
		countWanted(read.Facts[i], add)
		fails := conflictFails(read.Facts[i])
		for _, k := range p.Kept {
			switch {
			case k.Failed(fails[k.Rule]):
				add(k.Rule, state.Figures{Failed: 1})
				r.Failures = append(r.Failures, Failure{Rule: k.Rule, Target: p.Target, Tag: firstOf(k.Tag, k.Ref),
					Kind: kindOfLeft(k), Side: k.Side, Reason: k.Reason, Hint: k.Hint})
			case k.Kind == plan.LeftWaiting:
				add(k.Rule, state.Figures{Waiting: 1})
				r.Waiting = append(r.Waiting, Wait{k.Rule, k.From, p.Target, firstOf(k.Tag, k.Ref), k.Reason, k.Hint, k.Until})
			case k.Kind != plan.LeftSkipped && k.Kind != plan.LeftCooling:
				add(k.Rule, state.Figures{Kept: 1})
			}
		}
		r.Failures = append(r.Failures, ledgers[p.Target].failures()...)
		for _, w := range ledgers[p.Target].waits() {
			add(w.Rule, state.Figures{Waiting: 1})
			r.Waiting = append(r.Waiting, w)
		}
	}
	slices.SortStableFunc(r.Failures, func(a, b Failure) int {
		return strings.Compare(a.Target.String()+"\x00"+a.Tag, b.Target.String()+"\x00"+b.Tag)
	})
	slices.SortStableFunc(r.Waiting, func(a, b Wait) int {
		return strings.Compare(a.Target.String()+"\x00"+a.Tag, b.Target.String()+"\x00"+b.Tag)
	})
}

// countWanted counts what rules want for a target: also what could not be surveyed.
func countWanted(f plan.Facts, add func(rule string, f state.Figures)) {
	tags := map[string]int64{}
	for _, w := range f.Wants {
		tags[w.Rule.Name]++
	}
	for _, l := range f.Left {
		if l.Kind != plan.LeftSkipped && l.Kind != plan.LeftCooling {
			tags[l.Rule]++
		}
	}
	for rule, n := range tags {
		add(rule, state.Figures{Tags: n})
	}
}

// conflictFails returns the rules that say onConflict: fail.
func conflictFails(f plan.Facts) map[string]bool {
	fails := map[string]bool{}
	for _, w := range f.Wants {
		if w.Rule.OnConflict == policy.Fail {
			fails[w.Rule.Name] = true
		}
	}
	return fails
}

func kindOfLeft(k plan.Refusal) providers.Kind {
	switch k.Kind {
	case plan.LeftConflict, plan.LeftCollision:
		return providers.Conflict
	case plan.LeftRefused:
		return providers.Unsupported
	case plan.LeftWaiting:
		return providers.Waiting
	}
	return k.Cause
}

// journal records where each target stands, and which subjects' referrers need
// not be asked for again for a while: those whose images failed do.
func (e *Engine) journal(ctx context.Context, job Job, read survey.Result, plans []plan.Plan, ledgers map[plan.Place]*ledger) error {
	failed := map[v1.Hash]bool{}
	for i, p := range plans {
		for d := range ledgers[p.Target].failed {
			failed[d] = true
		}
		if err := e.stand(ctx, job, read.Facts[i], p, ledgers[p.Target]); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	for from, subjects := range read.Asked {
		fine := slices.DeleteFunc(slices.Clone(subjects), func(d v1.Hash) bool { return failed[d] })
		repo, err := e.repo(from)
		if err != nil || len(fine) == 0 {
			continue
		}
		if err := e.opts.State.SetChecked(ctx, repo, e.opts.Now(), fine); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
