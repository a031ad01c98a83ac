package app

import (
	"context"
	"fmt"
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
with their price where the policy has an egressPrice.

--explain tells of one reference of a source which rule, filter and mapping takes it
or leaves it out, without asking any registry.`,
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
			out, err := p.planAll(cmd.Context(), s)
			if closing := s.close(); err == nil {
				err = closing
			}
			if err != nil {
				return err
			}
			return p.writePlans(set, out)
		},
	}
	p.opts.policyFlags(cmd.Flags())
	p.opts.stateFlags(cmd.Flags())
	cmd.Flags().IntVar(&p.opts.Jobs, "jobs", p.opts.Jobs, "repositories side by side")
	cmd.Flags().StringVar(&explain, "explain", "", "tell why `REF` (REGISTRY/REPOSITORY:TAG at a source) is taken or left")
	onlyFlag(cmd.Flags(), &only)
	return cmd
}

// A planOutput is what plan prints as JSON.
type planOutput struct {
	Cost     plan.Cost            `json:"cost"`
	Plans    []plan.Plan          `json:"plans"`
	Problems []replicator.Problem `json:"problems,omitempty"`
	Jobs     []jobFailure         `json:"failedRepositories,omitempty"`
}

// nothing reports whether nothing is wanted of what was looked at.
func (o planOutput) nothing() bool {
	for _, one := range o.Plans {
		kept := func(k plan.Refusal) bool { return k.Kind != plan.LeftSkipped }
		if !one.Empty() || one.InStep > 0 || slices.ContainsFunc(one.Kept, kept) {
			return false
		}
	}
	return len(o.Problems)+len(o.Jobs) == 0
}

// planAll plans every job, some side by side, and keeps their order.
func (p *program) planAll(ctx context.Context, s *session) (planOutput, error) {
	jobs, problems, err := s.jobs(ctx)
	out := planOutput{Problems: problems, Plans: []plan.Plan{}}
	if err != nil {
		return out, err
	}
	plans, errs := make([][]plan.Plan, len(jobs)), make([]error, len(jobs))
	slots := make(chan struct{}, p.opts.Jobs)
	var wg sync.WaitGroup
	for i, job := range jobs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			plans[i], errs[i] = s.Plan(ctx, job)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	for i, err := range errs {
		if err != nil {
			out.Jobs = append(out.Jobs, jobFailure{Repository: repositoryOf(jobs[i].Key), Error: err.Error(),
				Kind: providers.KindOf(err), Hint: providers.HintOf(err)})
		}
		out.Plans = append(out.Plans, plans[i]...)
	}
	out.Cost = plan.Share(out.Plans)
	return out, nil
}

func (p *program) writePlans(set *policy.Set, out planOutput) error {
	if p.json() {
		if err := p.writeJSON(out); err != nil {
			return err
		}
		return planVerdict(set, out)
	}
	p.writeTrouble(out.Problems, out.Jobs, nil)
	if err := p.writePlanText(out); err != nil {
		return err
	}
	return planVerdict(set, out)
}

// writePlanText prints the plans that do or leave something, and the sum of all.
func (p *program) writePlanText(out planOutput) error {
	quiet, inStep := 0, 0
	for _, one := range out.Plans {
		inStep += one.InStep
		if one.Empty() && len(one.Kept) == 0 {
			quiet++
			continue
		}
		if err := one.WriteText(p.stdout); err != nil {
			return err
		}
	}
	if quiet > 0 {
		p.printf("%s with nothing to do\n", count(quiet, "target repository"))
	}
	c := out.Cost
	p.printf("\nin all: %s to put, %d in step; %s in %s to send, %s not to send; %s to read", count(c.Tags, "tag"), inStep,
		plan.Bytes(c.Bytes), count(c.Uploads, "blob"), plan.Bytes(c.Saved), plan.Bytes(c.Read))
	if c.Price > 0 {
		p.printf(" (%s)", plan.Dollars(c.Price))
	}
	p.printf("\n")
	return nil
}

// planVerdict has the exit code of a plan: what cannot be planned counts as failed.
func planVerdict(set *policy.Set, out planOutput) error {
	bad := len(out.Problems) + len(out.Jobs)
	for _, one := range out.Plans {
		for _, k := range one.Kept {
			if k.Failed(conflictFails(set, k.Rule, one.Target.Registry)) {
				bad++
			}
		}
	}
	switch {
	case bad == 0:
		return nil
	case len(out.Plans) == 0:
		return &failure{code: exitFailed}
	default:
		return &failure{code: exitSomeLeft}
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
