package app

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
)

func (p *program) planCmd() *cobra.Command {
	var only []string
	var explain string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what sync would do; change nothing",
		Long: `Plan asks the registries what sync would ask, and prints what it would do: every
tag with the reason, what is left as it is and why, and the bytes that would move,
with their price where the policy has an egressPrice, and what is read from another
registry than the source, with what that saves.

--explain tells of one reference of a source which rule, filter and mapping takes it
or leaves it out, and where its layers are read, without asking any registry.`,
		Example: `  transship plan
  transship plan --only apps:team-a/web
  transship plan -o json | jq '.cost'
  transship plan --explain prod/team-a/web:v1.2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := p.load()
			if err != nil {
				return err
			}
			if explain != "" {
				return p.explain(set, explain)
			}
			s, err := p.open(cmd.Context(), set, sessionOptions{readOnly: true, only: only})
			if err != nil {
				return err
			}
			w := p.planWriter(set)
			out, err := p.planAll(cmd.Context(), s, w.plan)
			if closing := s.close(); err == nil {
				err = closing
			}
			if err != nil {
				return err
			}
			return w.end(out)
		},
	}
	p.opts.policyFlags(cmd.Flags())
	p.opts.stateFlags(cmd.Flags())
	cmd.Flags().IntVar(&p.opts.Jobs, "jobs", p.opts.Jobs, "repositories side by side")
	cmd.Flags().StringVar(&explain, "explain", "", "tell why `REF` (REGISTRY/REPOSITORY:TAG at a source) is taken or left")
	onlyFlag(cmd.Flags(), &only)
	return cmd
}

// A planSummary is what plan knows of all plans when the last one has gone by.
type planSummary struct {
	Problems []replicator.Problem `json:"problems,omitempty"`
	Jobs     []jobFailure         `json:"failedRepositories,omitempty"`
	Pulls    []plan.Pulls         `json:"pulls,omitempty"`
	Cost     plan.Cost            `json:"cost"`
	Notes    []string             `json:"notes,omitempty"`

	wanted bool          // something is wanted of what was looked at
	slowed []plan.Slowed // summed
	pulls  []plan.Pulls  // by repository
}

// nothing reports whether nothing is wanted of what was looked at.
func (o planSummary) nothing() bool { return !o.wanted && len(o.Problems)+len(o.Jobs) == 0 }

// add counts one plan, and marks in it what an earlier one brings.
func (o *planSummary) add(one *plan.Plan, run *plan.Run) {
	run.Add(one)
	kept := func(k plan.Refusal) bool { return k.Kind != plan.LeftSkipped }
	if len(one.Rechecks) > 0 {
		o.slowed = plan.SumSlowed(append(o.slowed, one.Rechecks...))
	}
	o.pulls = append(o.pulls, one.Pulls...)
	o.wanted = o.wanted || !one.Empty() || one.InStep > 0 || slices.ContainsFunc(one.Kept, kept)
}

// planAll plans every job, some side by side, and hands the plans to take in the
// order of jobs. No plan is held once it was taken: a registry's are many.
func (p *program) planAll(ctx context.Context, s *session, take func(plan.Plan) error) (planSummary, error) {
	jobs, problems, err := s.jobs(ctx)
	out := planSummary{Problems: problems}
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := plan.NewRun()
	for done := range planned(ctx, s, jobs, p.opts.Jobs) {
		switch {
		case ctx.Err() != nil: // the rest ends by itself
		case done.err != nil:
			out.Jobs = append(out.Jobs, jobFailure{Repository: repositoryOf(done.key), Error: done.err.Error(),
				Kind: providers.KindOf(done.err), Hint: providers.HintOf(done.err)})
		}
		for i := range done.plans {
			out.add(&done.plans[i], run)
			if err := take(done.plans[i]); err != nil {
				cancel(err)
			}
		}
	}
	out.Pulls = plan.SumPulls(out.pulls)
	out.Cost, out.Notes = run.Cost(), append(slowed(out.slowed), pullNotes(out.Pulls)...)
	return out, context.Cause(ctx)
}

// A jobPlan is what planning one job has come to.
type jobPlan struct {
	key   string
	plans []plan.Plan
	err   error
}

// planned yields the jobs' plans in order, width of them being made side by side
// and as many waiting for an earlier one. It ends after the last job, or when the
// consumer stops and those that were begun are over.
func planned(ctx context.Context, s *session, jobs []replicator.Job, width int) iter.Seq[jobPlan] {
	return func(yield func(jobPlan) bool) {
		slots, line := make(chan struct{}, width), make(chan chan jobPlan, width)
		over := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(over)
		wg.Go(func() {
			defer close(line)
			for _, job := range jobs {
				ready := make(chan jobPlan, 1)
				select {
				case line <- ready:
				case <-over:
					return
				}
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					plans, err := s.Plan(ctx, job)
					ready <- jobPlan{job.Key, plans, err}
				})
			}
		})
		for ready := range line {
			if !yield(<-ready) {
				return
			}
		}
	}
}

// conflictFails reports whether the rule wants a conflict at that target to fail.
func conflictFails(set *policy.Set, rule, registry string) bool {
	r, _ := set.Rule(rule)
	return slices.ContainsFunc(r.To, func(t policy.Target) bool {
		return t.Registry == registry && r.ConflictAt(t) == policy.Fail
	})
}

// String is for a person.
func (j jobFailure) String() string { return fmt.Sprintf("%s: %s", j.Repository, j.Error) }
