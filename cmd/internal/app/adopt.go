package app

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
)

func (p *program) adoptCmd() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Take what the targets hold now as put by transship",
		Long: `Adopt records the digests that the targets' wanted tags have now as if sync had put
them. Where the source differs, the next sync then sees an update, and no conflict:
for targets that another tool has filled, and after the state file was lost.

It writes to no registry.`,
		Example: "  transship adopt\n  transship adopt --only apps",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withJobs(cmd.Context(), only, p.adoptAll)
		},
	}
	p.opts.policyFlags(cmd.Flags())
	p.opts.stateFlags(cmd.Flags())
	onlyFlag(cmd.Flags(), &only)
	return cmd
}

// adoptOutput is what adopt prints as JSON.
type adoptOutput struct {
	Adopted  []replicator.Adopted `json:"adopted"`
	Jobs     []jobFailure         `json:"failedRepositories,omitempty"`
	Problems []replicator.Problem `json:"problems,omitempty"`
}

func (p *program) adoptAll(ctx context.Context, s *session, jobs []replicator.Job, found *checkOutput) error {
	out := adoptOutput{Adopted: []replicator.Adopted{}, Problems: found.Problems}
	for _, job := range jobs {
		some, err := s.Adopt(ctx, job)
		out.Adopted = append(out.Adopted, some...)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			out.Jobs = append(out.Jobs, jobFailure{Repository: repositoryOf(job.Key), Error: err.Error(),
				Kind: providers.KindOf(err), Hint: providers.HintOf(err)})
		}
	}
	if p.json() {
		if err := p.writeJSON(out); err != nil {
			return err
		}
	} else {
		for _, a := range out.Adopted {
			p.printf("%s:%s %s\n", a.Target, a.Tag, a.Digest)
		}
		p.writeTrouble(out.Problems, out.Jobs, nil)
		p.printf("%s adopted\n", count(len(out.Adopted), "tag"))
	}
	if len(out.Jobs)+len(out.Problems) > 0 {
		return &failure{code: exitSomeLeft}
	}
	return nil
}
