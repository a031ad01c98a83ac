package statetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/state"
)

var errRun = errors.New("the target is down")

// take returns the next claim, which must be of key ("" is none).
func take(t *testing.T, s state.Store, key string) *state.Claim {
	t.Helper()
	c := must(s.Take(t.Context()))(t)
	switch {
	case c == nil && key != "":
		t.Fatalf("nothing is due, want %s", key)
	case c != nil && c.Key != key:
		t.Fatalf("%s is due, want %q", c.Key, key)
	}
	return c
}

// row returns the row of key in the queue.
func row(t *testing.T, s state.Store, key string) state.Row {
	t.Helper()
	for _, r := range must(s.Queue(t.Context()))(t) {
		if r.Key == key {
			return r
		}
	}
	return state.Row{}
}

func testAsk(t *testing.T, s state.Store) {
	ctx := t.Context()
	take(t, s, "")
	check(t, s.Ask(ctx))
	equal(t, "an empty queue", must(s.Queue(ctx))(t), []state.Row(nil))
	check(t, s.Ask(ctx, state.Ask{Key: "run/a"}, state.Ask{Key: "run/b", Priority: 1}, state.Ask{Key: "run/a"}))
	check(t, s.Ask(ctx, state.Ask{Key: "run/a"}))

	queue := must(s.Queue(ctx))(t)
	equal(t, "length", len(queue), 2)
	equal(t, "by priority", queue[0].Key, "run/b")
	if queue[1].Wanted <= queue[1].Done || queue[1].Running || queue[1].NotBefore.IsZero() {
		t.Errorf("run/a should be wanted and due: %+v", queue[1])
	}

	check(t, s.Done(ctx, take(t, s, "run/b"), nil, 0))
	c := take(t, s, "run/a")
	if c.Attempt != 0 || c.Asked.IsZero() || c.Wanted != queue[1].Wanted || len(c.Hints) != 0 {
		t.Errorf("claim %+v of %+v", c, queue[1])
	}
	take(t, s, "")
	if r := row(t, s, "run/a"); !r.Running {
		t.Errorf("it should be running: %+v", r)
	}
	check(t, s.Done(ctx, c, nil, 0))
	take(t, s, "")
	equal(t, "all done", must(s.Queue(ctx))(t), []state.Row(nil))

	check(t, s.Ask(ctx, state.Ask{Key: "run/a"}))
	again := take(t, s, "run/a")
	if again.Wanted <= c.Wanted {
		t.Errorf("wanted went from %d to %d", c.Wanted, again.Wanted)
	}
	check(t, s.Done(ctx, again, nil, 0))
}

func testTakeOrder(t *testing.T, s state.Store) {
	ctx := t.Context()
	for _, a := range []state.Ask{{Key: "z"}, {Key: "y"}, {Key: "low", Priority: -1}, {Key: "high", Priority: 9}, {Key: "x"}} {
		check(t, s.Ask(ctx, a))
	}
	check(t, s.Ask(ctx, state.Ask{Key: "x"}, state.Ask{Key: "high", Priority: 1}, state.Ask{Key: "raised"}))
	check(t, s.Ask(ctx, state.Ask{Key: "raised", Priority: 5}))
	for _, key := range []string{"high", "raised", "z", "y", "x", "low", ""} {
		take(t, s, key)
	}
}

func testNotBefore(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.Ask(ctx, state.Ask{Key: "later", NotBefore: time.Hour}))
	take(t, s, "")
	far := row(t, s, "later").NotBefore
	check(t, s.Ask(ctx, state.Ask{Key: "later", NotBefore: 2 * time.Hour}))
	equal(t, "the earliest wins", row(t, s, "later").NotBefore, far)
	check(t, s.Ask(ctx, state.Ask{Key: "later", NotBefore: -time.Hour}))
	check(t, s.Done(ctx, take(t, s, "later"), nil, 0))

	check(t, s.Ask(ctx, state.Ask{Key: "soon", NotBefore: 50 * time.Millisecond}))
	check(t, s.Done(ctx, eventually(t, s, "soon"), nil, 0))
}

// eventually waits for the next claim.
func eventually(t *testing.T, s state.Store, key string) *state.Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		c := must(s.Take(ctx))(t)
		if c != nil {
			equal(t, "claim", c.Key, key)
			return c
		}
		<-tick.C
	}
}

func testHints(t *testing.T, s state.Store) {
	ctx := t.Context()
	many := func(from, n int) (tags []string) {
		for i := range n {
			tags = append(tags, fmt.Sprintf("v%03d", from+i))
		}
		return tags
	}
	for _, tt := range []struct {
		name string
		asks [][]string
		want []string
	}{
		{"joined, sorted, once", [][]string{{"b", "a"}, {"c", "b"}}, []string{"a", "b", "c"}},
		{"all of it, then one", [][]string{nil, {"a"}}, nil},
		{"one, then all of it", [][]string{{"a"}, nil}, nil},
		{"all of it stays", [][]string{{"a"}, nil, {"b"}}, nil},
		{"as many as are kept", [][]string{many(0, 60), many(20, 80)}, many(0, state.MaxHints)},
		{"too many at once", [][]string{many(0, state.MaxHints+1)}, nil},
		{"too many together", [][]string{many(0, 60), many(60, 41)}, nil},
		{"too many, then one", [][]string{many(0, 60), many(60, 41), {"a"}}, nil},
		{"not text", [][]string{{"\"\\,[é"}}, []string{"\"\\,[é"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, hints := range tt.asks {
				check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: hints}))
			}
			equal(t, "shown", row(t, s, "k").Hints, tt.want)
			c := take(t, s, "k")
			equal(t, "hints", c.Hints, tt.want)
			check(t, s.Done(ctx, c, nil, 0))
		})
	}
}

func testAskDuringRun(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}, Priority: 7}))
	c := take(t, s, "k")
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"b"}}))
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"c"}}))
	take(t, s, "") // not while it runs
	check(t, s.Done(ctx, c, nil, 0))
	again := take(t, s, "k")
	equal(t, "only what was asked meanwhile", again.Hints, []string{"b", "c"})
	equal(t, "at the priority of those asks", row(t, s, "k").Priority, 0)
	check(t, s.Done(ctx, again, nil, 0))
	take(t, s, "")

	t.Run("an ask for later stays later", func(t *testing.T) {
		check(t, s.Ask(ctx, state.Ask{Key: "k"}))
		c := take(t, s, "k")
		check(t, s.Ask(ctx, state.Ask{Key: "k", NotBefore: time.Hour}))
		check(t, s.Done(ctx, c, nil, 0))
		take(t, s, "")
		must(s.Cancel(ctx, "k"))(t)
	})
	t.Run("at once after a failure", func(t *testing.T) {
		check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}}))
		c := take(t, s, "k")
		check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"b"}}))
		check(t, s.Done(ctx, c, errRun, time.Hour))
		c = take(t, s, "k")
		equal(t, "with what failed", c.Hints, []string{"a", "b"})
		equal(t, "attempt", c.Attempt, 1)
		check(t, s.Done(ctx, c, nil, 0))
	})
}

func testRetry(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}, Priority: 3}))
	first := take(t, s, "k")
	check(t, s.Done(ctx, first, errRun, 0))
	r := row(t, s, "k")
	if r.Running || r.Attempt != 1 || r.Error != errRun.Error() || r.Priority != 3 || r.Wanted <= r.Done {
		t.Errorf("after a failure: %+v", r)
	}
	second := take(t, s, "k")
	equal(t, "hints", second.Hints, []string{"a"})
	equal(t, "attempt", second.Attempt, 1)
	equal(t, "asked", second.Asked, first.Asked)
	check(t, s.Done(ctx, second, errRun, time.Hour))
	take(t, s, "")
	equal(t, "attempts", row(t, s, "k").Attempt, 2)

	check(t, s.Ask(ctx, state.Ask{Key: "k"})) // asking does not wait for the retry
	third := take(t, s, "k")
	equal(t, "attempts still count", third.Attempt, 2)
	check(t, s.Done(ctx, third, nil, 0))
	check(t, s.Ask(ctx, state.Ask{Key: "k"}))
	fourth := take(t, s, "k")
	equal(t, "from the last success on", fourth.Attempt, 0)
	equal(t, "no error", row(t, s, "k").Error, "")
	check(t, s.Done(ctx, fourth, nil, 0))
}

func testRelease(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}, Priority: 3}))
	c := take(t, s, "k")
	check(t, s.Done(ctx, c, errRun, 0))
	before := row(t, s, "k")
	c = take(t, s, "k")
	check(t, s.Release(ctx, c))
	equal(t, "as it was", row(t, s, "k"), before)

	again := take(t, s, "k")
	c.Taken, c.Lost = again.Taken, again.Lost
	equal(t, "the same claim", *again, *c)
	check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"b"}, Priority: 5}))
	check(t, s.Release(ctx, again))
	again = take(t, s, "k")
	equal(t, "joined with what was asked meanwhile", again.Hints, []string{"a", "b"})
	equal(t, "at the higher priority", row(t, s, "k").Priority, 5)
	equal(t, "no attempt lost", again.Attempt, 1)
	check(t, s.Done(ctx, again, nil, 0))
	take(t, s, "")
}

func testCancel(t *testing.T, s state.Store) {
	ctx := t.Context()
	equal(t, "unknown", must(s.Cancel(ctx, "k"))(t), false)
	check(t, s.Ask(ctx, state.Ask{Key: "k"}))
	equal(t, "wanted", must(s.Cancel(ctx, "k"))(t), true)
	equal(t, "no more", must(s.Cancel(ctx, "k"))(t), false)
	take(t, s, "")
	equal(t, "queue", must(s.Queue(ctx))(t), []state.Row(nil))

	for name, end := range map[string]func(*state.Claim) error{
		"done":     func(c *state.Claim) error { return s.Done(ctx, c, nil, 0) },
		"failed":   func(c *state.Claim) error { return s.Done(ctx, c, errRun, 0) },
		"released": func(c *state.Claim) error { return s.Release(ctx, c) },
	} {
		t.Run("while it runs, then "+name, func(t *testing.T) {
			check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}}))
			c := take(t, s, "k")
			equal(t, "its retry", must(s.Cancel(ctx, "k"))(t), true)
			equal(t, "it goes on", row(t, s, "k").Running, true)
			check(t, end(c))
			take(t, s, "")
		})
		t.Run("while it runs, asked again, then "+name, func(t *testing.T) {
			check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}}))
			c := take(t, s, "k")
			must(s.Cancel(ctx, "k"))(t)
			check(t, s.Ask(ctx, state.Ask{Key: "k", Hints: []string{"b"}}))
			check(t, end(c))
			c = take(t, s, "k")
			equal(t, "hints", c.Hints, []string{"b"})
			check(t, s.Done(ctx, c, nil, 0))
		})
	}
}

// A claim ends once; what comes later changes nothing.
func testEndedClaim(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.Ask(ctx, state.Ask{Key: "k"}))
	old := take(t, s, "k")
	check(t, s.Release(ctx, old))
	current := take(t, s, "k")
	for name, err := range map[string]error{
		"Done":           s.Done(ctx, old, nil, 0),
		"Release":        s.Release(ctx, old),
		"a made-up Done": s.Done(ctx, &state.Claim{Key: "k", Wanted: 1}, nil, 0),
	} {
		if err == nil {
			t.Errorf("%s of a claim that has ended had no error", name)
		}
	}
	equal(t, "still running", row(t, s, "k").Running, true)
	check(t, s.Done(ctx, current, nil, 0))
}

// Many takers, many keys: each key is held by one at a time, and none is lost.
func testTakeOnce(t *testing.T, s state.Store) {
	ctx := t.Context()
	const keys, takers, rounds = 20, 8, 3
	var mu sync.Mutex
	running, runs := map[string]bool{}, map[string]int{}
	var asks []state.Ask
	for i := range keys {
		asks = append(asks, state.Ask{Key: fmt.Sprint("k", i)})
	}
	for range rounds {
		check(t, s.Ask(ctx, asks...))
		var wg sync.WaitGroup
		for range takers {
			wg.Go(func() {
				for {
					c, err := s.Take(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					if c == nil {
						return
					}
					mu.Lock()
					if running[c.Key] {
						t.Errorf("%s is held twice", c.Key)
					}
					running[c.Key] = true
					runs[c.Key]++
					mu.Unlock()

					mu.Lock()
					running[c.Key] = false
					mu.Unlock()
					if err := s.Done(ctx, c, nil, 0); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	for _, a := range asks {
		if runs[a.Key] != rounds {
			t.Errorf("%s ran %d times, want %d", a.Key, runs[a.Key], rounds)
		}
	}
}

func testDepth(t *testing.T, s state.Store) {
	ctx := t.Context()
	equal(t, "of nothing", must(s.Depth(ctx))(t), state.Depth{})
	check(t, s.Ask(ctx, state.Ask{Key: "run/a", Priority: 1}, state.Ask{Key: "run/b"}, state.Ask{Key: "run/c"}, state.Ask{Key: "run/d", NotBefore: time.Hour}))
	check(t, s.Done(ctx, take(t, s, "run/a"), nil, 0))
	check(t, s.Ask(ctx, state.Ask{Key: "run/a", Priority: 1}))
	take(t, s, "run/a")
	check(t, s.Ask(ctx, state.Ask{Key: "run/a"})) // wanted, and runs
	d := must(s.Depth(ctx))(t)
	if d.Oldest < 0 || d.Oldest > time.Minute {
		t.Errorf("the oldest has been due for %v", d.Oldest)
	}
	d.Oldest = 0
	equal(t, "depth", d, state.Depth{Running: 1, Due: 2, Later: 1})
}
