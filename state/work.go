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
	// become none, which means the whole job. The highest priority, the earliest
	// NotBefore and the first turn win, and the last Detail.
	Ask(ctx context.Context, asks ...Ask) error
	// Take claims the next due key for this process: highest priority first, then
	// the one whose turn it is, then the one that has waited longest. It returns nil
	// when nothing is due. A key
	// is held by at most one claim anywhere, which ends with Done, Release, Close
	// or the death of the process.
	Take(ctx context.Context) (*Claim, error)
	// Done ends a claim. A nil failure sets done to what was wanted when it was
	// taken; otherwise the key is due again after retryIn, at most MaxRetry, with its
	// attempt counted.
	// If more was wanted meanwhile it is due at once.
	Done(ctx context.Context, c *Claim, failure error, retryIn time.Duration) error
	// Release gives a claim back as it was, without a lost attempt.
	Release(ctx context.Context, c *Claim) error
	// Holding looks whether the claims of this process are still its own. Those that
	// are not have their Lost closed. It is to be called every few seconds: a process
	// that does not for a minute is taken for dead.
	Holding(ctx context.Context) error
	// Broke is signalled when the claims of this process may have been lost while it
	// asked nothing: call Holding. May be nil.
	Broke() <-chan struct{}
	// Settle brings times back that lie further ahead of the store's clock than was
	// asked for: that clock was ahead of the time when they were noted, and what waits
	// for them would wait as long. It is to be called every minute or so, and returns
	// how many keys it brought back.
	Settle(ctx context.Context) (int, error)
	// Queue lists the rows that are wanted or running, by priority, then key, at most
	// [MaxQueue] of them.
	Queue(ctx context.Context) ([]Row, error)
	// Depth counts the rows that Queue lists; due is what this process's clock says.
	Depth(ctx context.Context) (Depth, error)
	// Cancel makes a key not wanted; a run of it that is under way goes on. It
	// reports whether there was something to cancel.
	Cancel(ctx context.Context, key string) (bool, error)
	// NextDue returns when the next key is due, which may be past; zero if none is
	// wanted that does not run.
	NextDue(ctx context.Context) (time.Time, error)
	// Asked is signalled when this process may find something due that was not due
	// before, by itself: others' asks are seen by looking. One signal may stand for
	// many.
	Asked() <-chan struct{}
}

// MaxRetry is the longest time after which a failed key is due again; more is cut.
const MaxRetry = time.Hour

// MaxQueue is how many rows of the queue are listed.
const MaxQueue = 10_000

// MaxHints is how many hinted tags an asked job keeps.
const MaxHints = 100

// An Ask wants one job key looked at.
type Ask struct {
	Key       string        // "expand/RULE" or "run/GROUP"
	Hints     []string      // tags to look at; none is all of them
	Priority  int           // higher first
	NotBefore time.Duration // from now
	// Turn is the place in the queue among keys of one priority, counted from the
	// one that is next now: keys that several askers number from 0 take turns, and
	// those numbered in steps of a half come twice as often. In [TurnStep] units.
	Turn int64
	// Cause is why: schedule, event, api, cli.
	Cause string
	// Detail is what the key stands for, for whoever runs it; it stays with the key,
	// and "" leaves what is there. At most [MaxDetail] bytes.
	Detail string
}

// TurnStep is one place in the queue.
const TurnStep = 1000

// MaxDetail is how long what is kept with a key may be, in bytes.
const MaxDetail = 4 << 20

// A Claim is the right to run a key.
type Claim struct {
	Key      string
	Hints    []string
	Priority int
	Cause    string // of what was asked with that priority
	Detail   string
	Wanted   int64 // the number that Done will set
	Attempt  int   // 0 for a first try, counted since the last success
	Asked    time.Time
	Taken    time.Time // by the store's clock
	// Lost is closed when the claim was lost, as with the connection that it was bound
	// to: somebody else may run the key, and what runs here has to stop. May be nil.
	Lost <-chan struct{}
}

// A Depth is how much there is in the queue.
type Depth struct {
	Running int64
	Due     int64 // wanted by now
	Later   int64
	Oldest  time.Duration // for how long the row that is due has been which has been for longest
}

// A Row is a work row as people see it.
type Row struct {
	Key       string    `json:"key"`
	Hints     []string  `json:"hints,omitempty"`
	Priority  int       `json:"priority"`
	Cause     string    `json:"cause,omitempty"`
	Asked     time.Time `json:"asked"`
	NotBefore time.Time `json:"notBefore"`
	Wanted    int64     `json:"wanted"`
	Done      int64     `json:"done"`
	Attempt   int       `json:"attempt"`
	Running   bool      `json:"running"`
	Error     string    `json:"error,omitempty"` // of the last run
}
