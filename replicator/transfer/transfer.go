package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer/spool"
	"github.com/transship/transship/state"
)

// ErrInterrupted is wrapped by the result of an image that we stopped ourselves:
// no failure, the next run goes on with it.
var ErrInterrupted = errors.New("interrupted; the next run goes on from here")

// Memory is what transfer asks of state. Without it (a nil Options.State) all is
// right and less is remembered.
type Memory interface {
	Put(ctx context.Context, r state.Record) error
	Verified(ctx context.Context, repo state.Repo, at time.Time, names []string) error
	Forget(ctx context.Context, repo state.Repo, digests []v1.Hash) error
	Learned(ctx context.Context, host string, since time.Time) (map[string]bool, error)
	Learn(ctx context.Context, host, capability string, yes bool, at time.Time) error
	Refusals(ctx context.Context, host string, at time.Time) ([]state.Refusal, error)
	Refuse(ctx context.Context, host string, r state.Refusal) error
	Uploads(ctx context.Context, host string) ([]state.Upload, error)
	SaveUpload(ctx context.Context, u state.Upload) error
	DropUpload(ctx context.Context, repo state.Repo, digest v1.Hash) error
}

// A Journal is told the result of every image of every plan exactly once, after
// state has been told. Calls come from many goroutines.
type Journal interface {
	Image(ctx context.Context, r Result)
}

// A Result is what one image brought to one target.
type Result struct {
	Target  plan.Place
	Image   plan.Image
	Figures state.Figures // of this image alone
	Put     []state.TargetTag
	Err     error  // nil if complete; wraps ErrInterrupted if we stopped it
	Side    string // Source or Target: where Err arose, "" without one
}

// The sides of a failure.
const (
	Source = "source"
	Target = "target"
)

// Options of a [Transfer]. Zero values of the numbers mean the default.
type Options struct {
	// Registries finds a registry by its name in the policy.
	Registries func(name string) (providers.Registry, error)
	State      Memory   // may be nil
	Journal    Journal  // may be nil
	Progress   Progress // may be nil
	Tracer     Tracer   // may be nil
	Turns      Turns    // nil where no other process shares the work

	// Spool, if it is not nil, is used instead of one of its own: by several
	// Transfers, whose caller closes it after them.
	Spool *Spool
	// Import says how a target can read an image's source itself, by what rule; nil is
	// that none can.
	Import func(rule string, from, to plan.Place) (providers.ImportSource, error)

	// Link returns what bounds the bytes that go to one registry of the images of
	// another, by their names in the policy; nil, of the function too, is no bound.
	Link func(from, to string) Flow

	SpoolDir   string        // created with mode 0700; "" is a fresh temporary folder, removed by Close
	Patience   time.Duration // how long a read waits for room in the spool before it is taken from targets that lag; 15 s
	SpoolBytes int64         // bound of the spool on disk; 0: 10 GiB or half of the free disk

	Width     int // images side by side per target host; 32
	BlobWidth int // blobs side by side within an image; 4

	// Stop, when closed, is the soft stop: no image and no blob is started any
	// more, what is in flight may finish within Grace (default 30 s). The hard
	// stop is the context of Run.
	Stop  <-chan struct{}
	Grace time.Duration

	Logger *slog.Logger
	Now    func() time.Time // time.Now
}

// A Flow bounds bytes. Take waits until n more may have flowed; its error is the cause
// of ctx's end.
type Flow interface {
	Take(ctx context.Context, n int) error
}

// A Transfer carries out plans. Its spool, its tables of what is in flight and
// what it has learned of hosts are shared by all its runs. Safe for concurrent use.
type Transfer struct {
	opts  Options
	spool *spool.Spool
	waits waits
	read  *ledger
	bad   damaged

	mu    sync.Mutex
	hosts map[string]*host
}

// New returns a Transfer; the caller closes it. It starts no goroutine.
func New(opts Options) (*Transfer, error) {
	if opts.Registries == nil {
		return nil, errors.New("transfer: Options.Registries is missing")
	}
	opts.Width = cmp.Or(opts.Width, 32)
	opts.BlobWidth = cmp.Or(opts.BlobWidth, 4)
	opts.Grace = cmp.Or(opts.Grace, 30*time.Second)
	if opts.Progress == nil {
		opts.Progress = silent{}
	}
	if opts.Journal == nil {
		opts.Journal = silent{}
	}
	if opts.Tracer == nil {
		opts.Tracer = Untraced{}
	}
	if opts.State == nil {
		opts.State = forgetful{}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	t := &Transfer{opts: opts, spool: opts.Spool, read: newLedger(), hosts: map[string]*host{}}
	if t.spool == nil {
		var err error
		if t.spool, err = OpenSpool(opts); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// A Spool keeps blobs in transit on disk.
type Spool = spool.Spool

// OpenSpool opens the spool that opts describe, for Options.Spool.
func OpenSpool(opts Options) (*Spool, error) {
	s, err := spool.Open(spool.Options{Dir: opts.SpoolDir, Bytes: opts.SpoolBytes, Patience: opts.Patience, Logger: opts.Logger})
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	return s, nil
}

// Close ends the spool. No Run may be under way. What has been read stays on
// disk for the next process, unless the folder was a temporary one.
func (t *Transfer) Close() error {
	if t.opts.Spool != nil {
		return nil
	}
	return t.spool.Close()
}

// Keep stores the bytes of a manifest that the survey has read, so that they are
// not read from the source again. It is best effort and never fails.
func (t *Transfer) Keep(m providers.Manifest) { t.spool.Keep(m.Digest, m.Raw) }
