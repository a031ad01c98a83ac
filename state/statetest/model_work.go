package statetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/transship/transship/state"
)

// testWorkModel does random things to the queue and to a model of it that knows
// asks only: each is answered by a run that began after it, or was cancelled.
func testWorkModel(t *testing.T, b Backend) {
	for seed := range uint64(modelSeeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			open := b(t)
			m := &workModel{t: t, s: open(), rand: rand.New(rand.NewPCG(seed, 2)),
				open: map[string][]ask{}, running: map[string]run{}}
			for range modelSteps {
				m.step(open)
			}
			m.drain()
			check(t, m.s.Close())
		})
	}
}

// An ask that is not answered yet.
type ask struct {
	hints    []string
	priority int
	later    bool // not due for an hour
}

// A run and the asks that it answers.
type run struct {
	claim *state.Claim
	asks  []ask
}

type workModel struct {
	t       *testing.T
	s       state.Store
	rand    *rand.Rand
	open    map[string][]ask
	running map[string]run
}

func (m *workModel) key() string { return fmt.Sprint("k", m.rand.IntN(4)) }

func (m *workModel) step(open func() state.Store) {
	ctx, key := m.t.Context(), m.key()
	held, runs := m.running[key]
	switch n := m.rand.IntN(20); {
	case n < 7:
		a := ask{priority: m.rand.IntN(3), later: m.rand.IntN(4) == 0}
		for range m.rand.IntN(3) {
			a.hints = append(a.hints, fmt.Sprint("v", m.rand.IntN(4)))
		}
		later := time.Duration(0)
		if a.later {
			later = time.Hour
		}
		check(m.t, m.s.Ask(ctx, state.Ask{Key: key, Hints: a.hints, Priority: a.priority, NotBefore: later}))
		m.open[key] = append(m.open[key], a)
	case n < 12:
		m.take()
	case n < 14 && runs:
		check(m.t, m.s.Done(ctx, held.claim, nil, 0))
		delete(m.running, key)
	case n < 16 && runs:
		check(m.t, m.s.Done(ctx, held.claim, errRun, time.Hour))
		for i := range held.asks {
			held.asks[i].later = true
		}
		m.giveBack(key)
	case n < 17 && runs:
		check(m.t, m.s.Release(ctx, held.claim))
		m.giveBack(key)
	case n == 18:
		was := must(m.s.Cancel(ctx, key))(m.t)
		equal(m.t, "cancelled "+key, was, len(m.open[key])+len(held.asks) > 0)
		delete(m.open, key)
		if runs {
			m.running[key] = run{claim: held.claim}
		}
	case n == 19 && m.rand.IntN(4) == 0:
		check(m.t, m.s.Close())
		for key := range m.running {
			m.giveBack(key)
		}
		m.s = open()
	}
	m.compare()
}

func (m *workModel) giveBack(key string) {
	m.open[key] = append(m.open[key], m.running[key].asks...)
	delete(m.running, key)
}

// due tells whether some ask of key is due, and the highest priority of all of them.
func (m *workModel) due(key string) (priority int, due bool) {
	if _, runs := m.running[key]; runs {
		return 0, false
	}
	for _, a := range m.open[key] {
		priority, due = max(priority, a.priority), due || !a.later
	}
	return priority, due
}

func (m *workModel) take() {
	c := must(m.s.Take(m.t.Context()))(m.t)
	best, any := -1, false
	for key := range m.open {
		if p, due := m.due(key); due {
			best, any = max(best, p), true
		}
	}
	if c == nil {
		equal(m.t, "something is due", any, false)
		return
	}
	p, due := m.due(c.Key)
	if !due || p != best {
		m.t.Fatalf("took %s (due %v, priority %d), want one of priority %d", c.Key, due, p, best)
	}
	equal(m.t, "hints of "+c.Key, c.Hints, joined(m.open[c.Key]))
	m.running[c.Key] = run{c, m.open[c.Key]}
	delete(m.open, c.Key)
}

func joined(asks []ask) []string {
	tags := map[string]bool{}
	for _, a := range asks {
		if len(a.hints) == 0 {
			return nil
		}
		for _, h := range a.hints {
			tags[h] = true
		}
	}
	return slices.Sorted(maps.Keys(tags))
}

func (m *workModel) compare() {
	m.t.Helper()
	want := map[string]bool{} // key -> running
	for key, asks := range m.open {
		if len(asks) > 0 {
			want[key] = false
		}
	}
	for key := range m.running {
		want[key] = true
	}
	got := map[string]bool{}
	for _, r := range must(m.s.Queue(m.t.Context()))(m.t) {
		got[r.Key] = r.Running
	}
	equal(m.t, "queue", got, want)
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// drain runs everything to its end: nothing may be left over.
func (m *workModel) drain() {
	ctx := m.t.Context()
	for _, r := range m.running {
		check(m.t, m.s.Done(ctx, r.claim, nil, 0))
	}
	clear(m.running)
	for key, asks := range m.open {
		if len(asks) > 0 {
			check(m.t, m.s.Ask(ctx, state.Ask{Key: key}))
			m.open[key] = append(asks, ask{})
		}
	}
	for {
		m.take()
		if len(m.running) == 0 {
			break
		}
		for key, r := range m.running {
			check(m.t, m.s.Done(ctx, r.claim, nil, 0))
			delete(m.running, key)
		}
	}
	equal(m.t, "queue", len(must(m.s.Queue(ctx))(m.t)), 0)
}
