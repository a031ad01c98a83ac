package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/all"
)

// Bounds of a doctor: registries side by side, the time of one check, and tries of
// one request.
const (
	doctorWidth = 8
	checkTime   = 10 * time.Second
	doctorTries = 2
)

var errNoAnswer = fmt.Errorf("no answer within %v", checkTime)

// A checkup is what doctor says of one registry.
type checkup struct {
	Registry string    `json:"registry"` // its name in the policy
	Host     string    `json:"host"`
	Provider string    `json:"provider"`
	Uses     []use     `json:"uses,omitempty"`
	Checks   []finding `json:"checks"`
	// Trust is what to make on the registry's side so that an identity of another cloud
	// is taken, and Grant the smallest permission that does what the policy asks for.
	Trust string `json:"trust,omitempty"`
	Grant string `json:"grant,omitempty"`
}

func (p *program) doctorCmd() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at every registry of a policy: reach, sign-in, permissions, limits",
		Long: `Doctor asks each registry of the policy what sync would need of it: whether its name
resolves and its certificate is good, how far the clocks differ, who we are there,
whether we may list, pull and push, what the host can do and which quotas it has. It
prints what to mend, and the smallest permission to grant for what the policy does
with the registry. Where an identity of another cloud signs in (auth.federated), it tries
each link of that way, and prints the trust to make on the other side.

It changes nothing: to try a push it begins an upload and gives it up, where a rule would
write. Of what cannot be tried without leaving something there, mounts and tags that do
not move, it says what is known. A check takes 10 seconds at most.`,
		Example: "  transship doctor\n  transship doctor --registry prod\n  transship doctor -o json | jq '.registries[].checks[] | select(.verdict == \"failed\")'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := p.load()
			if err != nil {
				return err
			}
			names, err := doctorNames(set, only)
			if err != nil {
				return err
			}
			return p.writeCheckups(p.examine(cmd.Context(), set, names))
		},
	}
	p.opts.policyFlags(cmd.Flags())
	p.opts.stateFlags(cmd.Flags())
	cmd.Flags().StringSliceVar(&only, "registry", nil, "look at `NAME` only, a registry of the policy; may be repeated")
	return cmd
}

// doctorNames are the registries to look at.
func doctorNames(set *policy.Set, only []string) ([]string, error) {
	if len(only) == 0 {
		return set.Names(), nil
	}
	for _, name := range only {
		if _, ok := set.Registries[name]; !ok {
			return nil, usage("one of the policy's registries: "+strings.Join(set.Names(), ", "), "--registry: no registry %q", name)
		}
	}
	return only, nil
}

// examine looks at the registries, some side by side, and keeps their order.
func (p *program) examine(ctx context.Context, set *policy.Set, names []string) []checkup {
	regs := newRegistries(set, p.log)
	regs.pool.retry = all.Retry{Tries: doctorTries, MaxAfter: checkTime / 2}
	defer regs.close()
	learned := p.readLearned(ctx)
	out := make([]checkup, len(names))
	slots := make(chan struct{}, doctorWidth)
	var wg sync.WaitGroup
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			d := &doctor{set: set, name: name, what: set.Registries[name], regs: regs, learned: learned}
			out[i] = d.look(ctx)
		})
	}
	wg.Wait()
	return out
}

// A doctor looks at one registry.
type doctor struct {
	set     *policy.Set
	name    string
	what    policy.Registry
	regs    *registries
	learned learnedFacts
	up      checkup
}

// look makes all checks. Those that cannot be made because an earlier one failed
// are skipped, and say so.
func (d *doctor) look(ctx context.Context) checkup {
	d.up = checkup{Registry: d.name, Host: d.what.Endpoint(), Provider: d.what.ProviderName(), Uses: usesOf(d.set, d.name)}
	barred := ""
	if d.up.Provider != "layout" {
		barred = d.reach(ctx)
	}
	d.ask(ctx, barred)
	return d.up
}

// run makes one check within its time.
func (d *doctor) run(ctx context.Context, name string, f func(context.Context) finding) finding {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, errNoAnswer)
	defer cancel()
	c := f(ctx)
	c.Name = name
	d.up.Checks = append(d.up.Checks, c)
	return c
}

func (d *doctor) skip(why string, names ...string) {
	for _, name := range names {
		d.up.Checks = append(d.up.Checks, finding{Name: name, Verdict: skipped, Detail: why})
	}
}

// A use is what a rule does with the registry.
type use struct {
	Rule string `json:"rule"`
	Side string `json:"side"` // source, target or reader
}

// usesOf are the rules that read from the registry or write to it; it is a reader
// for those of which a target's readFrom names it.
func usesOf(set *policy.Set, name string) (uses []use) {
	for _, r := range set.Rules {
		if r.From.Registry == name {
			uses = append(uses, use{r.Name, "source"})
		}
		if slices.ContainsFunc(r.To, func(t policy.Target) bool { return t.Registry == name }) {
			uses = append(uses, use{r.Name, "target"})
		}
		if slices.ContainsFunc(r.To, func(t policy.Target) bool { return slices.Contains(t.ReadFrom, name) }) {
			uses = append(uses, use{r.Name, "reader"})
		}
	}
	return uses
}

func (d *doctor) isA(side string) bool {
	return slices.ContainsFunc(d.up.Uses, func(u use) bool { return u.Side == side })
}
