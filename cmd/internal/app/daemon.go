package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/transship/transship/cmd/internal/metrics"
	"github.com/transship/transship/cmd/internal/web"
	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/all"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/jobs"
	"github.com/transship/transship/replicator/schedule"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// A daemon is what transship serve runs: a schedule that asks, workers that do, and
// the policy that both go by.
type daemon struct {
	paths    []string // of the policy
	store    state.Store
	gens     *generations
	schedule *schedule.Schedule
	workers  *jobs.Workers
	replicas *replicas
	keep     time.Duration // of history
	metrics  *metrics.Metrics
	log      *slog.Logger

	reloading sync.Mutex // so that what was read last is put in force last

	mu  sync.Mutex
	bad error // why the policy on disk is not in force, nil if it is
}

// newDaemon makes a daemon over a policy. It starts nothing.
func (p *program) newDaemon(set *policy.Set, store store, spool *transfer.Spool, o serveOptions) (*daemon, error) {
	d := &daemon{paths: p.opts.Config, store: store, keep: o.keepHistory, log: p.log, metrics: metrics.New(thisBuild().Version)}
	regs := newPool(p.log)
	regs.observe = func(host string, r all.Request) { d.metrics.Request(host, r.Op, r.Status) }
	regs.waited, regs.throttled = d.metrics.Waited, d.metrics.Throttled
	d.metrics.ReadHosts(regs.hosts)
	d.gens = &generations{log: p.log, make: func(set *policy.Set) (*generation, error) {
		return p.newGeneration(set, store, spool, regs)
	}}
	d.schedule = schedule.New(schedule.Options{Memory: store, Ask: askOnTime, Logger: p.log})
	d.workers = jobs.New(jobs.Options{Store: store, Current: d.gens.take, Workers: o.workers, Dispatch: store.dispatch, Grace: p.opts.Grace, Tracer: p.tracer,
		Done: func(_ string, r replicator.Report, took time.Duration, err error) { d.metrics.Job(r, took, err) }, Passed: d.metrics.Pass, Logger: p.log})
	d.replicas = &replicas{count: store.replicas, among: &regs.among, log: p.log}
	d.metrics.Read(d, store)
	d.metrics.Gauge("replicas", "Replicas that share the state, this one among them.", d.replicas.alive)
	d.metrics.Gauge("spool_bytes", "Bytes of the spool that are taken.", func() float64 { return float64(spool.Used()) })
	d.metrics.Gauge("spool_limit_bytes", "The most that the spool may take.", func() float64 { return float64(spool.Limit()) })
	return d, d.use(set)
}

func (p *program) newGeneration(set *policy.Set, store store, spool *transfer.Spool, open *pool) (*generation, error) {
	g := &generation{set: set, regs: open.of(set)}
	var err error
	g.engine, err = replicator.New(replicator.Options{
		Policy: set, Registries: g.regs.get, State: store, Tracer: p.tracer, Logger: p.log, Among: open.among.N,
		Transfer: transfer.Options{Spool: spool, Width: p.opts.Images, Grace: p.opts.Grace, Stop: p.stop.Soft, Link: g.regs.link,
			Turns: store.turns},
	})
	if err != nil {
		return nil, errors.Join(err, g.regs.close())
	}
	return g, nil
}

// askOnTime is what the schedule asks for.
func askOnTime(rule policy.Rule, overdue bool) state.Ask {
	a := state.Ask{Key: jobs.ExpandKey(rule.Name), Priority: jobs.PriorityRule}
	if overdue {
		a.Priority = jobs.PriorityOverdue
	}
	return a
}

// use puts a policy in force.
func (d *daemon) use(set *policy.Set) error {
	if err := d.gens.replace(set); err != nil {
		return err
	}
	d.schedule.Set(set.Rules)
	return nil
}

// run runs the daemon until stop is closed; ctx is the hard stop.
func (d *daemon) run(ctx context.Context, stop <-chan struct{}) error {
	soft, cancel := context.WithCancel(ctx)
	var side sync.WaitGroup
	side.Go(func() { _ = d.schedule.Run(soft) })
	side.Go(func() { trim(soft) })
	side.Go(func() { newTidier(d.store, d.keep, d.log).run(soft) })
	side.Go(func() { d.replicas.watch(soft) })
	side.Go(func() {
		select {
		case <-stop:
			cancel()
		case <-soft.Done():
		}
	})
	err := d.workers.Run(ctx, stop)
	cancel()
	side.Wait()
	return err
}

// Reload implements web.Daemon: the policy is read anew and, if it is sound, put in
// force.
func (d *daemon) Reload(context.Context) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	set, err := readPolicy(d.paths)
	if err == nil {
		err = d.use(set)
	}
	d.mu.Lock()
	d.bad = err
	d.mu.Unlock()
	d.metrics.Policy(err)
	if err != nil {
		d.log.Error("the policy cannot be used; the one before it stays in force", "err", err)
		return err
	}
	d.log.Info("policy in force", "rules", len(set.Rules))
	return nil
}

// Rules implements web.Daemon.
func (d *daemon) Rules(ctx context.Context) ([]web.Rule, error) {
	known, err := d.store.Rules(ctx)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	var list []web.Rule
	for _, r := range d.gens.set().Rules {
		shown := web.Rule{Name: r.Name, Schedule: r.Schedule, Windows: r.Windows, Ticked: known[r.Name].Ticked}
		switch {
		case r.Paused:
			shown.Paused = "policy"
		case known[r.Name].Paused:
			shown.Paused = "hand"
		case r.Schedule != "":
			next := r.Next(time.Now())
			shown.Next = next.Add(schedule.Wait(r, next))
		}
		list = append(list, shown)
	}
	return list, nil
}

// Lags implements web.Daemon.
func (d *daemon) Lags(ctx context.Context) ([]replicator.Lag, error) {
	standings, err := d.store.Standings(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	known, err := d.store.Rules(ctx)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	paused := func(rule string) bool { return known[rule].Paused }
	return replicator.Lags(d.gens.set().Rules, standings, paused, time.Now()), nil
}

// Run implements web.Daemon.
func (d *daemon) Run(ctx context.Context, rule string) error {
	if _, ok := d.gens.set().Rule(rule); !ok {
		return web.ErrNoRule
	}
	return d.store.Ask(ctx, state.Ask{Key: jobs.ExpandKey(rule), Priority: jobs.PriorityByHand, Cause: jobs.ByAPI})
}

// Pause implements web.Daemon.
func (d *daemon) Pause(ctx context.Context, rule string, paused bool) error {
	if _, ok := d.gens.set().Rule(rule); !ok {
		return web.ErrNoRule
	}
	if err := d.store.Pause(ctx, rule, paused); err != nil {
		return err
	}
	d.schedule.Look()
	return nil
}

// Cancel implements web.Daemon.
func (d *daemon) Cancel(ctx context.Context, key string) (bool, error) {
	return d.store.Cancel(ctx, key)
}

// Ready implements web.Daemon. A policy on disk that cannot be used is told, and
// keeps nothing from working.
func (d *daemon) Ready(ctx context.Context) []web.Check {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answers := web.Check{Name: "state", OK: true}
	if _, err := d.store.NextDue(ctx); err != nil {
		answers.OK, answers.Detail = false, err.Error()
	}
	inForce := web.Check{Name: "policy", OK: true}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bad != nil {
		inForce.Detail = "the policy on disk cannot be used; the one before it is in force: " + d.bad.Error()
	}
	return []web.Check{answers, inForce}
}

var errListen = errors.New("the address cannot be listened at")
