package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/state"
)

// A memory is what state keeps of rules, without a database: sockets and files stay
// out of a bubble. That a store does the same is the suite's to say.
type memory struct {
	mu    sync.Mutex
	rules map[string]state.RuleTime
	asks  []string
	fail  error
}

func newMemory() *memory { return &memory{rules: map[string]state.RuleTime{}} }

func (m *memory) Rules(context.Context) (map[string]state.RuleTime, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]state.RuleTime{}
	for name, r := range m.rules {
		all[name] = r
	}
	return all, m.fail
}

func (m *memory) Tick(_ context.Context, rule string, at time.Time, asks ...state.Ask) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rules[rule]
	if m.fail != nil || !at.After(r.Ticked) && !r.Ticked.After(time.Now().Add(time.Minute)) {
		return false, m.fail
	}
	r.Ticked = at
	m.rules[rule] = r
	for _, a := range asks {
		text := fmt.Sprintf("%s %s %s", time.Now().UTC().Format("15:04:05"), a.Key, a.Cause)
		if a.NotBefore > 0 {
			text += " in " + a.NotBefore.String()
		}
		m.asks = append(m.asks, text)
	}
	return true, nil
}

func (m *memory) set(rule string, r state.RuleTime) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rules[rule] = r
}

// take returns what was asked since the last time.
func (m *memory) take() string {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	text := strings.Join(m.asks, "; ")
	m.asks = nil
	return text
}

func expand(r policy.Rule, overdue bool) state.Ask {
	if overdue {
		return state.Ask{Key: r.Name + "!"}
	}
	return state.Ask{Key: r.Name}
}

// start runs a schedule over m until the test ends. It is midnight, 2000-01-01.
func start(t *testing.T, m *memory, rules ...policy.Rule) *Schedule {
	s := New(Options{Memory: m, Ask: expand})
	s.Set(rules)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run ended with %v", err)
		}
	})
	return s
}

// sleep lets time pass, and returns what was asked.
func (m *memory) sleep(d time.Duration) string {
	time.Sleep(d) // in a bubble, whose clock this moves
	return m.take()
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s\n got %q\nwant %q", what, got, want)
	}
}

func ago(d time.Duration) state.RuleTime { return state.RuleTime{Ticked: time.Now().Add(-d)} }

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set("old", ago(26*time.Hour))
		m.set("older", ago(100*time.Hour))
		m.set("fresh", ago(0))
		s := start(t, m,
			policy.Rule{Name: "fresh", Schedule: "*/10 * * * *"},
			policy.Rule{Name: "old", Schedule: "30 12 * * *"},
			policy.Rule{Name: "older", Schedule: "@every 24h"},
			policy.Rule{Name: "hand"},
			policy.Rule{Name: "off", Schedule: "* * * * *", Paused: true})
		want(t, "at the start: what was missed, once, the oldest first", m.take(), "00:00:00 older! schedule; 00:00:00 old! schedule")
		want(t, "before it is time", m.sleep(9*time.Minute+59*time.Second), "")
		want(t, "in time", m.sleep(time.Second), "00:10:00 fresh schedule")
		want(t, "again", m.sleep(10*time.Minute), "00:20:00 fresh schedule")

		s.Set([]policy.Rule{{Name: "fresh", Schedule: "25 * * * *"}, {Name: "new", Schedule: "@daily"}})
		want(t, "a rule that never ran", m.take(), "00:20:00 new! schedule")
		want(t, "by its new schedule", m.sleep(time.Hour), "00:25:00 fresh schedule")
	})
}

// TestPause holds that a rule that stands still asks for nothing, and catches up
// once, soon after another process has resumed it.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set("a", ago(0))
		s := start(t, m, policy.Rule{Name: "a", Schedule: "*/10 * * * *"})
		m.set("a", state.RuleTime{Ticked: time.Now(), Paused: true})
		s.Look()
		want(t, "paused", m.sleep(35*time.Minute), "")
		m.set("a", state.RuleTime{Ticked: time.Now().Add(-35 * time.Minute)})
		want(t, "resumed elsewhere", m.sleep(most), "00:35:30 a! schedule")
		want(t, "as before", m.sleep(5*time.Minute), "00:40:00 a schedule")
	})
}

// TestTwoProcesses holds that a time is asked for once.
func TestTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set("a", ago(0))
		rule := policy.Rule{Name: "a", Schedule: "@every 1m"}
		start(t, m, rule)
		start(t, m, rule)
		want(t, "asked", m.sleep(3*time.Minute), "00:01:00 a schedule; 00:02:00 a schedule; 00:03:00 a schedule")
	})
}

// TestClock holds that a clock that jumps moves nothing but one run.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, shift := newMemory(), time.Duration(0)
		m.set("a", ago(0))
		s := New(Options{Memory: m, Ask: expand, Now: func() time.Time { return time.Now().Add(shift) }})
		s.Set([]policy.Rule{{Name: "a", Schedule: "*/10 * * * *"}})
		look := func() string {
			if _, err := s.tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			return m.take()
		}
		want(t, "in step", look(), "")
		shift = 25 * time.Hour
		want(t, "a day ahead", look(), "00:00:00 a! schedule")
		want(t, "once", look(), "")
		shift = 0
		want(t, "back, between two times", m.sleep(time.Minute)+look(), "")
		time.Sleep(9*time.Minute + time.Second)
		want(t, "at the next time", look(), "00:10:01 a schedule")
		want(t, "as before", look(), "")
	})
}

func TestWait(t *testing.T) {
	noon := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	night := policy.Rule{Name: "night", Windows: []string{"22:00-06:00"}}
	want(t, "until the window opens", Wait(night, noon).String(), "10h0m0s")
	want(t, "in the window", Wait(night, noon.Add(11*time.Hour)).String(), "0s")
	late := policy.Rule{Name: "late", Jitter: policy.Duration(time.Hour)}
	first := Wait(late, noon)
	if first <= 0 || first >= time.Hour || Wait(late, noon.Add(time.Minute)) != first {
		t.Errorf("jitter of an hour is %s, then %s", first, Wait(late, noon.Add(time.Minute)))
	}
	var all []time.Duration
	for i := range 10 {
		late.Name = fmt.Sprint("late", i)
		all = append(all, Wait(late, noon))
	}
	if slices.Sort(all); all[0] > 30*time.Minute || all[9] < 30*time.Minute {
		t.Errorf("ten rules wait %s", all)
	}
	late.Windows = []string{"22:00-12:30"}
	if w := Wait(policy.Rule{Name: late.Name, Jitter: late.Jitter, Windows: []string{"12:00-12:01"}}, noon); w != 24*time.Hour && w > time.Minute {
		t.Errorf("a run that its jitter puts behind the window waits %s", w)
	}
}

// TestStateFails holds that it is said once, and nothing is lost.
func TestStateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set("a", ago(0))
		m.fail = errors.New("no database")
		var log bytes.Buffer
		s := New(Options{Memory: m, Ask: expand, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s.Set([]policy.Rule{{Name: "a", Schedule: "* * * * *"}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		want(t, "nothing", m.sleep(10*time.Minute), "")
		m.mu.Lock()
		m.fail = nil
		m.mu.Unlock()
		want(t, "once it is back", m.sleep(patience), "00:10:05 a! schedule")
		cancel()
		<-done
		if n := strings.Count(log.String(), "no database"); n != 1 || !strings.Contains(log.String(), "kept again") {
			t.Errorf("said %d times:\n%s", n, log.String())
		}
	})
}

// TestZone holds that a schedule without a time zone goes by the clock on the wall,
// whatever zone state tells its times in.
func TestZone(t *testing.T) {
	zone := time.FixedZone("two hours east", 2*60*60)
	now := time.Date(2026, 3, 10, 8, 30, 0, 0, zone)
	known := state.RuleTime{Ticked: time.Date(2026, 3, 9, 9, 0, 0, 0, zone).UTC()}
	rule := policy.Rule{Name: "daily", Schedule: "0 9 * * *"}
	for _, tt := range []struct{ now, want time.Time }{
		{now, now.Add(30 * time.Minute)},
		{now.Add(time.Hour), now.Add(30 * time.Minute)},
		{now.Add(72 * time.Hour), now.Add(48*time.Hour + 30*time.Minute)},
	} {
		if d, ok := dueAt(rule, known, tt.now); !ok || !d.at.Equal(tt.want) {
			t.Errorf("at %s it is due at %s, want %s", tt.now, d.at, tt.want)
		}
	}
}
