package replicator

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/semaphore"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/survey"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// Memory is what the engine asks of state, and tells it. A [state.Store] is one.
type Memory interface {
	survey.Memory
	transfer.Memory
	ForgetTags(ctx context.Context, repo state.Repo, names []string) error
	SetChecked(ctx context.Context, repo state.Repo, at time.Time, subjects []v1.Hash) error
	BeginPass(ctx context.Context, p state.Pass) (int64, error)
	EndPass(ctx context.Context, p state.Pass) error
	SetStanding(ctx context.Context, s state.Standing, items []state.Item) error
	Standings(ctx context.Context, rule string) ([]state.Standing, error)
	ForgetStandings(ctx context.Context, gone []state.Standing) error
}

// Options of an [Engine].
type Options struct {
	Policy     *policy.Set
	Registries func(name string) (providers.Registry, error) // by the policy's name
	State      Memory
	Journal    transfer.Journal // told each image after the engine's own; may be nil
	Tracer     Tracer           // may be nil

	// Transfer has the spool, the widths, the soft stop and the progress. What it
	// has in common with these Options is filled in from here.
	Transfer transfer.Options
	// ReadOnly makes an engine that plans and checks, and opens no spool.
	ReadOnly bool

	Jobs   int              // looked at side by side; 4
	Images int              // in the plans under way together, or one plan has more; 2000
	Width  int              // questions of a survey side by side, for each side; 32
	Now    func() time.Time // time.Now
	Logger *slog.Logger

	// Among is how many processes keep to the policy's limits together; nil is one.
	Among func() int
}

// An Engine runs jobs. It is safe for concurrent use; two runs at once of jobs
// with a common target repository are the caller's to prevent.
type Engine struct {
	opts     Options
	survey   *survey.Survey
	transfer *transfer.Transfer  // nil if read only
	room     *semaphore.Weighted // for images
	book     book
	outages  outages

	mu      sync.Mutex
	ledgers map[plan.Place]*ledger                      // of the jobs that run, by target
	past    map[string]map[[2]state.Repo]state.Standing // by rule, by source and target
}

// New returns an Engine; the caller closes it.
func New(o Options) (*Engine, error) {
	if o.Policy == nil || o.Registries == nil || o.State == nil {
		return nil, errors.New("replicator: Policy, Registries and State are required")
	}
	o.Jobs, o.Images = cmp.Or(o.Jobs, 4), cmp.Or(o.Images, 2000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tracer == nil {
		o.Tracer = untraced{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{opts: o, book: book{refreshing: make(chan struct{}, 1)}, room: semaphore.NewWeighted(int64(o.Images)), ledgers: map[plan.Place]*ledger{}, past: map[string]map[[2]state.Repo]state.Standing{}}
	var keep func(providers.Manifest)
	if !o.ReadOnly {
		t := o.Transfer
		t.Registries, t.State, t.Journal, t.Now, t.Logger = o.Registries, o.State, e, o.Now, o.Logger
		t.Import, t.Tracer = e.importSource, o.Tracer
		var err error
		if e.transfer, err = transfer.New(t); err != nil {
			return nil, err
		}
		keep = e.transfer.Keep
	}
	e.survey = e.surveyWith(o.State, keep)
	return e, nil
}

func (e *Engine) surveyWith(m survey.Memory, keep func(providers.Manifest)) *survey.Survey {
	return survey.New(survey.Options{
		Registries: e.opts.Registries, State: m, Keep: keep, ReadRate: e.readRate, Looks: e.opts.ReadOnly,
		Price: e.opts.Policy.Price, Readers: func(l survey.Link) []policy.Reader { return e.opts.Policy.Readers(l.Rule, l.Target) },
		Width: e.opts.Width, Now: e.opts.Now, Logger: e.opts.Logger,
	})
}

// Close ends what the engine keeps open. No job may be running.
func (e *Engine) Close() error {
	if e.transfer == nil {
		return nil
	}
	return e.transfer.Close()
}

// readRate is how many requests a second a registry may be asked by us, 0 if nobody
// said.
func (e *Engine) readRate(registry string) float64 {
	perSecond := e.opts.Policy.Registries[registry].Limits.Requests.PerSecond()
	if e.opts.Among != nil {
		perSecond /= float64(e.opts.Among())
	}
	return perSecond
}

// stopping reports whether the soft stop has come: no job is started any more.
func (e *Engine) stopping() bool {
	select {
	case <-e.opts.Transfer.Stop: // nil blocks
		return true
	default:
		return false
	}
}

// Plan surveys job and returns what would be done, one plan for each target
// repository, sorted by place. It changes nothing but what state remembers of
// the source.
func (e *Engine) Plan(ctx context.Context, job Job) ([]plan.Plan, error) {
	read, err := e.survey.Read(ctx, job)
	if err != nil {
		return nil, err
	}
	return plans(read), nil
}

func plans(read survey.Result) []plan.Plan {
	var list []plan.Plan
	for _, f := range read.Facts {
		list = append(list, plan.Diff(f))
	}
	plan.Share(list)
	return list
}
