package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres/pgtest"
)

// TestTurns is about who brings a blob, where several processes want to; the tests
// share a server.
func TestTurns(t *testing.T) {
	c := pgtest.Start(t)
	for _, tt := range []struct {
		name string
		test func(t *testing.T, c *pgtest.Cluster)
	}{
		{"Landed", testTurnLanded},
		{"Freed", testTurnFreed},
		{"Stale", testTurnStale},
		{"Together", testTurnTogether},
		{"Also", testTurnAlso},
		{"Shared", testTurnShared},
		{"Died", testTurnDied},
		{"Patience", testTurnPatience},
		{"Alone", testTurnAlone},
		{"Replicas", testReplicas},
		{"SameNumber", testSameNumber},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, c) })
	}
}

func replica(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, Options{Replica: true})
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	if s.session.me.Load() == 0 {
		t.Fatal("it has not joined")
	}
	return s
}

var aBlob = v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%064x", 1)}

func bring(wait time.Duration, hosts ...string) state.Bring {
	return state.Bring{Digest: aBlob, Host: hosts[0], Also: hosts[1:], Since: time.Hour, Wait: wait}
}

// mine wants the turn to be ours.
func mine(t *testing.T, s *Store, b state.Bring) state.Turn {
	t.Helper()
	turn, err := s.Turn(t.Context(), b)
	check(t, err)
	if turn.There != "" || turn.Landed == nil {
		t.Fatalf("%+v, want it to be our turn", turn)
	}
	if len(b.Also) == 0 && turn.Spare != nil {
		t.Fatal("something is to spare, though nothing was asked for beside")
	}
	return turn
}

// unclaimed wants nobody to have the turn, and leaves it so.
func unclaimed(t *testing.T, s *Store, host string) {
	t.Helper()
	turn := mine(t, s, bring(time.Minute, host))
	turn.End()
}

// later asks in a goroutine, and returns once it waits.
func later(t *testing.T, s *Store, b state.Bring) <-chan state.Turn {
	t.Helper()
	answer := make(chan state.Turn, 1)
	go func() {
		turn, err := s.Turn(t.Context(), b)
		if err != nil {
			t.Error(err)
		}
		answer <- turn
	}()
	eventually(t, "it is to wait", func() bool {
		s.turns.mu.Lock()
		defer s.turns.mu.Unlock()
		return s.turns.waiting[spot{b.Host, b.Digest.String()}] != nil
	})
	return answer
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
}

func testTurnLanded(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	a, b := replica(t, dsn), replica(t, dsn)
	turn := mine(t, a, bring(0, "one"))
	answer := later(t, b, bring(time.Minute, "one"))
	turn.Landed("team/a")
	if got := <-answer; got.There != "team/a" {
		t.Errorf("%+v, want it to be in team/a", got)
	}
	turn, err := a.Turn(t.Context(), bring(0, "one"))
	if check(t, err); turn.There != "team/a" {
		t.Errorf("afterwards %+v, want it to be in team/a", turn)
	}
	old := bring(0, "one")
	old.Since = 0   // whoever planned after that knows better
	mine(t, b, old) // a may not have heard yet that the database knows
}

func testTurnFreed(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	a, b := replica(t, dsn), replica(t, dsn)
	turn := mine(t, a, bring(0, "one"))
	answer := later(t, b, bring(time.Minute, "one"))
	turn.End()
	turn.End() // once more is nothing
	if got := <-answer; got.Landed == nil {
		t.Errorf("%+v, want it to be our turn", got)
	}
}

// What was said to be there and is not is brought again.
func testTurnStale(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	a, b := replica(t, dsn), replica(t, dsn)
	mine(t, a, bring(0, "one")).Landed("team/a")
	var turn state.Turn
	eventually(t, "it is to have landed", func() (there bool) {
		var err error
		turn, err = b.Turn(t.Context(), bring(0, "one"))
		check(t, err)
		return turn.There != ""
	})
	turn.End()
	eventually(t, "it is not to be there any more", func() bool {
		turn, err := b.Turn(t.Context(), bring(0, "one"))
		check(t, err)
		return turn.Landed != nil
	})
}

// Of many who ask at once one has the turn, and all others learn where it landed.
func testTurnTogether(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	stores := []*Store{replica(t, dsn), replica(t, dsn), replica(t, dsn)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	brought := map[string]map[*Store]bool{}
	for i := range 60 {
		s, host := stores[i%3], fmt.Sprint("host", i/3%4)
		wg.Go(func() {
			turn, err := s.Turn(t.Context(), bring(time.Minute, host, "host0", "host1", "host2", "host3"))
			if err != nil {
				t.Error(err)
				return
			}
			if turn.There != "" {
				return
			}
			mu.Lock()
			if brought[host] == nil {
				brought[host] = map[*Store]bool{}
			}
			brought[host][s] = true
			mu.Unlock()
			turn.Landed("team/a")
			if turn.Spare != nil { // another of this process may have the others
				turn.Spare()
			}
		})
	}
	wg.Wait()
	for host, by := range brought {
		if len(by) != 1 {
			t.Errorf("%d processes brought it to %s", len(by), host)
		}
	}
}

// The process that reads a blob for one host does so for its others, too.
func testTurnAlso(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	a, b := replica(t, dsn), replica(t, dsn)
	one := mine(t, a, bring(0, "one", "two"))
	answer := later(t, b, bring(time.Minute, "two", "one", "three"))
	unclaimed(t, a, "three") // was not kept by who waits
	two := mine(t, a, bring(0, "two", "one"))
	one.Landed("team/a")
	one.Spare()
	two.Landed("team/b")
	if got := <-answer; got.There != "team/b" {
		t.Errorf("%+v, want it to be in team/b", got)
	}
	three := mine(t, a, bring(time.Minute, "three", "four"))
	answer = later(t, b, bring(time.Minute, "four"))
	three.Spare()
	if got := <-answer; got.Landed == nil {
		t.Errorf("%+v, want it to be our turn", got)
	}
}

// Several runs of one process share its turn.
func testTurnShared(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	a, b := replica(t, dsn), replica(t, dsn)
	first, second := mine(t, a, bring(0, "one")), mine(t, a, bring(0, "one"))
	answer := later(t, b, bring(time.Minute, "one"))
	first.End()
	select {
	case got := <-answer:
		t.Fatalf("%+v while it is still being brought", got)
	default:
	}
	second.Landed("team/a")
	if got := <-answer; got.There != "team/a" {
		t.Errorf("%+v, want it to be in team/a", got)
	}
}

// With its session a process loses its turns; what it says of them later is not
// heard.
func testTurnDied(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	a, b := replica(t, dsn), replica(t, dsn)
	lost := mine(t, a, bring(0, "one"))
	answer := later(t, b, bring(time.Minute, "one"))
	kill(t, a)
	if got := <-answer; got.Landed == nil {
		t.Fatalf("%+v, want it to be our turn", got)
	}
	check(t, a.Holding(t.Context()))
	lost.Landed("team/a")
	told(t, a)
	turn, err := a.Turn(t.Context(), bring(0, "one"))
	if check(t, err); turn.There != "" || turn.Landed != nil {
		t.Errorf("%+v, want the other to be at it", turn)
	}
}

// told waits until the database has been told of all endings.
func told(t *testing.T, s *Store) {
	t.Helper()
	eventually(t, "the endings are to be told", func() bool {
		s.turns.mu.Lock()
		defer s.turns.mu.Unlock()
		return !s.turns.telling && len(s.turns.endings) == 0
	})
}

// kill ends a store's session by the server.
func kill(t *testing.T, s *Store) {
	t.Helper()
	var ended int
	check(t, s.session.db.QueryRowContext(t.Context(), `SELECT COUNT(pg_terminate_backend(l.pid)) FROM pg_locks l
		WHERE `+isLock+` AND `+lockNumber+` = `+lockBase+` + $1`,
		s.session.me.Load()).Scan(&ended))
	if ended != 1 {
		t.Fatalf("%d sessions ended", ended)
	}
}

func testTurnPatience(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	a, b := replica(t, dsn), replica(t, dsn)
	mine(t, a, bring(0, "one"))
	turn, err := b.Turn(t.Context(), bring(time.Millisecond, "one"))
	if check(t, err); !turn.Busy || turn.There != "" || turn.Landed != nil {
		t.Errorf("%+v, want to go on without", turn)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	waits := awaited{ctx, make(chan struct{}, 1)}
	answer := make(chan error, 1)
	go func() { _, err := b.Turn(waits, bring(time.Hour, "one")); answer <- err }()
	comes(t, "it is to wait until it is stopped", waits.waits)
	cause := fmt.Errorf("stopped")
	cancel(cause)
	if err := comes(t, "it is to stop", answer); err != cause {
		t.Errorf("%v, want the cause", err)
	}
}

// An awaited context tells when somebody waits for its end, and no longer asks the
// database, which no context breaks off.
type awaited struct {
	context.Context
	waits chan struct{}
}

func (a awaited) Done() <-chan struct{} {
	select {
	case a.waits <- struct{}{}:
	default:
	}
	return a.Context.Done()
}

// comes is what comes from a channel.
func comes[T any](t *testing.T, what string, from <-chan T) (got T) {
	t.Helper()
	eventually(t, what, func() bool {
		select {
		case got = <-from:
			return true
		default:
			return false
		}
	})
	return got
}

// Who does not work, or has lost its session, is in nobody's way.
func testTurnAlone(t *testing.T, c *pgtest.Cluster) {
	s := closing(t, openAt(t, c.Database(t)))
	turn, err := s.Turn(t.Context(), bring(time.Hour, "one"))
	if check(t, err); turn.There != "" || turn.Landed != nil {
		t.Errorf("%+v, want to go on without", turn)
	}
}

func testReplicas(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	want := func(s *Store, want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d replicas", want), func() bool {
			n, err := s.Replicas(t.Context())
			check(t, err)
			return n == want
		})
	}
	onlooker := closing(t, openAt(t, dsn))
	a := replica(t, dsn)
	want(a, 1)
	b := replica(t, dsn)
	want(a, 2)
	want(onlooker, 2)
	other := replica(t, c.Database(t))
	want(other, 1)
	kill(t, a)
	want(b, 1)
	check(t, a.Holding(t.Context()))
	want(b, 2)
	check(t, b.Close())
	want(a, 1)
	check(t, a.Close())
	want(onlooker, 1) // at least
}

// Two replicas never have the same number: each would take the other's turns for its
// own. Who drew one that is taken tries another when it next makes sure of its session.
func testSameNumber(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	a, b := replica(t, dsn), closing(t, openAt(t, dsn))
	check(t, b.session.joinAs(t.Context(), a.session.me.Load()))
	if me := b.session.me.Load(); me != 0 {
		t.Fatalf("both are %d", me)
	}
	b.session.joins = true
	check(t, b.Holding(t.Context()))
	if me := b.session.me.Load(); me == 0 || me == a.session.me.Load() {
		t.Errorf("one is %d, the other %d", a.session.me.Load(), me)
	}
}
