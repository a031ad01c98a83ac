package transfer

import (
	"context"
	"time"

	"github.com/transship/transship/providers"
)

// A lesson is what trying has told of a capability, and when state was told.
type lesson struct {
	yes bool
	at  time.Time
}

// tellAgain is how long a lesson is not told again: much shorter than it is
// believed, so that what is still so is not forgotten while the process lives.
const tellAgain = 24 * time.Hour

// tell records what trying has told of a capability, once a day for each answer.
func (h *host) tell(ctx context.Context, t *Transfer, capability string, yes bool) {
	now := t.opts.Now()
	h.mu.Lock()
	was, told := h.told[capability]
	news := !told || was.yes != yes || now.Sub(was.at) >= tellAgain
	if news {
		h.told[capability] = lesson{yes, now}
	}
	h.mu.Unlock()
	if news {
		t.warn("learn "+capability, t.opts.State.Learn(ctx, h.name, capability, yes, now))
	}
}

// lesson returns what this process has learned of a capability, if it has and
// that still counts.
func (h *host) lesson(capability string, now time.Time) (yes, told bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, told := h.told[capability]
	return l.yes, told && now.Sub(l.at) < learnedFor
}

// unlisting reports whether the host has shown that it lists no referrers.
func (h *host) unlisting(now time.Time) bool {
	lists, told := h.lesson(providers.CapReferrers, now)
	return told && !lists
}
