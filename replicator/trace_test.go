package replicator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// counted counts how often each step that has begun was ended.
type counted struct {
	mu    sync.Mutex
	steps []*step
}

type step struct {
	kind  string
	ended int
	pass  state.Pass
}

func (c *counted) begin(kind string) (s *step, end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s = &step{kind: kind}
	c.steps = append(c.steps, s)
	return s, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		s.ended++
	}
}

func (c *counted) Pass(ctx context.Context, _, _ string) (context.Context, func(state.Pass)) {
	s, end := c.begin("pass")
	return ctx, func(p state.Pass) { s.pass = p; end() }
}

func (c *counted) Job(ctx context.Context, _ Job) (context.Context, func(Report, error)) {
	_, end := c.begin("job")
	return ctx, func(Report, error) { end() }
}

func (c *counted) Image(ctx context.Context, _ plan.Place, _ *plan.Image) (context.Context, func(transfer.Result)) {
	_, end := c.begin("image")
	return ctx, func(transfer.Result) { end() }
}

func (c *counted) Blob(ctx context.Context, _ plan.Place, _ plan.Blob) (context.Context, func(plan.Have, error)) {
	_, end := c.begin("blob")
	return ctx, func(plan.Have, error) { end() }
}

var errState = errors.New("state is away")

// brokenState fails one call, counted from 1.
type brokenState struct {
	state.Store
	begin, end int
}

func (s *brokenState) BeginPass(ctx context.Context, p state.Pass) (int64, error) {
	if s.begin--; s.begin == 0 {
		return 0, errState
	}
	return s.Store.BeginPass(ctx, p)
}

func (s *brokenState) EndPass(ctx context.Context, p state.Pass) error {
	if s.end--; s.end == 0 {
		return errState
	}
	return s.Store.EndPass(ctx, p)
}

// TestStepsEndOnce holds that each step which a Tracer is told of ends once, and no
// pass as one that still runs, whatever fails; and that a pass which cannot be
// recorded leaves no other one open.
func TestStepsEndOnce(t *testing.T) {
	refuse := func(what registrytest.Class) func(*http.Request, registrytest.Class) *registrytest.Fault {
		return func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
			if class != what {
				return nil
			}
			return &registrytest.Fault{Status: http.StatusForbidden}
		}
	}
	all := func(r *rig, ctx context.Context) error {
		_, err := r.RunAll(ctx, "test", r.jobs(), nil)
		return err
	}
	stopped := func(r *rig, ctx context.Context) error {
		jobs := r.jobs()
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err := r.RunAll(ctx, "test", jobs, nil)
		return err
	}
	unable := func(r *rig, ctx context.Context) error {
		return r.Unable(ctx, "test", nil, []Problem{{Rule: "a"}, {Rule: "b"}})
	}
	for _, tt := range []struct {
		name   string
		broken brokenState
		target func(*http.Request, registrytest.Class) *registrytest.Fault
		run    func(*rig, context.Context) error
		fails  error
		steps  string // that have begun
		open   int    // passes that state has as running
	}{
		{name: "all is well", run: all, steps: "2 passes, 2 jobs, 2 images, 4 blobs"},
		{name: "the target refuses manifests", target: refuse(registrytest.ManifestPut), run: all, steps: "2 passes, 2 jobs, 2 images, 4 blobs"},
		{name: "the target refuses tags", target: refuse(registrytest.Tags), run: all, steps: "2 passes, 2 jobs, 0 images, 0 blobs"},
		{name: "the second pass is not begun", broken: brokenState{begin: 2}, run: all, fails: errState, steps: "1 passes, 0 jobs, 0 images, 0 blobs"},
		{name: "the first pass is not ended", broken: brokenState{end: 1}, run: all, fails: errState, steps: "2 passes, 2 jobs, 2 images, 4 blobs", open: 1},
		{name: "stopped before", run: stopped, fails: context.Canceled, steps: "0 passes, 0 jobs, 0 images, 0 blobs"},
		{name: "rules without jobs", run: unable, steps: "2 passes, 0 jobs, 0 images, 0 blobs"},
		{name: "one of them is not begun", broken: brokenState{begin: 2}, run: unable, fails: errState, steps: "1 passes, 0 jobs, 0 images, 0 blobs"},
		{name: "one of them is not ended", broken: brokenState{end: 1}, run: unable, fails: errState, steps: "1 passes, 0 jobs, 0 images, 0 blobs", open: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, `
rules:
  - {name: a, from: {registry: src, repositories: {include: ["a"]}}, to: [{registry: one}]}
  - {name: b, from: {registry: src, repositories: {include: ["b"]}}, to: [{registry: one}]}
`, nil)
			for _, repo := range []string{"a", "b"} {
				r.load(repo, content.Image(repo, []content.Blob{content.Layer(repo, 100)}), "v1")
			}
			c := &counted{}
			tt.broken.Store = r.state
			r.opts.Tracer, r.opts.State, r.opts.Transfer.SpoolDir = c, &tt.broken, t.TempDir()
			e, err := New(r.opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close() })
			r.Engine = e
			r.servers["one"].Before(tt.target)
			if err := tt.run(r, t.Context()); !errors.Is(err, tt.fails) {
				t.Errorf("%v, want %v", err, tt.fails)
			}
			c.fine(t, tt.steps)
			passes, err := r.state.Passes(t.Context(), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			open := 0
			for _, p := range passes {
				if p.Outcome == state.Running {
					open++
				}
			}
			if open != tt.open {
				t.Errorf("state has %d passes that run, want %d", open, tt.open)
			}
		})
	}
}

// fine fails the test unless these steps began, and each of them ended once.
func (c *counted) fine(t *testing.T, want string) {
	t.Helper()
	n := map[string]int{}
	for _, s := range c.steps {
		n[s.kind]++
		if s.ended != 1 {
			t.Errorf("a %s was ended %d times", s.kind, s.ended)
		}
		if s.kind == "pass" && s.pass.Outcome == state.Running {
			t.Error("a pass was ended as one that runs")
		}
	}
	if got := fmt.Sprintf("%d passes, %d jobs, %d images, %d blobs", n["pass"], n["job"], n["image"], n["blob"]); got != want {
		t.Errorf("%s began, want %s", got, want)
	}
}
