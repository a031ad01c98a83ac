package replicator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/survey"
	"github.com/transship/transship/state/sqlite"
)

// A scale is what a process of its own does at a size.
type scale struct {
	Dir         string // of state
	Do          string // plan, sync, or stages: a plan of one job after the other
	Repos, Tags int
	Bulk        bool // the registries list digests
	Empty       bool // the targets have nothing
	Targets     int
	Refs        int // referrers of each image
}

// A scaled is what it prints when it has done it.
type scaled struct {
	Peak   int64 // KiB
	Jobs   int
	Images int
	InStep int
	Bytes  int64 // to send, of a plan
	State  int64 // bytes of the database

	Lists, Heads, Reads, Referrers int64 // requests at the source
	AtTargets                      int64

	Expand, Pass, CPU time.Duration
	// Summed over what runs side by side, but for stages.
	Registries, StateReads, StateWrites time.Duration
	Survey, Plan                        time.Duration // of stages, without the former
}

const scaleEnv = "TRANSSHIP_TEST_SCALE"

const scalePolicy = `
registries:
  src: {host: "src.test", provider: oci}
  t0: {host: "t0.test", provider: oci}
  t1: {host: "t1.test", provider: oci}
  t2: {host: "t2.test", provider: oci}
rules:
  - name: all
    from: {registry: src}
    to: [%s]
`

// TestScaleChild is the process that the scale tests start; by itself it does nothing.
func TestScaleChild(t *testing.T) {
	raw := os.Getenv(scaleEnv)
	if raw == "" {
		return
	}
	var s scale
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		t.Fatal(err)
	}
	out, err := s.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s%s\n", scaleMark, text)
}

const scaleMark = "scaled: "

func (s scale) run(ctx context.Context) (out scaled, err error) {
	path := filepath.Join(s.Dir, "state.db")
	store, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return out, err
	}
	timed := &timedStore{Store: store}
	regs, set, err := s.world()
	if err != nil {
		return out, err
	}
	find := hollows(regs)
	o := replicator.Options{Policy: set, State: timed, Registries: find, ReadOnly: s.Do != "sync"}
	o.Transfer.SpoolDir, o.Transfer.SpoolBytes = filepath.Join(s.Dir, "spool"), 1<<30
	e, err := replicator.New(o)
	if err != nil {
		return out, err
	}
	start := time.Now()
	jobs, _, err := e.Expand(ctx, set.Rules, nil)
	if err != nil {
		return out, err
	}
	out.Jobs, out.Expand = len(jobs), time.Since(start)
	start = time.Now()
	switch s.Do {
	case "plan":
		err = out.plan(ctx, e, jobs)
	case "stages":
		err = out.stages(ctx, survey.New(survey.Options{Registries: find, State: timed}), jobs)
	default:
		err = out.sync(ctx, e, jobs)
	}
	out.Pass, out.CPU = time.Since(start), processorTime()
	out.StateReads, out.StateWrites = time.Duration(timed.reads.Load()), time.Duration(timed.writes.Load())
	for name, r := range regs {
		out.Registries += time.Duration(r.took.Load())
		if name != "src" {
			out.AtTargets += r.lists.Load() + r.heads.Load() + r.reads.Load() + r.referrers.Load()
		}
	}
	out.Survey -= out.Registries + out.StateReads + out.StateWrites
	src := regs["src"]
	out.Lists, out.Heads, out.Reads, out.Referrers = src.lists.Load(), src.heads.Load(), src.reads.Load(), src.referrers.Load()
	err = errors.Join(err, e.Close(), store.Close())
	if info, e := os.Stat(path); e == nil {
		out.State = info.Size()
	}
	out.Peak, _ = strconv.ParseInt(peak(), 10, 64)
	return out, err
}

// world is the registries and the policy.
func (s scale) world() (map[string]*hollow, *policy.Set, error) {
	names := ""
	regs := map[string]*hollow{"src": {host: "src.test", repos: s.Repos, tags: s.Tags, bulk: s.Bulk, refs: s.Refs}}
	for i := range s.Targets {
		name := fmt.Sprint("t", i)
		names += "{registry: " + name + "}, "
		regs[name] = &hollow{host: name + ".test", repos: s.Repos, tags: s.Tags, bulk: s.Bulk, refs: s.Refs, void: s.Empty}
	}
	set, err := policy.Parse("test.yaml", fmt.Appendf(nil, scalePolicy, names))
	return regs, set, err
}

func (out *scaled) add(plans []plan.Plan) {
	for _, p := range plans {
		out.Images, out.InStep = out.Images+len(p.Images), out.InStep+p.InStep
	}
}

// plan plans jobs, four at a time, and adds up as transship plan does.
func (out *scaled) plan(ctx context.Context, e *replicator.Engine, jobs []replicator.Job) error {
	run := plan.NewRun()
	err := planEach(ctx, e, jobs, func(plans []plan.Plan) {
		out.add(plans)
		for i := range plans {
			run.Add(&plans[i])
		}
	})
	out.Bytes = run.Cost().Bytes
	return err
}

func (out *scaled) stages(ctx context.Context, look *survey.Survey, jobs []replicator.Job) error {
	for _, job := range jobs {
		start := time.Now()
		read, err := look.Read(ctx, job)
		if err != nil {
			return err
		}
		out.Survey += time.Since(start)
		start = time.Now()
		var plans []plan.Plan
		for _, f := range read.Facts {
			plans = append(plans, plan.Diff(f))
		}
		out.Plan += time.Since(start)
		out.add(plans)
	}
	return nil
}

func (out *scaled) sync(ctx context.Context, e *replicator.Engine, jobs []replicator.Job) error {
	var mu sync.Mutex
	reports, err := e.RunAll(ctx, "test", jobs, func(r replicator.Report) {
		mu.Lock()
		defer mu.Unlock()
		out.add(r.Plans)
	})
	for _, r := range reports {
		if !r.OK() {
			err = errors.Join(err, r.Err, fmt.Errorf("%s: %+v", r.Key, r.Failures))
		}
	}
	return err
}

// planEach plans jobs four at a time.
func planEach(ctx context.Context, e *replicator.Engine, jobs []replicator.Job, done func([]plan.Plan)) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	slots := make(chan struct{}, 4)
	for _, job := range jobs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			plans, err := e.Plan(ctx, job)
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			done(plans)
		})
	}
	wg.Wait()
	return failed
}
