package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/all"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state/sqlite"
)

// A profile is what is known of one provider, or of one registry of a policy.
type profile struct {
	Provider  string                `json:"provider"`
	Registry  string                `json:"registry,omitempty"` // its name in the policy
	Host      string                `json:"host,omitempty"`
	Abilities []trait               `json:"capabilities"`
	Names     *providers.Names      `json:"names,omitempty"`
	Manifest  int64                 `json:"maxManifest"` // bytes
	Blob      int64                 `json:"maxBlob,omitempty"`
	Quotas    []providers.RateQuota `json:"quotas,omitempty"`
	Problem   string                `json:"problem,omitempty"` // why the registry could not be asked
}

// A trait is one ability, and where it was learned.
type trait struct {
	Name   string           `json:"name"`
	Is     providers.Tri    `json:"is"`
	Source providers.Source `json:"source"`
}

func (p *program) providersCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "providers [NAME]",
		Short: "Show what each kind of registry can do, its quotas, and where that was learned",
		Long: `Providers lists the kinds of registries that transship knows with what they can do,
their limits and published quotas, and says of each whether it is documented.

With -c it shows the registries of a policy instead: what the policy states, what the
account is set to, and what earlier runs learned by trying are in it. NAME is a
provider or, with -c, a registry.`,
		Example: "  transship providers\n  transship providers ecr -o json\n  transship providers -c transship.yaml prod",
		Args:    argsFrom(0, 1, "at most the name of a provider or registry"),
		RunE: func(cmd *cobra.Command, args []string) error {
			profiles := documented()
			if cmd.Flags().Changed("config") {
				var err error
				if profiles, err = p.profiles(cmd.Context()); err != nil {
					return err
				}
			}
			if profiles = named(profiles, args); len(profiles) == 0 {
				return usage("transship providers", "no provider or registry %q", args[0])
			}
			if p.json() {
				return p.writeJSON(map[string]any{"providers": profiles})
			}
			return writeProfiles(p.stdout, profiles)
		},
	}
	p.opts.policyFlags(cmd.Flags())
	p.opts.stateFlags(cmd.Flags())
	return cmd
}

func named(profiles []profile, args []string) []profile {
	if len(args) == 0 {
		return profiles
	}
	return slices.DeleteFunc(profiles, func(f profile) bool { return f.Provider != args[0] && f.Registry != args[0] })
}

// documented profiles every provider, asking nobody.
func documented() (profiles []profile) {
	for _, name := range all.Names() {
		profiles = append(profiles, profileOf(name, all.Documented(name)))
	}
	return profiles
}

// profiles asks the registries of the policy, each for a few seconds at most.
func (p *program) profiles(ctx context.Context) ([]profile, error) {
	set, err := p.load()
	if err != nil {
		return nil, err
	}
	regs := newRegistries(set, p.log)
	regs.pool.retry = all.Retry{Tries: doctorTries, MaxAfter: checkTime / 2}
	defer regs.close()
	learned := p.readLearned(ctx)
	var profiles []profile
	for _, name := range set.Names() {
		what := set.Registries[name]
		caps, problem := capsOf(ctx, regs, name)
		f := profileOf(what.ProviderName(), learned.over(what.Endpoint(), caps))
		f.Registry, f.Host, f.Problem = name, what.Endpoint(), problem
		profiles = append(profiles, f)
	}
	return profiles, nil
}

// capsOf is what a registry says of itself, or what is documented of its provider
// where it cannot be asked.
func capsOf(ctx context.Context, regs *registries, name string) (caps providers.Caps, problem string) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, fmt.Errorf("no answer within %v", checkTime))
	defer cancel()
	reg, err := regs.get(name)
	if err == nil {
		caps, err = reg.Caps(ctx)
	}
	if err != nil {
		return all.Documented(regs.set.Registries[name].ProviderName()), err.Error()
	}
	return caps, ""
}

func profileOf(provider string, c providers.Caps) profile {
	f := profile{Provider: provider, Manifest: c.ManifestLimit(), Blob: c.MaxBlob, Quotas: c.Quotas}
	if !c.Names.IsZero() {
		f.Names = &c.Names
	}
	for _, t := range []struct {
		name string
		is   providers.Tri
	}{
		{providers.CapCatalog, c.Catalog}, {providers.CapMount, c.Mount}, {providers.CapChunks, c.Chunks},
		{providers.CapReferrers, c.Referrers}, {providers.CapSparse, c.SparseIndex}, {providers.CapSchema1, c.Schema1},
		{providers.CapImmutable, c.Immutable},
	} {
		f.Abilities = append(f.Abilities, trait{t.name, t.is, c.Source(t.name)})
	}
	for _, t := range []struct {
		name, from string
		is         bool
	}{{"bulkDigests", providers.CapRows, c.BulkDigests}, {"tagDigests", providers.CapRows, c.BulkDigests || c.TagDigests}, {"pushTimes", providers.CapRows, c.PushTimes},
		{"tagTimes", providers.CapRows, c.TagTimes}, {providers.CapChanges, providers.CapChanges, c.Changes}} {
		is := providers.No
		if t.is {
			is = providers.Yes
		}
		f.Abilities = append(f.Abilities, trait{t.name, is, c.Source(t.from)})
	}
	return f
}

// learnedFacts are what trying has told, by host.
type learnedFacts func(host string) map[string]providers.Tri

// over lays the facts of a host over its capabilities.
func (l learnedFacts) over(host string, c providers.Caps) providers.Caps {
	if l == nil {
		return c
	}
	return c.With(l(host))
}

// learnedLife is how long what was tried is believed, as the survey does.
const learnedLife = 7 * 24 * time.Hour

// readLearned reads the state, if there is one; without, nothing was learned.
func (p *program) readLearned(ctx context.Context) learnedFacts {
	return func(host string) map[string]providers.Tri {
		store, err := sqlite.Open(ctx, p.opts.State, sqlite.Options{ReadOnly: true})
		if err != nil {
			return nil
		}
		defer store.Close()
		learned, err := store.Learned(ctx, host, time.Now().Add(-learnedLife))
		if err != nil {
			return nil
		}
		facts := map[string]providers.Tri{}
		for name, yes := range learned {
			facts[name] = providers.No
			if yes {
				facts[name] = providers.Yes
			}
		}
		return facts
	}
}

func writeProfiles(w io.Writer, profiles []profile) error {
	for i, f := range profiles {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := f.write(w); err != nil {
			return err
		}
	}
	return nil
}

func (f profile) write(w io.Writer) error {
	title := f.Provider
	if f.Registry != "" {
		title = fmt.Sprintf("%s: %s (%s)", f.Registry, f.Host, f.Provider)
	}
	fmt.Fprintln(w, title)
	if f.Problem != "" {
		fmt.Fprintf(w, "  could not be asked; this is what is documented: %s\n", f.Problem)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range f.Abilities {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", t.Name, t.Is, t.Source)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "  sizes: %s\n", f.sizes())
	if f.Names != nil {
		fmt.Fprintf(w, "  names: %s\n", f.Names.Says)
	}
	for _, q := range f.Quotas {
		fmt.Fprintf(table, "  quota %s\t%s\t%s\n", q.Name, rateOf(q), quotaSource(q))
	}
	return table.Flush()
}

func (f profile) sizes() string {
	text := "manifests up to " + plan.Bytes(f.Manifest)
	if f.Blob > 0 {
		text += ", layers up to " + plan.Bytes(f.Blob)
	}
	return text
}

func rateOf(q providers.RateQuota) string {
	per := map[time.Duration]string{time.Second: "s", time.Minute: "min", time.Hour: "h"}[q.Per]
	if per == "" {
		per = q.Per.String()
	}
	return fmt.Sprintf("%g/%s", q.N, per)
}

func quotaSource(q providers.RateQuota) string {
	if q.Stated {
		return "policy, used in full"
	}
	text := strings.TrimPrefix(q.Source+", "+q.Date, ", ")
	if q.Shared != "" {
		text += "; shared by " + q.Shared
	}
	return text
}

// quotaLine names the quotas in one line.
func quotaLine(quotas []providers.RateQuota) string {
	if len(quotas) == 0 {
		return "none are published"
	}
	var words []string
	for _, q := range quotas {
		words = append(words, q.Name+" "+rateOf(q))
	}
	return strings.Join(words, ", ")
}
