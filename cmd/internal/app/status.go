package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// A report is what status shows.
type report struct {
	Lags      []replicator.Lag `json:"lags,omitempty"` // of a daemon
	Passes    []state.Pass     `json:"passes"`
	Standings []state.Standing `json:"standings"`
	Items     []state.Item     `json:"items"`
}

func (p *program) statusCmd() *cobra.Command {
	var limit int
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "status [RULE]",
		Short: "Show how far behind each target is, from the last runs",
		Long: `Status reads the state file and asks no registry: when each rule last ran, what
each target still lacks, and what a person has to look at. With --server it asks a
daemon instead, which knows the lag of each target, too.`,
		Example: "  transship status\n  transship status apps -o json\n  transship status --server http://127.0.0.1:8080",
		Args:    argsFrom(0, 1, "at most the name of a rule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rule := ""
			if len(args) == 1 {
				rule = args[0]
			}
			r, err := p.readReport(cmd.Context(), &o, rule, limit)
			if err != nil {
				return err
			}
			if p.json() {
				return p.writeJSON(r)
			}
			return p.writeReport(r)
		},
	}
	p.opts.stateFlags(cmd.Flags())
	o.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 20, "most passes and items to show")
	return cmd
}

func (p *program) readReport(ctx context.Context, o *serverOptions, rule string, limit int) (report, error) {
	if o.server != "" {
		return p.askReport(ctx, o, rule, limit)
	}
	store, err := sqlite.Open(ctx, p.opts.State, sqlite.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return report{}, &failure{code: exitFailed, err: fmt.Errorf("no state at %s: nothing has run yet", p.opts.State), hint: "transship sync, or name the file: --state PATH"}
	}
	if err != nil {
		return report{}, err
	}
	defer store.Close()
	var r report
	if r.Passes, err = store.Passes(ctx, rule, limit); err == nil {
		r.Standings, err = store.Standings(ctx, rule)
	}
	if err == nil {
		r.Items, err = store.Items(ctx, rule, limit)
	}
	if err != nil {
		return r, fmt.Errorf("state: %w", err)
	}
	return r, nil
}

// askReport has a daemon tell.
func (p *program) askReport(ctx context.Context, o *serverOptions, rule string, limit int) (report, error) {
	c, err := p.client(o)
	if err != nil {
		return report{}, err
	}
	s, err := c.Status(ctx, rule, limit)
	return report(s), daemonError(o.server, err)
}

// writeLags prints how far targets are behind.
func (p *program) writeLags(lags []replicator.Lag) error {
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tTARGET\tSTATE\tLAG\tTAGS\tMISSING\tFAILED\tSEEN")
	for _, l := range lags {
		lag := "-"
		if l.Behind > 0 {
			lag = l.Behind.Round(time.Second).String()
		}
		if l.Late {
			lag += " (more than maxLag)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", l.Rule, l.Target, l.State, lag, l.InStep+l.Missing, l.Missing, l.Failed, stamp(l.Surveyed))
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func (p *program) writeReport(r report) error {
	if len(r.Lags) > 0 {
		if err := p.writeLags(r.Lags); err != nil {
			return err
		}
	}
	if len(r.Passes)+len(r.Standings) == 0 {
		p.printf("nothing has run yet\n")
		return nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tSTARTED\tTOOK\tOUTCOME\tCOPIED\tFAILED\tREAD\tSENT")
	for _, x := range r.Passes {
		took := "-"
		if !x.Ended.IsZero() {
			took = x.Ended.Sub(x.Started).Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", x.Rule, stamp(x.Started), took, x.Outcome,
			x.Figures.Copied, x.Figures.Failed, plan.Bytes(x.Figures.BytesRead), plan.Bytes(x.Figures.BytesSent))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "RULE\tTARGET\tIN STEP\tBEHIND\tFAILED\tCONFLICT\tREFUSED\tCOOLING\tGONE\tSEEN")
	for _, s := range r.Standings {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", s.Rule, s.Target, s.InStep, s.Behind, s.Failed,
			s.Conflict, s.Refused, s.Cooling, s.Gone, stamp(s.Surveyed))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	p.writeErrors(r.Passes)
	p.writeItems(r.Items)
	return nil
}

// writeErrors prints why the last pass of a rule came to nothing; passes are
// newest first.
func (p *program) writeErrors(passes []state.Pass) {
	seen := map[string]bool{}
	for _, x := range passes {
		if x.Error != "" && !seen[x.Rule] {
			p.printf("\nthe last pass of %s failed: %s\n", x.Rule, x.Error)
		}
		seen[x.Rule] = true
	}
}

// writeItems prints what a person has to look at, with what to do about it.
func (p *program) writeItems(items []state.Item) {
	for i, it := range items {
		if i == 0 {
			p.printf("\nto look at:\n")
		}
		p.printf("  %s  %s: %s\n", reference(it.Target.String(), it.Tag), it.Kind, it.Reason)
		if it.Hint != "" {
			p.printf("      try: %s\n", it.Hint)
		}
	}
}

func (p *program) writeJSON(v any) error {
	e := json.NewEncoder(p.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
