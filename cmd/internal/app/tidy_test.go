package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A diary notes what a tidier asks of state.
type diary struct {
	pruned  []time.Time
	settled int
}

func (d *diary) Prune(_ context.Context, before time.Time) (int64, error) {
	d.pruned = append(d.pruned, before)
	return 1, nil
}

func (d *diary) Settle(context.Context) (int, error) {
	d.settled++
	return 0, nil
}

// A clock that jumps years ahead deletes no history until it has been steady for an
// hour, and one that comes back before that has deleted nothing.
func TestTidierClock(t *testing.T) {
	var d diary
	var said bytes.Buffer
	start := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	passed, set := time.Duration(0), time.Duration(0)
	tidy := newTidier(&d, 24*time.Hour, slog.New(slog.NewTextHandler(&said, nil)))
	tidy.wall = start
	tidy.now = func() time.Time { return start.Add(passed + set) }
	tidy.passed = func() time.Duration { return passed }
	after := func(d time.Duration) {
		for end := passed + d; passed < end; passed += settleEvery {
			tidy.look(t.Context())
		}
	}
	after(pruneFirst)
	if len(d.pruned) != 0 {
		t.Errorf("pruned at once: a clock may be set after the start")
	}
	after(2 * time.Minute)
	if len(d.pruned) != 1 || !d.pruned[0].Equal(start.Add(pruneFirst-24*time.Hour)) {
		t.Errorf("pruned %v after seven minutes", d.pruned)
	}
	set = 3 * 365 * 24 * time.Hour
	after(59 * time.Minute)
	set = 0
	after(59 * time.Minute)
	if len(d.pruned) != 1 {
		t.Errorf("pruned by a clock that was wrong: %v", d.pruned)
	}
	if n := strings.Count(said.String(), "the clock was set"); n != 2 {
		t.Errorf("said %d times that the clock was set, want 2:\n%s", n, said.String())
	}
	after(2 * time.Minute)
	if len(d.pruned) != 2 {
		t.Errorf("pruned %d times once it was steady, want 2", len(d.pruned))
	}
	if want := int(passed / settleEvery); d.settled != want {
		t.Errorf("settled %d times, want %d", d.settled, want)
	}
}
