package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/transship/transship/cmd/internal/web"
	"github.com/transship/transship/state"
)

// serverOptions say which daemon is asked.
type serverOptions struct {
	server, tokenFile string
}

func (o *serverOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.server, "server", "", "`URL` of the daemon (default the one that has the state file)")
	f.StringVar(&o.tokenFile, "token-file", "", "`FILE` with the API's token (default api-token beside the state file, for a daemon on this machine)")
}

// client is the way to the daemon. The token that lies beside our state is for the
// daemon of this machine, and is shown to no other: an address that was written down
// may be somebody else's by now.
func (p *program) client(o *serverOptions) (*web.Client, error) {
	if o.server != "" && o.tokenFile == "" && !isOfThisMachine(o.server) {
		return &web.Client{Server: o.server}, nil
	}
	named := o.server != ""
	if !named {
		o.server = p.saidAddress()
	}
	token, err := p.apiToken(o.tokenFile, false)
	return &web.Client{Server: o.server, Token: token, Prove: !named || o.tokenFile == ""}, err
}

func isOfThisMachine(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && (ip.Unmap().IsLoopback() || ip.IsUnspecified())
}

func (p *program) queueCmd() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Show what a daemon has to do, and change it",
		Long: `Queue asks a daemon (transship serve) what is wanted and what runs, in the order in
which it is taken. Its commands ask for a run of a rule, cancel, pause and resume.`,
		Example: `  transship queue
  transship queue run apps
  transship queue pause apps
  transship queue cancel run/prod/team/app`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.showQueue(cmd.Context(), o) },
	}
	o.flags(cmd.PersistentFlags())
	cmd.PersistentFlags().StringVar(&p.opts.State, "state", p.opts.State, "state `FILE`, beside which the API's token is")
	one := func(use, short, example string, do func(context.Context, *web.Client, string) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Example: "  transship queue " + example, Args: argsFrom(1, 1, "one name"),
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := p.client(&o)
				if err == nil {
					err = do(cmd.Context(), c, args[0])
				}
				return daemonError(o.server, err)
			},
		})
	}
	one("run RULE", "Have a rule run now, whatever its schedule and windows say", "run apps",
		func(ctx context.Context, c *web.Client, rule string) error { return c.Run(ctx, rule) })
	one("pause RULE", "Have the schedule leave a rule alone until it is resumed; its jobs in the queue still run", "pause apps",
		func(ctx context.Context, c *web.Client, rule string) error { return c.Pause(ctx, rule, true) })
	one("resume RULE", "Have a rule go on; what it missed is caught up once", "resume apps",
		func(ctx context.Context, c *web.Client, rule string) error { return c.Pause(ctx, rule, false) })
	one("cancel JOB", "Take a job out of the queue; one that runs comes to its end", "cancel run/prod/team/app",
		func(ctx context.Context, c *web.Client, key string) error { return c.Cancel(ctx, key) })
	return cmd
}

// queueReport is what queue prints as JSON.
type queueReport struct {
	Rules []web.Rule  `json:"rules"`
	Queue []state.Row `json:"queue"`
}

func (p *program) showQueue(ctx context.Context, o serverOptions) error {
	c, err := p.client(&o)
	if err != nil {
		return err
	}
	var r queueReport
	if r.Rules, err = c.Rules(ctx); err == nil {
		r.Queue, err = c.Queue(ctx)
	}
	if err != nil {
		return daemonError(o.server, err)
	}
	if p.json() {
		return p.writeJSON(r)
	}
	return p.writeQueue(r, time.Now())
}

func (p *program) writeQueue(r queueReport, now time.Time) error {
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tSCHEDULE\tNEXT")
	for _, rule := range r.Rules {
		next := "when asked"
		switch {
		case rule.Paused == "hand":
			next = "paused; transship queue resume " + rule.Name
		case rule.Paused != "":
			next = "paused in the policy"
		case !rule.Next.IsZero():
			next = stamp(rule.Next)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", rule.Name, rule.Schedule, next)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "JOB\tSTATE\tASKED BY\tSINCE\tERROR")
	for _, row := range r.Queue {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", row.Key, rowState(row, now), row.Cause, stamp(row.Asked), row.Error)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Queue) == 0 {
		p.printf("nothing is wanted\n")
	}
	return nil
}

// rowState says where a row stands.
func rowState(r state.Row, now time.Time) string {
	switch {
	case r.Running:
		return "running"
	case r.NotBefore.After(now) && r.Attempt > 0:
		return fmt.Sprintf("again in %s (try %d)", r.NotBefore.Sub(now).Round(time.Second), r.Attempt+1)
	case r.NotBefore.After(now):
		return "in " + r.NotBefore.Sub(now).Round(time.Second).String()
	}
	return "waiting"
}

// daemonError adds to an error of a client what to do about it.
func daemonError(server string, err error) error {
	if err == nil {
		return nil
	}
	r, ok := errors.AsType[*web.Refusal](err)
	switch {
	case errors.Is(err, web.ErrNotProved):
		return &failure{code: exitFailed, err: fmt.Errorf("%s: %w", server, err), hint: "is it another daemon, or an older one? name it and its token: --server URL --token-file FILE"}
	case !ok:
		return &failure{code: exitFailed, err: err, hint: "is a daemon there? transship serve; or name it: --server URL (now " + server + ")"}
	case r.Status == http.StatusUnauthorized:
		return &failure{code: exitFailed, err: err, hint: "name the daemon's token: --token-file FILE"}
	case r.Status == http.StatusNotFound:
		return &failure{code: exitFailed, err: err, hint: "transship queue: it lists rules and jobs"}
	}
	return &failure{code: exitFailed, err: err, hint: r.Hint}
}
