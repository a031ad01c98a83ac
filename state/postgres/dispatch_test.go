package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres/pgtest"
)

// wakes are the wake-ups that wait, as "row state", and " later" with those for a
// time to come.
func wakes(t *testing.T, s *Store) string {
	t.Helper()
	rows, err := s.session.db.QueryContext(t.Context(), `SELECT w.key || ' ' || j.state || CASE WHEN j.scheduled_at > now() THEN ' later' ELSE '' END
		FROM river_job j JOIN work w ON w.id = CAST(j.args->>'row' AS BIGINT)
		WHERE j.state IN ('available', 'scheduled') ORDER BY w.key, j.id`)
	check(t, err)
	defer rows.Close()
	var list []string
	for rows.Next() {
		var text string
		check(t, rows.Scan(&text))
		list = append(list, text)
	}
	check(t, rows.Err())
	return strings.Join(list, "; ")
}

// A row that becomes due has a wake-up, in the transaction that makes it so: one, for
// the time at which it is due.
func testWakes(t *testing.T, c *pgtest.Cluster) {
	ctx, s := t.Context(), closing(t, openAt(t, c.Database(t)))
	want := func(what, want string) {
		t.Helper()
		if got := wakes(t, s); got != want {
			t.Errorf("%s: wake-ups %q, want %q", what, got, want)
		}
	}
	clear := func() {
		t.Helper()
		_, err := s.session.db.ExecContext(ctx, "DELETE FROM river_job")
		check(t, err)
	}
	check(t, s.Ask(ctx, state.Ask{Key: "a"}, state.Ask{Key: "b", NotBefore: time.Hour}))
	want("asked", "a available; b scheduled later")
	check(t, s.Ask(ctx, state.Ask{Key: "a"}, state.Ask{Key: "b", NotBefore: 2 * time.Hour}))
	want("asked again", "a available; b scheduled later")
	check(t, s.Ask(ctx, state.Ask{Key: "b"}))
	want("wanted sooner", "a available; b scheduled later; b available")

	clear()
	claim := take(t, s, "a")
	check(t, s.Ask(ctx, state.Ask{Key: "a"}))
	want("asked while it runs", "")
	check(t, s.Done(ctx, claim, nil, 0))
	want("and done", "a available")

	clear()
	check(t, s.Done(ctx, take(t, s, "b"), errors.New("x"), time.Hour))
	want("failed", "b scheduled later")
	claim = take(t, s, "a")
	clear()
	check(t, s.Release(ctx, claim))
	want("given back", "a available")
	claim = take(t, s, "a")
	clear()
	check(t, s.Done(ctx, claim, nil, 0))
	want("done", "")

	if won, err := s.Tick(ctx, "rule", time.Now(), state.Ask{Key: "d"}); err != nil || !won {
		t.Errorf("tick %v %v", won, err)
	}
	want("a tick", "d available")
	if err := s.Ask(ctx, state.Ask{Key: "e"}, state.Ask{Key: "z\x00"}); err == nil {
		t.Error("a key that is none was taken")
	}
	want("nothing of an ask that fails", "d available")
}

// A runner runs what a store dispatches, and notes it.
type runner struct {
	t     *testing.T
	store *Store
	stop  context.CancelFunc
	ended chan error
	runs  chan string

	mu      sync.Mutex
	healthy []bool // as told, changes only
}

// run dispatches with width until the test ends, or stop is called. do runs a claim.
func run(t *testing.T, s *Store, width int, do func(*state.Claim) error) *runner {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &runner{t: t, store: s, stop: stop, ended: make(chan error, 1), runs: make(chan string, 1000)}
	look := func() error {
		c, err := s.Take(ctx)
		if err != nil || c == nil {
			return err
		}
		err = do(c)
		r.runs <- c.Key
		if errors.Is(err, state.ErrLost) {
			return nil
		}
		return s.Done(context.Background(), c, err, 0)
	}
	go func() { r.ended <- s.Dispatch(ctx, width, look, r.health) }()
	t.Cleanup(func() { r.end() })
	return r
}

func (r *runner) health(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.healthy); n == 0 || r.healthy[n-1] != (err == nil) {
		r.healthy = append(r.healthy, err == nil)
	}
}

// end stops the runner and returns once it has ended.
func (r *runner) end() {
	r.stop()
	if err, open := <-r.ended; open {
		check(r.t, err)
		close(r.ended)
	}
}

// ran waits for n runs and returns their keys, sorted.
func (r *runner) ran(n int) []string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	var keys []string
	for range n {
		select {
		case k := <-r.runs:
			keys = append(keys, k)
		case <-ctx.Done():
			r.t.Fatalf("ran %q in a minute, want %d", keys, n)
		}
	}
	slices.Sort(keys)
	return keys
}

// within waits for ch.
func within(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(time.Minute):
		t.Fatal("nothing ran in a minute")
	}
}

func quick(*state.Claim) error { return nil }

// seldom is a store that looks for nothing by itself: what it runs it was told of.
func seldom(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, Options{Every: time.Hour})
	check(t, err)
	return closing(t, s)
}

// What is asked at one process is run at the others, at most as much at once as they
// have workers, each once, and none of it because somebody happened to look.
func testDispatch(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	asker := closing(t, openAt(t, dsn))
	var mu sync.Mutex
	at := map[string]bool{}
	width := [2]int{}
	var runners []*runner
	for i := range 2 {
		runners = append(runners, run(t, seldom(t, dsn), 3, func(c *state.Claim) error {
			mu.Lock()
			if at[c.Key] {
				t.Errorf("%s runs twice at once", c.Key)
			}
			at[c.Key] = true
			width[i]++
			if width[i] > 3 {
				t.Errorf("%d run at once", width[i])
			}
			mu.Unlock()
			defer func() { mu.Lock(); at[c.Key] = false; width[i]--; mu.Unlock() }()
			return nil
		}))
	}
	seen := map[string]bool{}
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ran := func(n int) {
		t.Helper()
		for range n {
			select {
			case k := <-runners[0].runs:
				seen[k] = true
			case k := <-runners[1].runs:
				seen[k] = true
			case <-bounded.Done():
				t.Fatalf("%d keys ran in a minute", len(seen))
			}
		}
	}
	var asks []state.Ask
	for i := range 60 {
		asks = append(asks, state.Ask{Key: fmt.Sprintf("k%02d", i)})
	}
	check(t, asker.Ask(ctx, asks...))
	ran(len(asks))
	check(t, asker.Ask(ctx, state.Ask{Key: "when both are idle"}))
	ran(1)
	if len(seen) != len(asks)+1 {
		t.Errorf("%d keys ran, want %d", len(seen), len(asks)+1)
	}
}

// A wake-up that was lost is made again, for what was due before there was one, too.
func testLostWake(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	asker := closing(t, openAt(t, dsn))
	check(t, asker.Ask(ctx, state.Ask{Key: "a"}, state.Ask{Key: "b"}))
	_, err := asker.session.db.ExecContext(ctx, "DELETE FROM river_job")
	check(t, err)
	r := run(t, closing(t, openAt(t, dsn)), 2, quick)
	if got := r.ran(2); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("ran %q", got)
	}
}

// What a process ran that died is run by another, though River has it as running.
func testDeadDispatcher(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	begun, hung := make(chan struct{}, 1), make(chan struct{})
	dead := openAt(t, dsn)
	first := run(t, dead, 1, func(*state.Claim) error { begun <- struct{}{}; <-hung; return state.ErrLost })
	letGo := sync.OnceFunc(func() { close(hung) })
	t.Cleanup(letGo)
	check(t, dead.Ask(ctx, state.Ask{Key: "k"}))
	within(t, begun)
	r := run(t, closing(t, openAt(t, dsn)), 1, quick)
	breakSession(t, dead)
	r.ran(1)
	letGo()
	first.end()
	check(t, dead.Close())
}

// Dispatch returns when what runs has ended, and what it was woken for and did not
// take comes back.
func testDispatchStops(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	s := closing(t, openAt(t, dsn))
	begun, ends := make(chan struct{}), make(chan struct{})
	r := run(t, s, 1, func(*state.Claim) error { close(begun); <-ends; return nil })
	letGo := sync.OnceFunc(func() { close(ends) })
	t.Cleanup(letGo)
	check(t, s.Ask(ctx, state.Ask{Key: "a"}))
	within(t, begun)
	check(t, s.Ask(ctx, state.Ask{Key: "b"}))
	r.stop()
	select {
	case err := <-r.ended:
		t.Fatalf("it returned %v while something ran", err)
	case <-time.After(100 * time.Millisecond):
	}
	letGo()
	r.end()
	r = run(t, closing(t, openAt(t, dsn)), 1, quick)
	if got := r.ran(1); !slices.Equal(got, []string{"b"}) {
		t.Errorf("ran %q after the stop", got)
	}
}

// The server restarts under a dispatcher, which says so, and goes on.
func testDispatchRestart(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	s := closing(t, openAt(t, dsn))
	r := run(t, s, 2, quick)
	check(t, s.Ask(ctx, state.Ask{Key: "a"}))
	r.ran(1)
	c.Down(t)
	r.until("it says that state does not answer", false)
	c.Up(t)
	r.until("it says that state answers", true)
	check(t, s.Ask(ctx, state.Ask{Key: "b"}))
	r.ran(1)
}

// until waits until health is what is wanted.
func (r *runner) until(what string, want bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		r.mu.Lock()
		n := len(r.healthy)
		is := n > 0 && r.healthy[n-1] == want
		r.mu.Unlock()
		if is {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatal("not in a minute: " + what)
		}
	}
}
