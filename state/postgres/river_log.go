package postgres

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// saidAgain is how long a trouble of River's is not told again, and saidMost how many
// are kept in mind.
const (
	saidAgain = 10 * time.Minute
	saidMost  = 100
)

// riverLog is a log for River. It mends itself, and whether state answers is told by
// whoever asks it: so its errors are warnings, each told once in a while, and all
// else is for those who look for a fault.
func riverLog(to *slog.Logger) *slog.Logger {
	if to == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(quiet{to.Handler(), &said{at: map[string]time.Time{}}})
}

type quiet struct {
	next slog.Handler
	said *said
}

// said is when each message was told last.
type said struct {
	mu sync.Mutex
	at map[string]time.Time
}

// lately notes that a message comes at a time and reports whether it was told before,
// not long ago.
func (s *said) lately(message string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.at[message]; ok && now.Sub(last) < saidAgain {
		return true
	}
	if len(s.at) >= saidMost {
		clear(s.at)
	}
	s.at[message] = now
	return false
}

func lowered(l slog.Level) slog.Level {
	if l >= slog.LevelWarn {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return q.next.Enabled(ctx, lowered(l))
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	if r.Level = lowered(r.Level); r.Level == slog.LevelWarn && q.said.lately(r.Message, r.Time) {
		r.Level = slog.LevelDebug
	}
	if !q.next.Enabled(ctx, r.Level) {
		return nil
	}
	r.Message = "River: " + r.Message
	return q.next.Handle(ctx, r)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.next.WithAttrs(a), q.said} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.next.WithGroup(name), q.said} }
