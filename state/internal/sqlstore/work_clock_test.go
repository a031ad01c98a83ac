package sqlstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// A clock that was years ahead for a while, and came back, keeps nothing waiting: what
// was asked for, put off or failed then is due as it was meant, and the pass that was
// begun then comes to its end.
func TestClockBack(t *testing.T) {
	ctx := t.Context()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	s.Clock(func() time.Time { return now })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	take := func(want string) *state.Claim {
		t.Helper()
		c, err := s.Take(ctx)
		must(err)
		switch {
		case c == nil && want != "":
			t.Fatalf("nothing is due, want %s", want)
		case c != nil && c.Key != want:
			t.Fatalf("%s is due, want %q", c.Key, want)
		}
		return c
	}
	must(s.Ask(ctx, state.Ask{Key: "before", NotBefore: 2 * time.Hour}, state.Ask{Key: "fails", Priority: 2}))
	now = now.AddDate(3, 0, 0)
	fails := take("fails")
	must(s.Done(ctx, fails, errors.New("no network"), 30*time.Minute))
	must(s.Done(ctx, take("before"), nil, 0))
	_, err = s.BeginJobs(ctx, state.Pass{Rule: "all", Started: now}, []string{"now"})
	must(err)
	must(s.Ask(ctx, state.Ask{Key: "now", Priority: 1}, state.Ask{Key: "window", NotBefore: 8 * time.Hour}))

	now = now.AddDate(-3, 0, 0)
	take("") // all of it waits for three years
	if n, err := s.Settle(ctx); n != 3 || err != nil {
		t.Fatalf("%d keys brought back, %v, want 3", n, err)
	}
	must(s.Done(ctx, take("fails"), nil, 0))
	c := take("now")
	_, err = s.EndJob(ctx, state.JobRun{Key: c.Key, Taken: c.Taken, Ended: now, Outcome: state.Succeeded})
	must(err)
	must(s.Done(ctx, c, nil, 0))
	passes, err := s.Passes(ctx, "all", 1)
	must(err)
	if passes[0].Outcome != state.Succeeded {
		t.Errorf("the pass is %s, want %s", passes[0].Outcome, state.Succeeded)
	}
	now = now.Add(8*time.Hour - time.Second)
	take("")
	now = now.Add(time.Second)
	take("window")
}

// What waits as it was meant to is left alone.
func TestClockSteady(t *testing.T) {
	ctx := t.Context()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ask(ctx, state.Ask{Key: "fails"}, state.Ask{Key: "window", NotBefore: 100 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Take(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Done(ctx, c, errors.New("no network"), 365*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	due, err := s.NextDue(ctx)
	if wait := time.Until(due); err != nil || wait > state.MaxRetry || wait < state.MaxRetry-time.Minute {
		t.Errorf("tried again in %s, %v, want %s", wait, err, state.MaxRetry)
	}
	if n, err := s.Settle(ctx); n != 0 || err != nil {
		t.Errorf("%d keys brought back, %v", n, err)
	}
}

// A queue of any length is listed to a bound, what goes first first.
func TestLongQueue(t *testing.T) {
	ctx := t.Context()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	asks := []state.Ask{{Key: "z", Priority: 1}}
	for i := range state.MaxQueue {
		asks = append(asks, state.Ask{Key: fmt.Sprintf("a%05d", i)})
	}
	if err := s.Ask(ctx, asks...); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Queue(ctx)
	if err != nil || len(rows) != state.MaxQueue || rows[0].Key != "z" {
		t.Errorf("%d rows, %v, the first of them %v", len(rows), err, rows[:min(1, len(rows))])
	}
}
