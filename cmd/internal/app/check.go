package app

import (
	"context"
	"sync"

	"github.com/spf13/cobra"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
)

func (p *program) checkCmd() *cobra.Command {
	var only []string
	var deep bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look whether every replica is complete and equal",
		Long: `Check resolves every wanted tag at every target, compares its digest with the source's,
and looks for everything below it: children, configs, layers, referrers. It believes
nothing that was remembered. With --deep it reads all of it and hashes it again.

It writes to no registry. What it finds missing is forgotten, so that the next sync
brings it again.`,
		Example: "  transship check\n  transship check --deep --only apps:team-a/**\n  transship check -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withJobs(cmd.Context(), only, func(ctx context.Context, s *session, jobs []replicator.Job, out *checkOutput) error {
				return p.checkAll(ctx, s, jobs, deep, out)
			})
		},
	}
	p.opts.policyFlags(cmd.Flags())
	p.opts.stateFlags(cmd.Flags())
	cmd.Flags().IntVar(&p.opts.Jobs, "jobs", p.opts.Jobs, "repositories side by side")
	cmd.Flags().BoolVar(&deep, "deep", false, "read every byte at the targets and hash it again")
	onlyFlag(cmd.Flags(), &only)
	return cmd
}

// A checkOutput is what check prints as JSON.
type checkOutput struct {
	OK        bool                 `json:"ok"`
	Tags      int                  `json:"tags"`
	Right     int                  `json:"right"`
	Manifests int                  `json:"manifests"`
	Blobs     int                  `json:"blobs"`
	Bytes     int64                `json:"bytes"`
	Failures  []replicator.Failure `json:"failures,omitempty"`
	Jobs      []jobFailure         `json:"failedRepositories,omitempty"`
	Problems  []replicator.Problem `json:"problems,omitempty"`
}

// withJobs opens a session that may write state but no registry, expands its
// rules, and hands the jobs to do.
func (p *program) withJobs(ctx context.Context, only []string, do func(context.Context, *session, []replicator.Job, *checkOutput) error) error {
	set, err := p.load()
	if err != nil {
		return err
	}
	s, err := p.open(ctx, set, sessionOptions{noTransfer: true, only: only})
	if err != nil {
		return err
	}
	var out checkOutput
	jobs, problems, err := s.jobs(ctx)
	if out.Problems = problems; err == nil {
		err = do(ctx, s, jobs, &out)
	}
	if closing := s.close(); err == nil {
		err = closing
	}
	return err
}

// checkAll checks every job, some side by side, and prints what it found.
func (p *program) checkAll(ctx context.Context, s *session, jobs []replicator.Job, deep bool, out *checkOutput) error {
	reports, errs := make([]replicator.CheckReport, len(jobs)), make([]error, len(jobs))
	slots := make(chan struct{}, p.opts.Jobs)
	var wg sync.WaitGroup
	for i, job := range jobs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			reports[i], errs[i] = s.Check(ctx, job, deep)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i, r := range reports {
		out.add(jobs[i], r, errs[i])
	}
	out.OK = len(out.Failures)+len(out.Jobs)+len(out.Problems) == 0
	return p.writeCheck(*out)
}

func (o *checkOutput) add(job replicator.Job, r replicator.CheckReport, err error) {
	if err != nil {
		o.Jobs = append(o.Jobs, jobFailure{Repository: repositoryOf(job.Key), Error: err.Error(),
			Kind: providers.KindOf(err), Hint: providers.HintOf(err)})
	}
	o.Tags += r.Tags
	o.Right += r.Right
	o.Manifests += r.Manifests
	o.Blobs += r.Blobs
	o.Bytes += r.Bytes
	o.Failures = append(o.Failures, r.Failures...)
}

func (p *program) writeCheck(o checkOutput) error {
	if p.json() {
		if err := p.writeJSON(o); err != nil {
			return err
		}
	} else {
		p.writeTrouble(o.Problems, o.Jobs, o.Failures)
		p.printf("%d of %s right; looked at %s and %s", o.Right, count(o.Tags, "tag"), count(o.Manifests, "manifest"), count(o.Blobs, "blob"))
		if o.Bytes > 0 {
			p.printf(", hashed %s", plan.Bytes(o.Bytes))
		}
		p.printf("\n")
	}
	switch {
	case o.OK:
		return nil
	case o.Tags == 0:
		return &failure{code: exitFailed}
	default:
		return &failure{code: exitSomeLeft}
	}
}
