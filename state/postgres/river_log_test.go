package postgres

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// What River says of its own troubles is a warning, told once in a while, and the
// rest is for those who look for a fault.
func TestRiverLog(t *testing.T) {
	var told bytes.Buffer
	at := slog.LevelInfo
	log := riverLog(slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: &at})))
	say := func(l slog.Level, message string, when time.Duration) string {
		told.Reset()
		if log.Enabled(t.Context(), l) {
			r := slog.NewRecord(time.Unix(0, 0).Add(when), l, message, 0)
			_ = log.With("queue", "q").Handler().Handle(context.Background(), r)
		}
		_, text, _ := strings.Cut(told.String(), "level=")
		return strings.TrimSpace(text)
	}
	for _, tt := range []struct {
		level   slog.Level
		message string
		when    time.Duration
		want    string
	}{
		{slog.LevelInfo, "started", 0, ""},
		{slog.LevelError, "broken", 0, `WARN msg="River: broken" queue=q`},
		{slog.LevelError, "broken", time.Minute, ""},
		{slog.LevelWarn, "other", time.Minute, `WARN msg="River: other" queue=q`},
		{slog.LevelError, "broken", saidAgain, `WARN msg="River: broken" queue=q`},
	} {
		if got := say(tt.level, tt.message, tt.when); got != tt.want {
			t.Errorf("%s %q at %s: told %q, want %q", tt.level, tt.message, tt.when, got, tt.want)
		}
	}
	at = slog.LevelDebug
	if got := say(slog.LevelInfo, "started", 0); got != `DEBUG msg="River: started" queue=q` {
		t.Errorf("told %q where faults are looked for", got)
	}
	for i := range 3 * saidMost {
		say(slog.LevelWarn, strings.Repeat("x", i), 0)
	}
	if q, ok := log.Handler().(quiet); !ok || len(q.said.at) > saidMost {
		t.Errorf("%d messages are kept in mind", len(q.said.at))
	}
}
