package sqlstore

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/transship/transship/state"
)

// A row is a work row as the table has it, and the rules by which it changes;
// they are pure, and the caller holds the row locked.
type row struct {
	id           int64
	key          string
	wanted, done int64
	attempt      int64
	failure      string
	wish         // of the asks that wait, or else of the last
	running      bool
	claim        int64 // number of the last claim
	taken        int64 // what was wanted when it was taken
	run          wish  // of the claim that runs
	was          int64 // dueAt as it was read
}

// never is dueAt of a row that waits for nobody.
const never = math.MaxInt64

// dueAt is when somebody may run the row, which may be past.
func (r row) dueAt() int64 {
	if r.running || !r.pending() {
		return never
	}
	return r.notBefore
}

// A wish is what asks have in common once they are joined.
type wish struct {
	hints     hints
	priority  int64
	notBefore int64 // microseconds
	asked     int64 // microseconds
	turn      int64
	cause     string
}

// pending tells whether there are asks that no run has answered or is answering.
func (r row) pending() bool {
	if r.running {
		return r.wanted > max(r.done, r.taken)
	}
	return r.wanted > r.done
}

// ask adds w.
func (r *row) ask(w wish) {
	if r.pending() {
		w = r.wish.join(w)
	}
	r.wish = w
	r.wanted++
}

// take starts a run.
func (r *row) take() {
	r.running, r.claim, r.taken, r.run = true, r.claim+1, r.wanted, r.wish
}

// succeed ends the run. What was asked meanwhile is due as it was asked.
func (r *row) succeed() {
	r.done = max(r.done, r.taken)
	r.running, r.attempt, r.failure = false, 0, ""
}

// fail ends the run; it is due again at the given time, or when something that was
// asked meanwhile is.
func (r *row) fail(reason string, again int64) {
	r.attempt++
	r.failure = reason
	r.run.notBefore = again
	r.release()
}

// release ends the run as if it had not been taken.
func (r *row) release() {
	pending, cancelled := r.pending(), r.done >= r.taken
	r.running = false
	switch {
	case cancelled: // only what was asked since counts
	case pending:
		r.wish = r.run.join(r.wish)
	default:
		r.wish = r.run
	}
}

// join is both wishes: the joined hints, the highest priority with its cause, the
// earliest time and turn.
func (w wish) join(o wish) wish {
	cause := w.cause
	if o.priority > w.priority {
		cause = o.cause
	}
	return wish{
		hints:     w.hints.join(o.hints),
		priority:  max(w.priority, o.priority),
		notBefore: min(w.notBefore, o.notBefore),
		asked:     min(w.asked, o.asked),
		turn:      min(w.turn, o.turn),
		cause:     cause,
	}
}

// hints are sorted; none of them means everything.
type hints []string

func newHints(tags []string) hints {
	h := hints(slices.Compact(slices.Sorted(slices.Values(tags))))
	if len(h) > state.MaxHints {
		return nil
	}
	return h
}

func (h hints) join(o hints) hints {
	if len(h) == 0 || len(o) == 0 {
		return nil
	}
	return newHints(slices.Concat(h, o))
}

// String is the column: a JSON list, or nothing for everything.
func (h hints) String() string {
	if len(h) == 0 {
		return ""
	}
	text, _ := json.Marshal([]string(h)) // strings always marshal
	return string(text)
}

func (h *hints) Scan(column any) error {
	*h = nil
	switch text := column.(type) {
	case string:
		if text != "" {
			return json.Unmarshal([]byte(text), h)
		}
	case []byte:
		if len(text) > 0 {
			return json.Unmarshal(text, h)
		}
	}
	return nil
}

func (r row) claimed() *state.Claim {
	return &state.Claim{Key: r.key, Hints: r.run.hints, Priority: int(r.run.priority), Cause: r.run.cause,
		Wanted: r.taken, Attempt: int(r.attempt), Asked: at(r.run.asked)}
}

func (r row) shown() state.Row {
	return state.Row{
		Key: r.key, Hints: r.hints, Priority: int(r.priority), Cause: r.cause, Asked: at(r.asked), NotBefore: at(r.notBefore),
		Wanted: r.wanted, Done: r.done, Attempt: int(r.attempt), Running: r.running, Error: r.failure,
	}
}

// wishOf is what a wants, when the row that is next has the given turn.
func wishOf(a state.Ask, now time.Time, turn int64) wish {
	return wish{newHints(a.Hints), int64(a.Priority), micros(now.Add(max(0, a.NotBefore))), micros(now), turn + max(0, a.Turn), a.Cause}
}
