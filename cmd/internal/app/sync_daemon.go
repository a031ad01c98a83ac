package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/transship/transship/cmd/internal/web"
	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/jobs"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// lookEvery is how often a daemon is asked how far it is.
const lookEvery = 500 * time.Millisecond

// A pursuit is of one rule that a daemon was asked to run.
type pursuit struct {
	rule   string
	older  int64     // the newest pass before it was asked: the run's own is after that
	asked  time.Time // by this machine's clock, which is the daemon's
	pass   state.Pass
	missed int // how many looks, the last among them, found the run neither in the queue nor begun
}

// mostMissed is how many looks one after the other may miss a run: one that is neither
// in the queue nor begun for longer than these was cancelled, or never asked for.
const mostMissed = 4

// syncByDaemon has the daemon that holds the state run the rules that only leaves, and
// reports as sync does. Where there is none, the error is locked: why the state could
// not be opened.
func (p *program) syncByDaemon(ctx context.Context, set *policy.Set, only []string, locked error) error {
	picked, err := selectOnly(set, only)
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.addressFile()); err != nil {
		return locked // another sync has it
	}
	o := serverOptions{}
	c, err := p.client(&o)
	if err != nil {
		return err
	}
	if _, err := c.Rules(ctx); err != nil {
		return errors.Join(locked, err)
	}
	if picked.narrowed() {
		return usage("name rules alone, as in --only apps, or stop the daemon", "a daemon has the state, and runs whole rules: --only names repositories")
	}
	started := time.Now()
	fmt.Fprintf(p.stderr, "note: the daemon at %s has the state, and runs this by its policy\n", o.server)
	runs, err := askRuns(ctx, c, picked.rules(set))
	if err == nil {
		err = p.pursue(ctx, c, runs)
	}
	if ctx.Err() != nil {
		return &failure{code: exitFailed, err: errInterrupted, hint: "the daemon goes on: transship queue shows it"}
	}
	if err != nil {
		return daemonError(o.server, err)
	}
	out, err := outcomeOf(ctx, c, runs)
	if err != nil {
		return daemonError(o.server, err)
	}
	out.Took = time.Since(started).Round(time.Millisecond).Seconds()
	if err := p.writeOutcome(out); err != nil {
		return err
	}
	return p.verdict(out, nil)
}

// askRuns asks for a run of each rule that is not paused in the policy.
func askRuns(ctx context.Context, c *web.Client, rules []policy.Rule) (runs []*pursuit, err error) {
	for _, r := range rules {
		if r.Paused {
			continue
		}
		last, err := c.Passes(ctx, r.Name, 1)
		if err != nil {
			return nil, err
		}
		run := &pursuit{rule: r.Name, asked: time.Now().Truncate(time.Microsecond)}
		if len(last) > 0 {
			run.older = last[0].ID
		}
		if err := c.Run(ctx, r.Name); err != nil {
			return nil, fmt.Errorf("rule %s: %w", r.Name, err)
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// pursue waits until each run has ended, and tells how far it is.
func (p *program) pursue(ctx context.Context, c *web.Client, runs []*pursuit) error {
	for {
		queue, err := c.Queue(ctx) // before the passes: a run has one of them at any time
		if err != nil {
			return err
		}
		waits := false
		for _, r := range runs {
			told := r.pass
			if err := r.look(ctx, c, queue); err != nil {
				return err
			}
			waits = waits || !r.ended()
			p.tellRun(told, r.pass)
		}
		if !waits {
			return nil
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *pursuit) ended() bool { return r.pass.ID > 0 && r.pass.Outcome != state.Running }

// look reads how far the run is: its pass is the first that began after it was asked for.
func (r *pursuit) look(ctx context.Context, c *web.Client, queue []state.Row) error {
	if r.ended() {
		return nil
	}
	passes, err := c.Passes(ctx, r.rule, 20)
	if err != nil {
		return err
	}
	for _, pass := range passes { // the newest first
		if pass.ID > r.older && !pass.Started.Before(r.asked) {
			r.pass = pass
		}
	}
	if r.pass.ID > 0 || wants(queue, r.rule) {
		r.missed = 0
		return nil
	}
	if r.missed++; r.missed > mostMissed {
		return fmt.Errorf("the daemon has not run rule %s: it was cancelled, or its policy has it paused", r.rule)
	}
	return nil
}

// wants reports whether the rule is in the queue.
func wants(queue []state.Row, rule string) bool {
	return slices.ContainsFunc(queue, func(row state.Row) bool { return row.Key == jobs.ExpandKey(rule) })
}

// tellRun writes a line to standard error when a run has got further, unless no
// progress is wanted.
func (p *program) tellRun(told, now state.Pass) {
	if p.quiet() || now.Ran == told.Ran && now.ID == told.ID {
		return
	}
	fmt.Fprintf(p.stderr, "rule %s: %d of %s looked at\n", now.Rule, now.Ran, count(int(now.Jobs), "repository"))
}

// outcomeOf is what the runs have come to, with what a person has to look at.
func outcomeOf(ctx context.Context, c *web.Client, runs []*pursuit) (outcome, error) {
	out := outcome{Done: true, Targets: []targetFigures{}}
	for _, r := range runs {
		out.Repos += int(r.pass.Jobs)
		out.Figures.Add(r.pass.Figures)
		out.Done = out.Done && r.pass.Outcome == state.Succeeded
		out.Interrupted = out.Interrupted || r.pass.Outcome == state.Interrupted
		if r.pass.Outcome == state.Succeeded {
			continue
		}
		s, err := c.Status(ctx, r.rule, 1000)
		if err != nil {
			return out, err
		}
		for _, i := range s.Items {
			if i.Kind == replicator.ItemFailed {
				out.Failures = append(out.Failures, replicator.Failure{Rule: i.Rule, Target: plan.Place{Registry: i.Target.Host, Repo: i.Target.Name},
					Tag: i.Tag, Kind: providers.Unknown, Reason: i.Reason, Hint: i.Hint})
			}
		}
		if r.pass.Error != "" {
			out.Jobs = append(out.Jobs, jobFailure{Repository: "rule " + r.rule, Error: r.pass.Error})
		}
	}
	return out, nil
}
