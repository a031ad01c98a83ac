package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/internal/sqlstore"
	"github.com/transship/transship/state/postgres/pgtest"
)

// TestPostgres is what only this backend can get wrong; the tests share a server.
func TestPostgres(t *testing.T) {
	c := pgtest.Start(t)
	for _, tt := range []struct {
		name string
		test func(t *testing.T, c *pgtest.Cluster)
	}{
		{"Pooler", testPooler},
		{"OpenTogether", testOpenTogether},
		{"Newer", testNewer},
		{"TwoProcesses", testTwoProcesses},
		{"DeadProcess", testDeadProcess},
		{"LostSession", testLostSession},
		{"Frozen", testFrozen},
		{"Close", testClose},
		{"CancelledTake", testCancelledTake},
		{"Schemas", testSchemas},
		{"Wakes", testWakes},
		{"Dispatch", testDispatch},
		{"LostWake", testLostWake},
		{"DeadDispatcher", testDeadDispatcher},
		{"DispatchStops", testDispatchStops},
		{"DispatchRestart", testDispatchRestart}, // these stop the server
		{"Restart", testRestart},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, c) })
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func closing(t *testing.T, s *Store) *Store {
	t.Helper()
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

func take(t *testing.T, s *Store, key string) *state.Claim {
	t.Helper()
	c, err := s.Take(t.Context())
	check(t, err)
	if c == nil && key != "" || c != nil && c.Key != key {
		t.Fatalf("took %+v, want %q", c, key)
	}
	return c
}

// Many processes start on an empty database at the same moment.
func testOpenTogether(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(context.Background(), dsn, Options{MaxConns: 1})
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func testNewer(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	s := openAt(t, dsn)
	_, err := s.session.db.ExecContext(t.Context(), "INSERT INTO "+sqlstore.VersionTable+" (version_id, is_applied) VALUES (9999, true)")
	check(t, err)
	check(t, s.Close())
	if _, err := Open(t.Context(), dsn, Options{}); !errors.Is(err, state.ErrNewer) {
		t.Errorf("%v, want ErrNewer", err)
	}
}

// Two processes take from one queue: no key twice at once, none left over.
func testTwoProcesses(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	stores := []*Store{closing(t, openAt(t, dsn)), closing(t, openAt(t, dsn))}
	const keys = 30
	for i := range keys {
		check(t, stores[0].Ask(ctx, state.Ask{Key: fmt.Sprint("k", i)}))
	}
	var mu sync.Mutex
	running, ended := map[string]bool{}, 0
	note := func(key string, runs bool) bool {
		mu.Lock()
		defer mu.Unlock()
		was := running[key]
		running[key] = runs
		if !runs {
			ended++
		}
		return was
	}
	left := func() bool { mu.Lock(); defer mu.Unlock(); return ended < keys }
	var wg sync.WaitGroup
	for i := range 6 {
		s := stores[i%2]
		wg.Go(func() {
			for left() && !t.Failed() {
				claim, err := s.Take(ctx)
				if err == nil && claim == nil {
					continue
				}
				if err == nil && note(claim.Key, true) {
					err = fmt.Errorf("%s is held twice", claim.Key)
				}
				if err == nil {
					note(claim.Key, false)
					err = s.Done(ctx, claim, nil, 0)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	take(t, stores[0], "")
}

// breakSession ends the session that holds the claims of s, as its death would.
func breakSession(t *testing.T, s *Store) {
	t.Helper()
	var pid int
	check(t, s.session.use(func(c *sql.Conn) error { return c.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid) }))
	_, err := s.session.db.ExecContext(t.Context(), "SELECT pg_terminate_backend($1, 10000)", pid)
	check(t, err)
}

func testDeadProcess(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	dead, alive := openAt(t, dsn), closing(t, openAt(t, dsn))
	check(t, dead.Ask(ctx, state.Ask{Key: "k", Hints: []string{"a"}, Priority: 3}))
	take(t, dead, "k")
	take(t, alive, "")
	check(t, alive.Ask(ctx, state.Ask{Key: "k", Hints: []string{"b"}}))
	breakSession(t, dead)
	check(t, dead.session.db.Close())

	claim := take(t, alive, "k")
	if strings.Join(claim.Hints, " ") != "a b" || claim.Attempt != 0 {
		t.Errorf("claim %+v", claim)
	}
	check(t, alive.Done(ctx, claim, nil, 0))
	take(t, alive, "")
}

// A process whose session broke lives on: its old claims are void, and what another
// runs meanwhile is left alone.
func testLostSession(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	old, other := openAt(t, dsn), closing(t, openAt(t, dsn))
	check(t, old.Ask(ctx, state.Ask{Key: "k"}))
	void := take(t, old, "k")
	breakSession(t, old)
	claim := take(t, other, "k")
	if err := old.Done(ctx, void, nil, 0); err == nil {
		t.Error("the result of a void claim was taken")
	}
	lost(t, void)
	take(t, old, "")
	check(t, old.Close())
	take(t, other, "")
	check(t, other.Done(ctx, claim, nil, 0))

	t.Run("who only runs is told, too", func(t *testing.T) {
		old := closing(t, openAt(t, dsn))
		check(t, old.Ask(ctx, state.Ask{Key: "k"}))
		void := take(t, old, "k")
		check(t, old.Holding(ctx))
		breakSession(t, old)
		check(t, old.Holding(ctx))
		lost(t, void)
		claim := take(t, other, "k")
		check(t, other.Done(ctx, claim, nil, 0))
	})
	t.Run("who asks nothing is told at once", func(t *testing.T) {
		old := closing(t, openAt(t, dsn))
		check(t, old.Ask(ctx, state.Ask{Key: "k"}))
		void := take(t, old, "k")
		breakSession(t, old)
		<-old.Broke() // by itself
		check(t, old.Holding(ctx))
		lost(t, void)
		claim := take(t, other, "k")
		check(t, other.Done(ctx, claim, nil, 0))
	})
	t.Run("closing does not give back what another runs", func(t *testing.T) {
		old := openAt(t, dsn)
		check(t, old.Ask(ctx, state.Ask{Key: "k"}))
		take(t, old, "k")
		breakSession(t, old)
		claim := take(t, other, "k")
		check(t, old.Close())
		take(t, other, "")
		check(t, other.Done(ctx, claim, nil, 0))
	})
}

// lost wants the claim to say that it was lost.
func lost(t *testing.T, c *state.Claim) {
	t.Helper()
	select {
	case <-c.Lost:
	default:
		t.Error("the claim does not say that it was lost")
	}
}

// A process that lives and asks nothing, as one that is frozen, loses what it holds
// to the others; one that makes sure of it now and then does not.
func testFrozen(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	alive, frozen, other := closing(t, openAt(t, dsn)), closing(t, openAt(t, dsn)), closing(t, openAt(t, dsn))
	check(t, alive.Ask(ctx, state.Ask{Key: "a"}, state.Ask{Key: "f", Priority: -1}))
	kept, gone := take(t, alive, "a"), take(t, frozen, "f")
	other.session.after = time.Second
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var claim *state.Claim
	for claim == nil {
		<-tick.C
		check(t, alive.Holding(ctx))
		other.session.swept = time.Time{}
		claim = anything(t, other)
	}
	if claim.Key != "f" {
		t.Fatalf("took %s from a process that asks", claim.Key)
	}
	check(t, frozen.Holding(ctx))
	lost(t, gone)
	if err := frozen.Done(ctx, gone, nil, 0); !errors.Is(err, state.ErrLost) {
		t.Errorf("the result of a process that was frozen: %v", err)
	}
	check(t, other.Done(ctx, claim, nil, 0))
	check(t, alive.Done(ctx, kept, nil, 0))
}

// anything is the next claim, whatever it is.
func anything(t *testing.T, s *Store) *state.Claim {
	t.Helper()
	c, err := s.Take(t.Context())
	check(t, err)
	return c
}

// A store that closes gives back what it runs: others see it at once.
func testClose(t *testing.T, c *pgtest.Cluster) {
	dsn := c.Database(t)
	one, other := openAt(t, dsn), closing(t, openAt(t, dsn))
	check(t, one.Ask(t.Context(), state.Ask{Key: "k"}))
	take(t, one, "k")
	check(t, one.Close())
	queue, err := other.Queue(t.Context())
	check(t, err)
	if len(queue) != 1 || queue[0].Running {
		t.Errorf("queue %+v", queue)
	}
}

// A Take that is called off takes no claim of the process with it.
func testCancelledTake(t *testing.T, c *pgtest.Cluster) {
	s := closing(t, openAt(t, c.Database(t)))
	check(t, s.Ask(t.Context(), state.Ask{Key: "k"}))
	claim := take(t, s, "k")
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		check(t, s.Ask(t.Context(), state.Ask{Key: "other"}))
		other, _ := s.Take(ctx) // called off somewhere
		cancel()
		if other == nil {
			other = take(t, s, "other")
		}
		check(t, s.Done(t.Context(), other, nil, 0))
	}
	take(t, s, "")
	check(t, s.Done(t.Context(), claim, nil, 0))
}

// Two schemas of one database know nothing of each other.
func testSchemas(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	first := closing(t, openAt(t, dsn))
	_, err := first.session.db.ExecContext(ctx, "CREATE SCHEMA other")
	check(t, err)
	second := closing(t, openAt(t, dsn+" search_path=other"))
	for _, s := range []*Store{first, second} {
		check(t, s.Ask(ctx, state.Ask{Key: "k"}))
	}
	take(t, first, "k")
	take(t, second, "k")
	if _, err := Open(ctx, dsn+" search_path=nowhere", Options{}); err == nil || !strings.Contains(err.Error(), "search_path") {
		t.Errorf("a schema that is not there: %v", err)
	}
}

// The server restarts under a store that goes on.
func testRestart(t *testing.T, c *pgtest.Cluster) {
	ctx, dsn := t.Context(), c.Database(t)
	s := closing(t, openAt(t, dsn))
	check(t, s.Ask(ctx, state.Ask{Key: "k"}))
	void := take(t, s, "k")
	c.Down(t)
	if _, err := s.Queue(ctx); err == nil {
		t.Error("the server is down, and the queue was read")
	}
	c.Up(t)
	var claim *state.Claim
	for range 10 { // the first calls may meet connections that broke
		var err error
		if claim, err = s.Take(ctx); err == nil {
			break
		}
	}
	if claim == nil || claim == void {
		t.Fatalf("took %+v", claim)
	}
	if err := s.Done(ctx, void, nil, 0); err == nil {
		t.Error("the result of a void claim was taken")
	}
	take(t, closing(t, openAt(t, dsn)), "") // what is void frees nothing
	check(t, s.Done(ctx, claim, nil, 0))
}

func TestAddress(t *testing.T) {
	const secret = "s3cr3t"
	for _, dsn := range []string{
		"postgres://user:" + secret + "%@127.0.0.1/db",
		"postgres://user:" + secret + "@127.0.0.1:port/db",
		"host=127.0.0.1 port=x password=" + secret,
		"host=127.0.0.1 password='" + secret,
		secret,
		"postgres://user:" + secret + "@127.0.0.1:1/db?sslmode=disable",
		"host=127.0.0.1 port=1 user=u dbname=d sslmode=disable password=" + secret,
	} {
		_, err := Open(t.Context(), dsn, Options{})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
}
