package app

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator/plan"
)

func (p *program) copyCmd() *cobra.Command {
	var o copyOrder
	var platforms []string
	var dryRun, keepState bool
	cmd := &cobra.Command{
		Use:   "copy SRC DST...",
		Short: "Copy one image, or one repository, to other places; no policy needed",
		Long: `Copy brings one tag or digest, or with --all-tags a whole repository, to one or more
places, with everything below it and its signatures and other referrers. It reads
each layer once, however many places there are.

` + copyHelp + `

Credentials come from the docker configuration. A target's repository and tag default
to the source's. A copy remembers nothing, unless --state names a file.`,
		Example: `  transship copy registry.example.com/app:v1 mirror.example.com/app dr.example.com/app
  transship copy --all-tags docker.io/library/alpine http://127.0.0.1:5000/alpine
  transship copy registry.example.com/app@sha256:... layout:./export/app
  transship copy --platform linux/amd64 --platform linux/arm64 quay.io/org/app:v2 mirror.example.com/app`,
		Args: argsFrom(2, -1, "a source and one or more targets"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, text := range platforms {
				one, err := policy.ParsePlatform(text)
				if err != nil {
					return usage("--platform linux/arm64", "--platform: %v", err)
				}
				o.platforms = append(o.platforms, one)
			}
			set, err := copyArgs(args, o)
			if err != nil {
				return err
			}
			keepState = cmd.Flags().Changed("state")
			if dryRun {
				return p.planCopy(cmd, set, keepState, exactly(args[0], o))
			}
			return p.replicate(cmd.Context(), set, sessionOptions{throwaway: !keepState, exact: exactly(args[0], o)})
		},
	}
	p.opts.stateFlags(cmd.Flags())
	p.opts.runFlags(cmd.Flags())
	f := cmd.Flags()
	f.Lookup("state").DefValue = ""
	f.BoolVar(&o.allTags, "all-tags", false, "every tag of the source repository")
	f.StringSliceVar(&platforms, "platform", nil, "only this `OS/ARCH`; may be repeated")
	f.StringVar((*string)(&o.mode), "mode", "", "with --platform: rewrite makes a smaller index, sparse keeps the index and its digest (default rewrite)")
	f.BoolVar(&o.noReferrers, "no-referrers", false, "leave signatures, attestations and SBOMs behind")
	f.StringVar((*string)(&o.onConflict), "on-conflict", "", "where a target has the tag with another digest: overwrite, keep or fail (default overwrite)")
	f.BoolVar(&dryRun, "dry-run", false, "show the plan; copy nothing")
	return cmd
}

// copyArgs makes a policy of copy's arguments.
func copyArgs(args []string, o copyOrder) (*policy.Set, error) {
	from, err := parsePlace(args[0])
	if err != nil {
		return nil, err
	}
	var to []place
	for _, arg := range args[1:] {
		t, err := parsePlace(arg)
		if err != nil {
			return nil, err
		}
		to = append(to, t)
	}
	if o.mode != "" && len(o.platforms) == 0 {
		return nil, usage("add --platform OS/ARCH, or leave out --mode", "--mode goes with --platform")
	}
	if o.mode == "" && len(o.platforms) > 0 {
		o.mode = policy.Rewrite
	}
	set, err := copySet(from, to, o)
	if problems, ok := err.(policy.Problems); ok {
		return nil, &failure{code: exitUsage, err: fmt.Errorf("copy: %s", problems[0].Message), hint: "transship copy --help"}
	}
	return set, err
}

// exactly is the one reference that a copy asks for, "" if it takes what there is.
func exactly(source string, o copyOrder) string {
	if o.allTags {
		return ""
	}
	return source
}

// absent is the failure of a copy whose source does not have what is asked for.
func absent(source string) error {
	return &failure{code: exitFailed, err: fmt.Errorf("source: %s is not there", source),
		hint: "check its name; --all-tags takes every tag of the repository"}
}

// planCopy shows what a copy would do.
func (p *program) planCopy(cmd *cobra.Command, set *policy.Set, keepState bool, exact string) error {
	s, err := p.open(cmd.Context(), set, sessionOptions{readOnly: true, throwaway: !keepState})
	if err != nil {
		return err
	}
	var plans []plan.Plan // few: they are of one repository
	out, err := p.planAll(cmd.Context(), s, func(one plan.Plan) error { plans = append(plans, one); return nil })
	if closing := s.close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	if exact != "" && out.nothing() {
		return absent(exact)
	}
	w := p.planWriter(set)
	for _, one := range plans {
		if err := w.plan(one); err != nil {
			return err
		}
	}
	return w.end(out)
}
