package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// A session is what a command works with: a policy, its registries, state and
// an engine over them.
type session struct {
	*replicator.Engine
	set   *policy.Set
	rules []policy.Rule // those that --only leaves
	only  *selection
	state state.Store

	closers []func() error // in the order of opening
}

// sessionOptions say what of a session a command needs.
type sessionOptions struct {
	readOnly   bool // looks only: plan. State is not written, and may be another process's
	noTransfer bool // writes state and no registry: check, adopt
	throwaway  bool // state and spool of its own, gone afterwards
	only       []string
	exact      string // the one reference that is asked for; that it is not there is a failure
	progress   transfer.Progress
	journal    transfer.Journal
}

// load reads the policy that the flags name.
func (p *program) load() (*policy.Set, error) {
	set, err := readPolicy(p.opts.Config)
	if err == nil {
		return set, nil
	}
	if _, missing := os.Stat(p.opts.Config[0]); len(p.opts.Config) == 1 && errors.Is(missing, fs.ErrNotExist) {
		return nil, usage("write one: transship config init --file "+p.opts.Config[0]+", or name another: -c FILE",
			"there is no policy at %s", p.opts.Config[0])
	}
	return nil, err
}

// open makes a session over set. The caller closes it, also after an error of
// what it does with it.
func (p *program) open(ctx context.Context, set *policy.Set, o sessionOptions) (_ *session, err error) {
	s := &session{set: set}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.only, err = selectOnly(set, o.only); err != nil {
		return nil, err
	}
	s.rules = s.only.rules(set)
	statePath, spoolDir := p.opts.State, p.opts.SpoolDir
	if o.throwaway {
		if statePath, spoolDir, err = s.temporary(); err != nil {
			return nil, err
		}
	}
	if o.noTransfer {
		spoolDir = "" // one of its own, which stays empty
	}
	store, err := s.openState(ctx, statePath, o)
	if err != nil {
		return nil, aspect{err, errState}
	}
	s.state = store
	s.closers = append(s.closers, store.Close)
	regs := newRegistries(set, p.log)
	s.closers = append(s.closers, regs.close)
	s.Engine, err = replicator.New(replicator.Options{
		Policy: set, Registries: regs.get, State: store, Journal: o.journal, Tracer: p.tracer, Jobs: p.opts.Jobs, Logger: p.log, ReadOnly: o.readOnly,
		Transfer: transfer.Options{
			SpoolDir: spoolDir, SpoolBytes: int64(p.opts.SpoolSize), Width: p.opts.Images,
			Grace: p.opts.Grace, Stop: p.stop.Soft, Progress: o.progress, Link: regs.link,
		},
	})
	if err != nil {
		return nil, aspect{err, errSpool} // nothing else of an engine is opened
	}
	s.closers = append(s.closers, s.Engine.Close)
	return s, nil
}

// jobs expands the rules that --only leaves. That it leaves nothing is a mistake.
func (s *session) jobs(ctx context.Context) ([]replicator.Job, []replicator.Problem, error) {
	jobs, problems, err := s.Expand(ctx, s.rules, s.only.takes)
	if err == nil && len(jobs)+len(problems) == 0 && len(s.only.picks) > 0 {
		return nil, nil, usage("transship plan --explain REGISTRY/REPOSITORY:TAG, to see which rule takes it", "--only leaves no repository")
	}
	return jobs, problems, err
}

// temporary gives the session a folder of its own, which it removes at the end.
func (s *session) temporary() (statePath, spoolDir string, err error) {
	dir, err := os.MkdirTemp("", "transship-copy-")
	if err != nil {
		return "", "", fmt.Errorf("a folder for the copy: %w", err)
	}
	s.closers = append(s.closers, func() error { return os.RemoveAll(dir) })
	return filepath.Join(dir, "state.db"), filepath.Join(dir, "spool"), nil
}

// close closes what was opened, the last first.
func (s *session) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}
