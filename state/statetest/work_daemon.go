package statetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/state"
)

// numbered asks for n keys, in steps of the queue.
func numbered(prefix string, n int, step int64) (asks []state.Ask) {
	for i := range n {
		asks = append(asks, state.Ask{Key: fmt.Sprint(prefix, i), Turn: int64(i) * step})
	}
	return asks
}

// order runs what is due and returns the keys in the order taken, at most n.
func order(t *testing.T, s state.Store, n int) string {
	t.Helper()
	var keys []string
	for range n {
		c := must(s.Take(t.Context()))(t)
		if c == nil {
			break
		}
		keys = append(keys, c.Key)
		check(t, s.Done(t.Context(), c, nil, 0))
	}
	return strings.Join(keys, " ")
}

// Those who ask for much take turns with those who ask for little, however late
// these come, and by their weights.
func testTurns(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.Ask(ctx, numbered("a", 6, state.TurnStep)...))
	equal(t, "alone", order(t, s, 2), "a0 a1")
	check(t, s.Ask(ctx, numbered("b", 3, state.TurnStep/2)...))
	equal(t, "beside one of twice the weight", order(t, s, 9), "a2 b0 b1 a3 b2 a4 a5")

	check(t, s.Ask(ctx, numbered("c", 2, state.TurnStep)...))
	check(t, s.Ask(ctx, state.Ask{Key: "c1"}))
	check(t, s.Ask(ctx, state.Ask{Key: "d", Priority: 1, Turn: 1 << 40}))
	equal(t, "the first turn, and before it the highest priority", order(t, s, 9), "d c0 c1")

	check(t, s.Ask(ctx, state.Ask{Key: "late", NotBefore: time.Hour}))
	check(t, s.Ask(ctx, state.Ask{Key: "x", Turn: 5 * state.TurnStep}))
	check(t, s.Ask(ctx, state.Ask{Key: "y"}))
	equal(t, "what is not due holds nobody's place", order(t, s, 9), "x y")
}

func testCauseAndDetail(t *testing.T, s state.Store) {
	ctx := t.Context()
	check(t, s.Ask(ctx, state.Ask{Key: "k", Cause: "schedule", Detail: `{"v":1}`}))
	check(t, s.Ask(ctx, state.Ask{Key: "k", Cause: "event"}))
	equal(t, "cause shown", row(t, s, "k").Cause, "schedule")
	check(t, s.Ask(ctx, state.Ask{Key: "k", Cause: "api", Priority: 5, Detail: `{"v":2}`}))
	c := take(t, s, "k")
	equal(t, "cause", c.Cause, "api")
	equal(t, "priority", c.Priority, 5)
	equal(t, "the last detail", c.Detail, `{"v":2}`)
	if c.Taken.Before(c.Asked) {
		t.Errorf("taken %s before it was asked for %s", c.Taken, c.Asked)
	}
	check(t, s.Done(ctx, c, nil, 0))
	check(t, s.Ask(ctx, state.Ask{Key: "k"}))
	c = take(t, s, "k")
	equal(t, "detail stays with the key", c.Detail, `{"v":2}`)
	check(t, s.Release(ctx, c))
	if err := s.Ask(ctx, state.Ask{Key: "k", Detail: strings.Repeat("x", state.MaxDetail+1)}); err == nil {
		t.Error("a detail without end was kept")
	}
}

func testNextDue(t *testing.T, s state.Store) {
	ctx := t.Context()
	signalled := func() bool {
		select {
		case <-s.Asked():
			return true
		default:
			return false
		}
	}
	equal(t, "nothing", must(s.NextDue(ctx))(t), time.Time{})
	equal(t, "no signal", signalled(), false)
	check(t, s.Ask(ctx, state.Ask{Key: "later", NotBefore: time.Hour}))
	equal(t, "signal", signalled(), true)
	equal(t, "later", must(s.NextDue(ctx))(t), row(t, s, "later").NotBefore)
	check(t, s.Ask(ctx, state.Ask{Key: "now"}))
	equal(t, "now", must(s.NextDue(ctx))(t), row(t, s, "now").NotBefore)
	c := take(t, s, "now")
	equal(t, "not what runs", must(s.NextDue(ctx))(t), row(t, s, "later").NotBefore)
	signalled()
	check(t, s.Done(ctx, c, errRun, 0))
	equal(t, "signal of a retry", signalled(), true)
}

func testTick(t *testing.T, s state.Store) {
	ctx := t.Context()
	equal(t, "unknown", must(s.Rules(ctx))(t), map[string]state.RuleTime{})
	ask := state.Ask{Key: "expand/apps", Cause: "schedule"}
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, tt := range []struct {
		name string
		at   time.Time
		won  bool
	}{
		{"first", now.Add(-time.Hour), true},
		{"the same", now.Add(-time.Hour), false},
		{"older", now.Add(-2 * time.Hour), false},
		{"newer", now, true},
	} {
		equal(t, tt.name, must(s.Tick(ctx, "apps", tt.at, ask))(t), tt.won)
		if c := must(s.Take(ctx))(t); (c != nil) != tt.won {
			t.Errorf("%s: taken %v, want a claim %v", tt.name, c, tt.won)
		} else if c != nil {
			check(t, s.Done(ctx, c, nil, 0))
		}
	}
	check(t, s.Pause(ctx, "apps", true))
	check(t, s.Pause(ctx, "base", true))
	check(t, s.Pause(ctx, "base", false))
	equal(t, "known", must(s.Rules(ctx))(t), map[string]state.RuleTime{
		"apps": {Ticked: now, Paused: true}, "base": {}})

	// A clock that was a day ahead does not stop a rule for a day.
	equal(t, "ahead", must(s.Tick(ctx, "apps", now.Add(24*time.Hour)))(t), true)
	equal(t, "back again", must(s.Tick(ctx, "apps", now.Add(time.Second)))(t), true)
	equal(t, "once", must(s.Tick(ctx, "apps", now.Add(time.Second)))(t), false)
}

// takenJob asks for key, takes it and returns the claim.
func takenJob(t *testing.T, s state.Store, key string) *state.Claim {
	t.Helper()
	check(t, s.Ask(t.Context(), state.Ask{Key: key}))
	return take(t, s, key)
}

// told ends a run of key that has come to outcome.
func told(t *testing.T, s state.Store, c *state.Claim, outcome state.Outcome, sent int64) {
	t.Helper()
	tell(t, s, c, outcome, sent)
}

// tell is told, and returns the passes that have ended by it.
func tell(t *testing.T, s state.Store, c *state.Claim, outcome state.Outcome, sent int64) []state.Pass {
	t.Helper()
	ended := must(s.EndJob(t.Context(), state.JobRun{Key: c.Key, Taken: c.Taken, Ended: at(9), Outcome: outcome, Error: "because",
		Figures: map[string]state.Figures{"apps": {BytesSent: sent}}}))(t)
	check(t, s.Done(t.Context(), c, nil, 0))
	return ended
}

func testJobPasses(t *testing.T, s state.Store) {
	ctx := t.Context()
	newest := func() state.Pass { return must(s.Passes(ctx, "apps", 1))(t)[0] }
	begin := func(keys ...string) int64 {
		return must(s.BeginJobs(ctx, state.Pass{Rule: "apps", Trigger: "schedule", Started: at(1)}, keys))(t)
	}
	id := begin("run/b", "run/a", "run/a")
	equal(t, "begun", newest(), state.Pass{ID: id, Rule: "apps", Trigger: "schedule", Started: at(1), Outcome: state.Running, Jobs: 2})
	told(t, s, takenJob(t, s, "run/other"), state.Succeeded, 1)
	equal(t, "none has ended", len(tell(t, s, takenJob(t, s, "run/a"), state.Succeeded, 10)), 0)
	told(t, s, takenJob(t, s, "run/a"), state.Succeeded, 100)
	equal(t, "half", newest(), state.Pass{ID: id, Rule: "apps", Trigger: "schedule", Started: at(1), Outcome: state.Running,
		Jobs: 2, Ran: 1, Figures: state.Figures{BytesSent: 10}})
	equal(t, "told", tell(t, s, takenJob(t, s, "run/b"), state.Partly, 20), []state.Pass{{ID: id, Rule: "apps", Trigger: "schedule",
		Started: at(1), Ended: at(9), Outcome: state.Partly, Jobs: 2, Ran: 2}})
	equal(t, "ended", newest(), state.Pass{ID: id, Rule: "apps", Trigger: "schedule", Started: at(1), Ended: at(9), Outcome: state.Partly,
		Jobs: 2, Ran: 2, Figures: state.Figures{BytesSent: 30}})

	t.Run("outcomes", func(t *testing.T) {
		for _, tt := range []struct {
			jobs []state.Outcome
			want state.Outcome
		}{
			{[]state.Outcome{state.Succeeded, state.Succeeded}, state.Succeeded},
			{[]state.Outcome{state.FailedWhole, state.FailedWhole}, state.FailedWhole},
			{[]state.Outcome{state.FailedWhole, state.Succeeded}, state.Partly},
			{[]state.Outcome{state.FailedWhole, state.Interrupted}, state.Interrupted},
		} {
			begin("run/0", "run/1")
			for i, o := range tt.jobs {
				told(t, s, takenJob(t, s, fmt.Sprint("run/", i)), o, 0)
			}
			equal(t, fmt.Sprint(tt.jobs), newest().Outcome, tt.want)
		}
		begin()
		if p := newest(); p.Outcome != state.Succeeded || p.Ended.IsZero() {
			t.Errorf("a pass of no job is %+v", p)
		}
	})
	t.Run("a pass waits for runs that began after it", func(t *testing.T) {
		c := takenJob(t, s, "run/a")
		id := begin("run/a")
		told(t, s, c, state.Succeeded, 7)
		equal(t, "still running", newest().Outcome, state.Running)
		younger := begin("run/a")
		told(t, s, takenJob(t, s, "run/a"), state.Succeeded, 5)
		both := must(s.Passes(ctx, "apps", 2))(t)
		equal(t, "figures are counted once, in the newest", []any{both[0].ID, both[0].Figures.BytesSent, both[1].ID, both[1].Figures.BytesSent},
			[]any{younger, int64(5), id, int64(0)})
		equal(t, "both ended", []state.Outcome{both[0].Outcome, both[1].Outcome}, []state.Outcome{state.Succeeded, state.Succeeded})
	})
	t.Run("a job that is cancelled ends its pass", func(t *testing.T) {
		begin("run/a")
		check(t, s.Ask(ctx, state.Ask{Key: "run/a"}))
		equal(t, "cancelled", must(s.Cancel(ctx, "run/a"))(t), true)
		equal(t, "ended", newest().Outcome, state.Interrupted)
	})
}

// A pass of jobs goes on with its jobs when the process is another one.
func testJobPassSurvives(t *testing.T, open func() state.Store) {
	ctx := t.Context()
	s := open()
	must(s.BeginJobs(ctx, state.Pass{Rule: "apps", Started: at(1)}, []string{"run/a"}))(t)
	takenJob(t, s, "run/a")
	check(t, s.Close())
	s = open()
	defer func() { check(t, s.Close()) }()
	equal(t, "open", must(s.Passes(ctx, "", 0))(t)[0].Outcome, state.Running)
	told(t, s, take(t, s, "run/a"), state.Succeeded, 3)
	equal(t, "ended", must(s.Passes(ctx, "", 0))(t)[0].Outcome, state.Succeeded)
}
