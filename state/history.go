package state

import (
	"context"
	"errors"
	"time"
)

// History is what was done: everything shown to people is read from it.
type History interface {
	// BeginPass opens a pass and returns its number.
	BeginPass(ctx context.Context, p Pass) (int64, error)
	// EndPass closes it: Ended, Outcome, Error and Figures are taken from p.
	EndPass(ctx context.Context, p Pass) error
	// BeginJobs opens a pass that waits for the jobs of these keys, and ends by itself
	// once EndJob has told of each; without keys it has ended. A key that is
	// cancelled before it runs counts as told of, and stopped.
	BeginJobs(ctx context.Context, p Pass, keys []string) (int64, error)
	// EndJob tells of a run to every pass that was begun before the key was taken and
	// waits for it. What the run did for a rule is counted in the newest of these
	// passes of that rule. It returns the passes that have ended by it, the oldest
	// first, with all but their Figures and Error.
	EndJob(ctx context.Context, r JobRun) ([]Pass, error)
	// Passes returns the newest passes first, of one rule or (rule "") of all.
	Passes(ctx context.Context, rule string, limit int) ([]Pass, error)

	// SetStanding replaces what is known of one rule, source repository and target
	// repository, and the items (see Items) that keep it from being in step.
	SetStanding(ctx context.Context, s Standing, items []Item) error
	// ForgetStandings drops what is known of these rules, sources and targets, with its
	// items.
	ForgetStandings(ctx context.Context, gone []Standing) error
	// Standings returns all of them, or those of one rule, sorted by rule, target, source.
	Standings(ctx context.Context, rule string) ([]Standing, error)
	// Items returns what a person may have to look at, sorted by rule, target, tag.
	Items(ctx context.Context, rule string, limit int) ([]Item, error)
	// Prune drops passes that ended before the given time, but for the last
	// [KeptPasses] of each rule, and the rows of keys that were last asked for before
	// it and are not wanted any more, in batches. It counts the passes.
	Prune(ctx context.Context, before time.Time) (int64, error)
}

// KeptPasses is how many passes of a rule are kept whatever their age: a clock that
// jumps ahead makes all of them old.
const KeptPasses = 20

// Figures is what a pass or job cost and did. Bytes are of blob bodies.
type Figures struct {
	Tags       int64 `json:"tags"`              // that the rule wants
	InStep     int64 `json:"inStep"`            // found in step
	Copied     int64 `json:"copied"`            // tags put
	Failed     int64 `json:"failed"`            // images that failed, per target
	Kept       int64 `json:"kept"`              // conflicts and refusals
	Waiting    int64 `json:"waiting,omitempty"` // tags that wait for what their source allows
	Manifests  int64 `json:"manifests"`         // put, tags and digests
	BlobsSent  int64 `json:"blobsSent"`         // uploaded
	Mounted    int64 `json:"mounted"`           // blobs mounted
	Present    int64 `json:"present"`           // blobs that were there already
	BytesRead  int64 `json:"bytesRead"`         // from sources
	BytesRead2 int64 `json:"bytesReread"`       // of these, read more than once
	BytesSent  int64 `json:"bytesSent"`         // to targets
	BytesSaved int64 `json:"bytesSaved"`        // not sent because mounted or present

	BytesMounted  int64 `json:"bytesMounted,omitempty"`  // of those saved
	Imported      int64 `json:"imported,omitempty"`      // images that targets read themselves
	BytesImported int64 `json:"bytesImported,omitempty"` // of these; they did not pass through us
}

// Add adds g to f.
func (f *Figures) Add(g Figures) {
	f.Tags += g.Tags
	f.InStep += g.InStep
	f.Copied += g.Copied
	f.Failed += g.Failed
	f.Kept += g.Kept
	f.Waiting += g.Waiting
	f.Manifests += g.Manifests
	f.BlobsSent += g.BlobsSent
	f.Mounted += g.Mounted
	f.Present += g.Present
	f.BytesRead += g.BytesRead
	f.BytesRead2 += g.BytesRead2
	f.BytesSent += g.BytesSent
	f.BytesSaved += g.BytesSaved
	f.BytesMounted += g.BytesMounted
	f.Imported += g.Imported
	f.BytesImported += g.BytesImported
}

// An Outcome is how a pass ended.
type Outcome string

const (
	Running     Outcome = "running"
	Succeeded   Outcome = "done"
	Partly      Outcome = "some failed"
	FailedWhole Outcome = "failed"
	Interrupted Outcome = "interrupted"
	Waited      Outcome = "waiting" // nothing failed, and some of it waits for what a source allows
)

// A JobRun is what a run of one job has come to.
type JobRun struct {
	Key     string
	Taken   time.Time // of the Claim
	Ended   time.Time
	Outcome Outcome
	Error   string
	Figures map[string]Figures // by rule
}

// A Pass is one run of a rule.
type Pass struct {
	ID      int64     `json:"id"`
	Rule    string    `json:"rule"`
	Trigger string    `json:"trigger"` // cli, schedule, event, api
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Outcome Outcome   `json:"outcome"`
	Error   string    `json:"error,omitempty"`
	Figures Figures   `json:"figures"`

	// Jobs are those that it waits for or waited for, and Ran those that have run; 0
	// where a pass is not run by jobs.
	Jobs int64 `json:"jobs,omitempty"`
	Ran  int64 `json:"ran,omitempty"`
}

// A Standing is how far one target repository is behind its source for a rule.
type Standing struct {
	Rule     string    `json:"rule"`
	Source   Repo      `json:"source"`
	Target   Repo      `json:"target"`
	Surveyed time.Time `json:"surveyed"`         // last complete survey
	Pending  time.Time `json:"pending,omitzero"` // since when the oldest wanted tag is missing
	InStep   int64     `json:"inStep"`
	Behind   int64     `json:"behind"`
	Failed   int64     `json:"failed"`
	Conflict int64     `json:"conflict"` // kept as they are
	Refused  int64     `json:"refused"`  // what the target cannot hold
	Cooling  int64     `json:"cooling"`
	Gone     int64     `json:"gone"`     // left the target without us, and left so
	Complete bool      `json:"complete"` // was ever complete; before that it is initializing
}

// An Item is one tag that is not in step, and why.
type Item struct {
	Rule   string    `json:"rule"`
	Target Repo      `json:"target"`
	Tag    string    `json:"tag"` // or a digest
	Kind   string    `json:"kind"`
	Reason string    `json:"reason"`
	Hint   string    `json:"hint,omitempty"`
	Since  time.Time `json:"since"` // kept over SetStanding while the kind stays
}

// Errors that callers tell apart.
var (
	ErrClosed  = errors.New("state is closed")
	ErrFull    = errors.New("no room for state on its disk")
	ErrLocked  = errors.New("state is held by another process") // wrapped with who
	ErrDamaged = errors.New("state is damaged")
	ErrLost    = errors.New("the claim has ended: it was given back, or lost with its session")
	ErrNewer   = errors.New("state was written by a newer transship")
)
