package app

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/transship/transship/policy"
	"github.com/transship/transship/state"
)

func (p *program) syncCmd() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Make every target hold what the policy says, once",
		Long: `Sync looks at every source and target of the policy, copies what is missing and puts
tags where everything below them has arrived. A pass with nothing to do writes nothing.

Ctrl-C once lets blobs in flight finish and records what is done; twice stops at once.
Either way the same command goes on where it stopped, inside a blob too.

Where a daemon (transship serve) has the state, it is asked to run the rules, by its
own policy, and is followed until it has. It runs whole rules. Ctrl-C then stops the
following alone.`,
		Example: `  transship sync
  transship sync -c policies/ --only apps
  transship sync --only apps:team-a/** --progress lines
  transship sync -o json > report.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := p.load()
			if err != nil {
				return err
			}
			err = p.replicate(cmd.Context(), set, sessionOptions{only: only})
			if errors.Is(err, state.ErrLocked) {
				return p.syncByDaemon(cmd.Context(), set, only, err)
			}
			return err
		},
	}
	p.opts.policyFlags(cmd.Flags())
	p.opts.stateFlags(cmd.Flags())
	p.opts.runFlags(cmd.Flags())
	onlyFlag(cmd.Flags(), &only)
	return cmd
}

// replicate runs every rule of set that o leaves and reports.
func (p *program) replicate(ctx context.Context, set *policy.Set, o sessionOptions) error {
	started := time.Now()
	defer p.traces()()
	show := p.show()
	o.progress, o.journal = show.meter, show
	s, err := p.open(ctx, set, o)
	if err != nil {
		show.close()
		return err
	}
	p.stop.graceful(show)
	out, err := p.runAll(ctx, s, show)
	show.close()
	if closing := s.close(); err == nil {
		err = closing
	}
	if err == nil && o.exact != "" && out.nothing() {
		err = absent(o.exact)
	}
	if _, ours := errors.AsType[*failure](err); ours {
		return err // nothing was looked at
	}
	out.Took = time.Since(started).Round(time.Millisecond).Seconds()
	if printing := p.writeOutcome(out); printing != nil {
		return printing
	}
	return p.verdict(out, err)
}
