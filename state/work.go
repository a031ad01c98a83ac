package state

import (
	"context"
	"time"
)

// Work is what is to be done: one row per job key, level-triggered. Asking says
// "look at this"; asking twice is harmless, and asking during a run makes it run
// once more. Times come from the store's own clock.
type Work interface {
	// Ask makes keys due. Hints of several asks are joined; more than MaxHints
	// become none, which means the whole job. The highest priority and the
	// earliest NotBefore win.
	Ask(ctx context.Context, asks ...Ask) error
	// Take claims the next due key for this process: highest priority first, then
	// the one that has waited longest. It returns nil when nothing is due. A key
	// is held by at most one claim anywhere, which ends with Done, Release, Close
	// or the death of the process.
	Take(ctx context.Context) (*Claim, error)
	// Done ends a claim. A nil failure sets done to what was wanted when it was
	// taken; otherwise the key is due again after retryIn with its attempt counted.
	// If more was wanted meanwhile it is due at once.
	Done(ctx context.Context, c *Claim, failure error, retryIn time.Duration) error
	// Release gives a claim back as it was, without a lost attempt.
	Release(ctx context.Context, c *Claim) error
	// Queue lists the rows that are wanted or running, by priority, then key.
	Queue(ctx context.Context) ([]Row, error)
	// Cancel makes a key not wanted; a run of it that is under way goes on. It
	// reports whether there was something to cancel.
	Cancel(ctx context.Context, key string) (bool, error)
}

// MaxHints is how many hinted tags an asked job keeps.
const MaxHints = 100

// An Ask wants one job key looked at.
type Ask struct {
	Key       string        // "expand/RULE" or "run/GROUP"
	Hints     []string      // tags to look at; none is all of them
	Priority  int           // higher first
	NotBefore time.Duration // from now
}

// A Claim is the right to run a key.
type Claim struct {
	Key     string
	Hints   []string
	Wanted  int64 // the number that Done will set
	Attempt int   // 0 for a first try, counted since the last success
	Asked   time.Time
}

// A Row is a work row as people see it.
type Row struct {
	Key       string    `json:"key"`
	Hints     []string  `json:"hints,omitempty"`
	Priority  int       `json:"priority"`
	NotBefore time.Time `json:"notBefore"`
	Wanted    int64     `json:"wanted"`
	Done      int64     `json:"done"`
	Attempt   int       `json:"attempt"`
	Running   bool      `json:"running"`
	Error     string    `json:"error,omitempty"` // of the last run
}
