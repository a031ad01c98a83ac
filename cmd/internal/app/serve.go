package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/transship/transship/cmd/internal/web"
	"github.com/transship/transship/replicator/jobs"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres"
	"github.com/transship/transship/state/sqlite"
)

// serveOptions are the settings of the daemon alone.
type serveOptions struct {
	listen       string
	workers      int
	keepHistory  time.Duration
	tokenFile    string
	protectReads bool
}

const defaultListen = "127.0.0.1:8080"

func (p *program) serveCmd() *cobra.Command {
	o := serveOptions{listen: defaultListen, workers: 8, keepHistory: 30 * 24 * time.Hour}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run rules on their schedules until told to stop",
		Long: `Serve runs every rule of the policy on its schedule, in its windows. What was missed
while it was away is caught up once; a rule that never ran runs at once.

It reads the policy again on SIGHUP and when a file of it changes; a policy with
mistakes leaves the one before it in force. The first SIGTERM or Ctrl-C lets blobs in
flight finish within --grace, the second stops at once; what is broken off goes on when
it is started again.

It answers /healthz, /readyz, /metrics and a JSON API below /api/v1 (transship queue and
transship status --server ask it). What changes something needs the token, which is made
when it is not there yet.`,
		Example: `  transship serve -c /etc/transship/
  transship serve --listen 0.0.0.0:8080 --protect-reads
  transship queue                     # what is wanted or running, from another shell`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("log-level") && os.Getenv("TRANSSHIP_LOG_LEVEL") == "" {
				p.opts.LogLevel = "info"
				p.log = p.logger()
			}
			return p.serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	p.opts.policyFlags(f)
	p.opts.stateFlags(f)
	f.Lookup("state").Usage = "state `FILE`, or postgres://USER@HOST/DATABASE"
	p.opts.spoolFlags(f)
	f.IntVar(&p.opts.Images, "images", p.opts.Images, "images side by side for each target")
	f.DurationVar(&p.opts.Grace, "grace", p.opts.Grace, "how long a first signal lets blobs in flight finish")
	f.StringVar(&o.listen, "listen", o.listen, "`ADDRESS` for health and the API")
	f.IntVar(&o.workers, "workers", o.workers, "repositories worked on side by side")
	f.DurationVar(&o.keepHistory, "keep-history", o.keepHistory, "how long passes are remembered")
	f.StringVar(&o.tokenFile, "token-file", "", "`FILE` with the API's token (default api-token beside the state file)")
	f.BoolVar(&o.protectReads, "protect-reads", false, "want the token for reads, too")
	return cmd
}

// serve runs the daemon until it is told to stop.
func (p *program) serve(ctx context.Context, o serveOptions) (err error) {
	if o.workers < 1 || o.keepHistory < time.Minute {
		return usage("transship serve --help", "--workers has to be 1 or more, and --keep-history 1m or more")
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from here on: it ends a process that does not listen
	defer signal.Stop(hup)
	set, err := p.load()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return &failure{code: exitUsage, err: fmt.Errorf("%w: %w", errListen, err), hint: "name another: --listen 127.0.0.1:PORT"}
	}
	defer listener.Close() // the server has closed it
	store, err := openStore(ctx, p.opts.State, p.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	token, err := p.apiToken(o.tokenFile, true)
	if err != nil {
		return err
	}
	spool, err := transfer.OpenSpool(transfer.Options{SpoolDir: p.opts.SpoolDir, SpoolBytes: int64(p.opts.SpoolSize), Logger: p.log})
	if err != nil {
		return aspect{err, errSpool}
	}
	defer func() { err = errors.Join(err, spool.Close()) }()
	defer p.traces()()
	d, err := p.newDaemon(set, store, spool, o)
	if err != nil {
		return err
	}
	defer d.gens.close()
	p.stop.graceful(p.stderr)
	return p.runDaemon(ctx, d, hup, listener, web.New(web.Options{State: store, Daemon: d, Token: token, ProtectReads: o.protectReads,
		Handlers: map[string]http.Handler{"/metrics": d.metrics.Handler()}, Logger: p.log}))
}

// runDaemon serves the API for as long as the daemon runs.
func (p *program) runDaemon(ctx context.Context, d *daemon, hup <-chan os.Signal, l net.Listener, s *web.Server) error {
	serving, done := context.WithCancel(context.WithoutCancel(ctx))
	var side sync.WaitGroup
	side.Go(func() {
		if err := s.Serve(serving, l); err != nil && serving.Err() == nil {
			p.log.Error("the API is gone; rules go on", "err", err)
		}
	})
	side.Go(func() { p.reloads(serving, d, hup) })
	if err := os.WriteFile(p.addressFile(), []byte(l.Addr().String()+"\n"), 0o600); err != nil {
		p.log.Warn("commands on this machine need --server: the address could not be written down", "err", err)
	}
	defer p.forgetAddress(l.Addr().String())
	p.log.Info("serving", "listen", l.Addr().String(), "rules", len(d.gens.set().Rules), "state", stateName(p.opts.State))
	err := d.run(ctx, p.stop.Soft)
	done()
	side.Wait()
	if err == nil {
		p.log.Info("stopped")
	}
	return err
}

// reloads reads the policy again on SIGHUP and when its files change.
func (p *program) reloads(ctx context.Context, d *daemon, hup <-chan os.Signal) {
	changed, stop := watchPolicy(d.paths, p.log)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		case <-changed:
		}
		_ = d.Reload(ctx) // it has said so itself
	}
}

// A store is the daemon's state, and what it knows of others that share it: nil where
// nobody can.
type store struct {
	state.Store
	dispatch jobs.Dispatch // nil where workers have their own
	turns    transfer.Turns
	replicas func(context.Context) (int, error) // counts them
}

// openStore opens the state at a path or a database's address.
func openStore(ctx context.Context, where string, log *slog.Logger) (store, error) {
	if isDatabase(where) {
		s, err := postgres.Open(ctx, where, postgres.Options{Logger: log, Replica: true})
		if err != nil {
			return store{}, aspect{err, errDatabase}
		}
		return store{Store: s, dispatch: s.Dispatch, turns: s, replicas: s.Replicas}, nil
	}
	s, err := sqlite.Open(ctx, where, sqlite.Options{})
	if err != nil {
		return store{}, aspect{err, errState}
	}
	return store{Store: s}, nil
}

func isDatabase(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// stateName is for logs: an address may hold a password.
func stateName(where string) string {
	if isDatabase(where) {
		return "postgres"
	}
	return where
}
