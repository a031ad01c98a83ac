package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// A rig is a source and a target on loopback, a state, and workers over them.
type rig struct {
	t        testing.TB
	src, dst *registrytest.Server
	store    state.Store
	set      *policy.Set
	engine   *replicator.Engine
	soft     chan struct{}             // of the engine's transfer
	source   func() providers.Registry // in place of a plain client of src; may be nil

	mu     sync.Mutex
	gen    Generation
	shift  time.Duration // of the workers' clock
	report []replicator.Report
}

func newRig(t testing.TB, rules string) *rig {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return newRigOver(t, store, rules)
}

// newRigOver is a rig over a state, which it closes.
func newRigOver(t testing.TB, store state.Store, rules string) *rig {
	t.Helper()
	r := &rig{t: t, src: registrytest.New(t, registrytest.Options{}), dst: registrytest.New(t, registrytest.Options{}), soft: make(chan struct{})}
	t.Cleanup(func() { store.Close() })
	r.store = store
	r.use(rules)
	return r
}

// use makes a generation of these rules and puts it in force.
func (r *rig) use(rules string) {
	r.t.Helper()
	clients := map[string]providers.Registry{}
	text := "registries:\n"
	for name, s := range map[string]*registrytest.Server{"src": r.src, "dst": r.dst} {
		reg, err := oci.New(oci.Options{Host: s.Host(), PlainHTTP: true, Retry: oci.Retry{Tries: 2, Min: time.Millisecond, Max: time.Millisecond}})
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { reg.Close() })
		clients[name] = reg
		if name == "src" && r.source != nil {
			clients[name] = r.source()
		}
		text += fmt.Sprintf("  %s: {host: %q, plainHTTP: true, provider: oci}\n", name, s.Host())
	}
	set, err := policy.Parse("test.yaml", []byte(text+"rules:\n"+rules))
	if err != nil {
		r.t.Fatal(err)
	}
	engine, err := replicator.New(replicator.Options{Policy: set, State: r.store,
		Registries: func(name string) (providers.Registry, error) { return clients[name], nil },
		Transfer:   transfer.Options{SpoolDir: r.t.TempDir(), SpoolBytes: 1 << 30, Width: 1, Stop: r.soft, Grace: time.Minute}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { engine.Close() })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set, r.engine = set, engine
	r.gen = Generation{Set: set, Engine: engine, Release: func() {}}
}

func (r *rig) current() Generation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gen
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.shift)
}

func (r *rig) setShift(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shift = d
}

// start runs workers until stop is called, or the test ends.
func (r *rig) start(change ...func(*Options)) (stop func()) {
	o := Options{Store: r.store, Current: r.current, Workers: 4, Now: r.now, Logger: slog.New(slog.NewTextHandler(r.t.Output(), nil)),
		Done: func(_ string, rep replicator.Report, _ time.Duration, _ error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.report = append(r.report, rep)
		}}
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	soft, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- New(o).Run(ctx, soft) }()
	stop = sync.OnceFunc(func() {
		close(soft)
		if err := <-done; err != nil {
			r.t.Errorf("workers ended with %v", err)
		}
		cancel()
	})
	r.t.Cleanup(stop)
	return stop
}

// hold holds the first manifest that is put at the target until it is let go; held
// is closed when it is there.
func (r *rig) hold() (held <-chan struct{}, letGo func()) {
	there, gate := make(chan struct{}), make(chan struct{})
	var first sync.Once
	r.dst.Before(func(req *http.Request, class registrytest.Class) *registrytest.Fault {
		if class == registrytest.ManifestPut {
			first.Do(func() {
				close(there)
				<-gate
			})
		}
		return nil
	})
	letGo = sync.OnceFunc(func() { close(gate) })
	r.t.Cleanup(letGo)
	return there, letGo
}

func (r *rig) load(repo string, tags ...string) {
	r.t.Helper()
	for _, tag := range tags {
		m := content.Image(repo+tag, []content.Blob{content.Layer("base", 1000), content.Layer(repo+tag, 3000)})
		if err := r.src.Load(repo, m, tag); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) ask(a state.Ask) {
	r.t.Helper()
	if err := r.store.Ask(r.t.Context(), a); err != nil {
		r.t.Fatal(err)
	}
}

// queue is the queue as text: key, and what is special about it.
func (r *rig) queue() string {
	r.t.Helper()
	rows, err := r.store.Queue(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	var list []string
	for _, row := range rows {
		text := row.Key
		if row.Running {
			text += " running"
		}
		if row.Attempt > 0 {
			text += fmt.Sprintf(" attempt %d", row.Attempt)
		}
		list = append(list, text)
	}
	return strings.Join(list, "; ")
}

// putOff reports whether the row of a key waits for longer than it was asked to.
func (r *rig) putOff(key string) bool {
	r.t.Helper()
	rows, err := r.store.Queue(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.ContainsFunc(rows, func(row state.Row) bool { return row.Key == key && !row.Running && row.NotBefore.After(row.Asked) })
}

// ran are the keys of the jobs that have run, sorted.
func (r *rig) ran() (keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rep := range r.report {
		keys = append(keys, rep.Key)
	}
	slices.Sort(keys)
	return keys
}

// pass is the newest pass of the rule.
func (r *rig) pass(rule string) state.Pass {
	r.t.Helper()
	list, err := r.store.Passes(r.t.Context(), rule, 1)
	if err != nil || len(list) == 0 {
		r.t.Fatalf("no pass of %s: %v", rule, err)
	}
	return list[0]
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("not in a minute: %s; queue: %s", what, r.queue())
		}
	}
}

func (r *rig) idle() { r.t.Helper(); r.until("an empty queue", func() bool { return r.queue() == "" }) }

// copied counts the tags at the target.
func (r *rig) copied(repo string) int { return len(r.dst.Tags(repo)) }

// equal fails the test unless the target holds what the source holds.
func (r *rig) equal() {
	r.t.Helper()
	if err := registrytest.Equal(r.src, r.dst, func(repo string) string { return repo }); err != nil {
		r.t.Error(err)
	}
}

// outside is a window that does not hold the present, and begins in hours.
func outside(hours int) string {
	from := time.Now().Add(time.Duration(hours) * time.Hour)
	return fmt.Sprintf("%s-%s", from.Format("15:04"), from.Add(time.Hour).Format("15:04"))
}
