package transfer

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// A crowd is processes that share the work, in one. Each member is the Turns of a
// process; those of a state are in package postgres.
type crowd struct {
	mu    sync.Mutex
	turns map[string]*oneTurn
	wants chan struct{} // has one where somebody waits
	asked int
}

type oneTurn struct {
	by    *member // nil once it has landed
	users int     // of that member's
	repo  string
	over  chan struct{} // closed at its end
}

func newCrowd() *crowd {
	return &crowd{turns: map[string]*oneTurn{}, wants: make(chan struct{}, 1)}
}

type member struct{ c *crowd }

func (m *member) Turn(ctx context.Context, b state.Bring) (state.Turn, error) {
	for {
		turn, other := m.try(b)
		if other == nil {
			return turn, nil
		}
		if b.Wait <= 0 {
			return state.Turn{Busy: true}, nil
		}
		select {
		case m.c.wants <- struct{}{}:
		default:
		}
		select {
		case <-other.over:
		case <-ctx.Done():
			return state.Turn{}, context.Cause(ctx)
		}
	}
}

// try returns the turn, or who else has it.
func (m *member) try(b state.Bring) (state.Turn, *oneTurn) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	m.c.asked++
	key := b.Host + b.Digest.String()
	has := m.c.turns[key]
	switch {
	case has != nil && has.by == nil:
		return state.Turn{There: has.repo, End: func() { m.c.forget(key, has) }}, nil
	case has != nil && has.by != m:
		return state.Turn{}, has
	}
	var spare []func()
	hosts := append([]string{b.Host}, b.Also...)
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		key := host + b.Digest.String()
		if t := m.c.turns[key]; t != nil && (t.by != m || host != b.Host) {
			continue
		} else if t == nil {
			m.c.turns[key] = &oneTurn{by: m, over: make(chan struct{})}
		}
		t := m.c.turns[key]
		if t.users++; host != b.Host {
			spare = append(spare, sync.OnceFunc(func() { m.end(key, t, "") }))
		}
	}
	t := m.c.turns[key]
	return state.Turn{
		Landed: func(repo string) { m.end(key, t, repo) },
		End:    func() { m.end(key, t, "") },
		Spare: func() {
			for _, end := range spare {
				end()
			}
		},
	}, nil
}

func (m *member) end(key string, t *oneTurn, repo string) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	if t.users--; t.by == nil || t.users > 0 && repo == "" {
		return // it is over already, or not yet
	}
	close(t.over)
	if t.by, t.repo = nil, repo; repo == "" {
		delete(m.c.turns, key)
	}
}

func (c *crowd) forget(key string, t *oneTurn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turns[key] == t {
		delete(c.turns, key)
	}
}

// beside is a Transfer of another process, with a spool and a memory of its own.
func (w *world) beside(c *crowd) *Transfer {
	w.t.Helper()
	o := w.opts
	o.SpoolDir, o.State, o.Turns = filepath.Join(w.t.TempDir(), "spool"), nil, &member{c}
	tr, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { tr.Close() })
	return tr
}

// Several processes bring images on the same layers to the same targets: each layer
// leaves the source once, whether the targets mount, do so late, or not at all.
func TestProcessesReadABlobOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		caps   providers.Caps
		quirks func(q *registrytest.Quirks)
	}{
		{"mounts", providers.Caps{}, func(*registrytest.Quirks) {}},
		{"hidden layers", providers.Caps{Mount: providers.Yes, MountNeedsManifest: true}, func(q *registrytest.Quirks) { q.HiddenLayers = true }},
		{"no mounts", providers.Caps{Mount: providers.No}, func(q *registrytest.Quirks) { q.NoMount = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd()
			w := newWorld(t, 2, func(w *world) {
				for i, s := range w.targets {
					s.Set(tt.quirks)
					w.caps[nameOf(i)] = tt.caps
				}
			})
			base := content.Layer("base", 600<<10)
			var corpus content.Corpus
			repos := []string{"a", "b", "c"}
			for _, repo := range repos {
				corpus = append(corpus, content.Entry{Repo: repo, Tags: []string{"v1"},
					Manifest: content.Image(repo, []content.Blob{base, content.Layer(repo, 100<<10)})})
			}
			plans := w.load(corpus)
			var wg sync.WaitGroup
			for _, repo := range repos {
				tr := w.beside(c)
				ours := slices.DeleteFunc(slices.Clone(plans), func(p plan.Plan) bool { return p.Target.Repo != repo })
				for i := range ours {
					ours[i].At = time.Now()
				}
				wg.Go(func() {
					if err := tr.Run(t.Context(), ours...); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			w.mustAll(w.journal.take())
			w.verify(plans)
			w.noReadTwice()
			c.mustBeOver(t)
		})
	}
}

func (c *crowd) mustBeOver(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, turn := range c.turns {
		if turn.by != nil {
			t.Errorf("the turn at %s has not ended", key)
		}
	}
}

// What was claimed of a registry that then takes nothing is given back.
func TestTurnsOfFailedImagesEnd(t *testing.T) {
	c := newCrowd()
	w := newWorld(t, 2, func(w *world) { w.targets[1].Set(func(q *registrytest.Quirks) { q.ReadOnly = true }) })
	plans := w.load(one("app", "v1", content.Image("app", []content.Blob{content.Layer("layer", 100<<10)})))
	if err := w.beside(c).Run(t.Context(), plans...); err != nil {
		t.Fatal(err)
	}
	for _, r := range w.journal.take() {
		if failed := r.Err != nil; failed != (r.Target.Registry == "t1") {
			t.Errorf("%s: %v", r.Target, r.Err)
		}
	}
	c.mustBeOver(t)
	if len(c.turns) != 1 {
		t.Errorf("%d turns are told of, want that of the target which has the layer", len(c.turns))
	}
}

// busy is another process that brings everything, and never comes to an end.
type busy struct{ waited []bool }

func (b *busy) Turn(_ context.Context, ask state.Bring) (state.Turn, error) {
	b.waited = append(b.waited, ask.Wait > 0)
	return state.Turn{Busy: true}, nil
}

// asks is a state that notes for which registries each blob is asked for together, and
// gives nobody a turn.
type asks struct {
	mu   sync.Mutex
	also map[v1.Hash][]string
}

func (a *asks) Turn(_ context.Context, b state.Bring) (state.Turn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.also[b.Digest] = b.Also
	return state.Turn{}, nil
}

// A blob of which no size is known, as a layer of schema 1, may be large: its turn is
// asked for as that of one which is, for all its registries together.
func TestUnknownSizesAskForTheirTurns(t *testing.T) {
	a := &asks{also: map[v1.Hash][]string{}}
	w := newWorld(t, 2, func(w *world) { w.opts.Turns = a })
	large, small, unknown := content.Layer("large", 100<<10), content.Layer("small", 1000), content.Layer("unknown", 1000)
	plans := w.load(one("app", "v1", content.Image("app", []content.Blob{large, small, unknown})))
	for i := range plans {
		for j, b := range plans[i].Images[0].Root.Blobs {
			if b.Digest == unknown.Digest {
				plans[i].Images[0].Root.Blobs[j].Size = -1
			}
		}
	}
	w.mustAll(w.run(plans))
	hosts := slices.Sorted(slices.Values([]string{w.targets[0].Host(), w.targets[1].Host()}))
	want := map[v1.Hash][]string{large.Digest: hosts, unknown.Digest: hosts}
	if !maps.EqualFunc(a.also, want, slices.Equal) {
		t.Errorf("asked %v, want %v", a.also, want)
	}
}

// Another process is waited for in vain once, not for each blob.
func TestOneWaitsInVainOnce(t *testing.T) {
	b := &busy{}
	w := newWorld(t, 1, func(w *world) { w.opts.BlobWidth, w.opts.Turns = 1, b })
	plans := w.load(one("app", "v1", content.Image("app", []content.Blob{
		content.Layer("1", 300<<10), content.Layer("2", 200<<10), content.Layer("3", 100<<10)})))
	w.mustAll(w.run(plans))
	w.verify(plans)
	if want := []bool{true, false, false}; !slices.Equal(b.waited, want) {
		t.Errorf("waited %v, want %v", b.waited, want)
	}
}

// What another process is said to have brought is looked at, not believed.
func TestWhereAnotherProcessBroughtIt(t *testing.T) {
	for _, tt := range []struct {
		name, said string
		load       string // where the target has it
		sent       int64
		there      bool // it is still said to be there afterwards
	}{
		{"it is there", "other", "other", 0, true},
		{"it has gone", "other", "", 1, true},
		{"it is in the repository itself", "app", "app", 0, true},
		{"it has gone from the repository itself", "app", "", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd()
			w := newWorld(t, 1, nil)
			layer := content.Layer("layer", 100<<10)
			m := content.Image("app", []content.Blob{layer})
			plans := w.load(one("app", "v1", m))
			if tt.load != "" {
				if err := w.targets[0].Load(tt.load, content.Image("other", []content.Blob{layer}), "v0"); err != nil {
					t.Fatal(err)
				}
			}
			key := w.targets[0].Host() + layer.Digest.String()
			c.turns[key] = &oneTurn{repo: tt.said}
			if err := w.beside(c).Run(t.Context(), plans...); err != nil {
				t.Fatal(err)
			}
			w.mustAll(w.journal.take())
			w.verify(plans)
			if n := w.source.Counts().Digests[layer.Digest.String()].Reads; n != tt.sent {
				t.Errorf("it was read %d times, want %d", n, tt.sent)
			}
			if turn := c.turns[key]; turn == nil || turn.by != nil {
				t.Errorf("afterwards %+v, want it to be there", turn)
			} else if tt.sent > 0 && turn.repo != "app" {
				t.Errorf("it is said to be in %s", turn.repo)
			}
		})
	}
}

// While one waits for another process the soft stop ends the wait, and nothing is
// claimed any more afterwards. Small blobs, and those that are there, are not asked for.
func TestWaitingForAnotherProcessStops(t *testing.T) {
	c, stop := newCrowd(), make(chan struct{})
	w := newWorld(t, 1, func(w *world) { w.opts.Stop = stop })
	layer := content.Layer("layer", 100<<10)
	plans := w.load(one("app", "v1", content.Image("app", []content.Blob{layer, content.Layer("small", 1000)})))
	c.turns[w.targets[0].Host()+layer.Digest.String()] = &oneTurn{by: &member{c}, over: make(chan struct{})}
	tr := w.beside(c)
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(t.Context(), plans...) }()
	<-c.wants
	close(stop)
	if err := <-ended; !errors.Is(err, ErrInterrupted) {
		t.Errorf("%v, want ErrInterrupted", err)
	}
	if c.asked != 1 {
		t.Errorf("asked %d times, want once", c.asked)
	}
}

// An image that has turns waits for no other that could wait for it.
func TestHeldTurnsHaveAnOrder(t *testing.T) {
	hash := func(s string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: s} }
	var told []string
	turn := func(s string) state.Turn {
		return state.Turn{Landed: func(repo string) { told = append(told, s+" in "+repo) }, End: func() { told = append(told, s+" ended") }}
	}
	var h heldTurns
	if !h.hold(hash("b"), turn("b")) {
		t.Fatal("the first is not held")
	}
	h.wait(hash("c"))
	if len(told) > 0 {
		t.Errorf("told %v, though c comes after all that it has", told)
	}
	if h.hold(hash("d"), turn("d")) {
		t.Error("holds d while it waits for c")
	}
	h.waited(hash("c"))
	if !h.hold(hash("d"), turn("d")) {
		t.Error("does not hold d, though it waits for nothing")
	}
	h.named("app", []v1.Hash{hash("b"), hash("x")})
	h.wait(hash("c"))
	if len(h.held) > 0 || !slices.Equal(told, []string{"b in app", "d ended"}) {
		t.Errorf("told %v, holds %d", told, len(h.held))
	}
}
