package policy

import (
	"testing"
	"time"
)

// TestLatest reads: of this schedule, after that time, the last one due by now.
func TestLatest(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 30, 0, time.UTC)
	for _, tt := range []struct {
		schedule string
		after    time.Duration // before now
		want     time.Duration // before now; -1 is none
	}{
		{"*/5 * * * *", 10 * time.Second, -1},
		{"*/5 * * * *", time.Minute, 30 * time.Second},
		{"*/5 * * * *", 2 * time.Hour, 30 * time.Second},
		{"*/5 * * * *", 10 * 365 * day, 30 * time.Second},
		{"0 3 * * *", 400 * day, 9*time.Hour + 30*time.Second},
		{"0 3 10 2 *", 400 * day, 28*day + 9*time.Hour + 30*time.Second},
		{"0 3 10 2 *", day, -1},
		{"@every 10m", 9 * time.Minute, -1},
		{"@every 10m", 25 * time.Minute, 5 * time.Minute},
		{"@every 10m", 10 * 365 * day, 0},
		{"", time.Hour, -1},
		{"*/5 * * * *", -time.Hour, -1}, // the clock was set back
	} {
		got := Rule{Schedule: tt.schedule}.Latest(now.Add(-tt.after), now)
		want := now.Add(-tt.want)
		if tt.want < 0 {
			want = time.Time{}
		}
		if !got.Equal(want) {
			t.Errorf("%q, after %s: %s, want %s", tt.schedule, now.Add(-tt.after), got, want)
		}
	}
	if got := (Rule{Schedule: "@hourly", Paused: true}).Latest(now.Add(-day), now); !got.IsZero() {
		t.Errorf("a paused rule was due %s", got)
	}
}
