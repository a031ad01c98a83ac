package replicator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state/sqlite"
)

// A scale is what a process of its own does at a size, by an environment
// variable, and what it prints when it has done it.
type scale struct {
	Dir         string // of state
	Do          string // plan or sync
	Repos, Tags int
	Bulk        bool // the registries list digests
	Empty       bool // the target has nothing
	Targets     int
}

type scaled struct {
	Peak        int64 // KiB
	Jobs        int
	Images      int
	InStep      int
	Lists       int64 // requests at the source: list calls, HEADs, manifests, referrers
	Heads       int64
	Reads       int64
	Referrers   int64
	TargetAsked int64
	Expand      time.Duration
	Pass        time.Duration
	Source      time.Duration // within the registries' own code, summed over what runs side by side
	State       int64         // bytes of the database
	Bytes       int64         // to send, of a plan
	CPU         time.Duration
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
	names := ""
	regs := map[string]*hollow{"src": {host: "src.test", repos: s.Repos, tags: s.Tags, bulk: s.Bulk}}
	for i := range s.Targets {
		name := fmt.Sprint("t", i)
		names += "{registry: " + name + "}, "
		regs[name] = &hollow{host: name + ".test", repos: s.Repos, tags: s.Tags, bulk: s.Bulk, void: s.Empty}
	}
	set, err := policy.Parse("test.yaml", fmt.Appendf(nil, scalePolicy, names))
	if err != nil {
		return out, err
	}
	o := replicator.Options{Policy: set, State: store, Registries: func(name string) (providers.Registry, error) { return regs[name], nil }}
	o.ReadOnly = s.Do == "plan"
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
	var mu sync.Mutex
	note := func(plans []plan.Plan) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range plans {
			out.Images, out.InStep = out.Images+len(p.Images), out.InStep+p.InStep
		}
	}
	if s.Do == "plan" {
		run := plan.NewRun() // as transship plan adds up
		err = planEach(ctx, e, jobs, func(plans []plan.Plan) {
			note(plans)
			mu.Lock()
			defer mu.Unlock()
			for i := range plans {
				run.Add(&plans[i])
			}
		})
		out.Bytes = run.Cost().Bytes
	} else {
		var reports []replicator.Report
		reports, err = e.RunAll(ctx, "test", jobs, func(r replicator.Report) { note(r.Plans) })
		for _, r := range reports {
			if !r.OK() {
				err = errors.Join(err, r.Err, fmt.Errorf("%s: %+v", r.Key, r.Failures))
			}
		}
	}
	out.Pass = time.Since(start)
	src := regs["src"]
	out.Lists, out.Heads, out.Reads, out.Referrers = src.lists.Load(), src.heads.Load(), src.reads.Load(), src.referrers.Load()
	for name, r := range regs {
		out.Source += time.Duration(r.took.Load())
		if name != "src" {
			out.TargetAsked += r.lists.Load() + r.heads.Load() + r.reads.Load() + r.referrers.Load()
		}
	}
	err = errors.Join(err, e.Close(), store.Close())
	if info, e := os.Stat(path); e == nil {
		out.State = info.Size()
	}
	out.Peak, _ = strconv.ParseInt(peak(), 10, 64)
	runtime.KeepAlive(jobs)
	return out, err
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
			failed = errors.Join(failed, err)
			mu.Unlock()
			done(plans)
		})
	}
	wg.Wait()
	return failed
}
