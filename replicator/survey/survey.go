package survey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// Memory is what a survey asks of state, and tells it.
type Memory interface {
	SourceTags(ctx context.Context, repo state.Repo) iter.Seq2[state.SourceTag, error]
	SeeSource(ctx context.Context, repo state.Repo, at time.Time, tags []state.SourceTag) error
	ForgetSource(ctx context.Context, repo state.Repo, names []string) error
	TargetTags(ctx context.Context, repo state.Repo) iter.Seq2[state.TargetTag, error]
	Locate(ctx context.Context, host string, digests []v1.Hash, limit int) (map[v1.Hash][]string, error)
	Has(ctx context.Context, repo state.Repo, digests []v1.Hash) (map[v1.Hash]bool, error)
	Checked(ctx context.Context, repo state.Repo, subjects []v1.Hash) (map[v1.Hash]time.Time, error)
	Subjects(ctx context.Context, repo state.Repo, manifests []v1.Hash) (map[v1.Hash]v1.Hash, error)
	SetSubjects(ctx context.Context, repo state.Repo, subjects map[v1.Hash]v1.Hash) error
	Learned(ctx context.Context, host string, since time.Time) (map[string]bool, error)
	Learn(ctx context.Context, host, capability string, yes bool, at time.Time) error
	Referring(ctx context.Context, repo state.Repo) (map[v1.Hash]v1.Hash, error)
	ForgetSubjects(ctx context.Context, repo state.Repo, manifests []v1.Hash) error
	Mark(ctx context.Context, repo state.Repo, side string) (state.Mark, error)
	SetMark(ctx context.Context, repo state.Repo, side string, m state.Mark) error
	Standings(ctx context.Context, rule string) ([]state.Standing, error)
}

// Options of a [Survey]. Zero values of the last four mean the default.
type Options struct {
	Registries func(name string) (providers.Registry, error) // by the policy's name
	State      Memory
	Keep       func(providers.Manifest) // takes the bytes of each manifest read; may be nil
	// Looks says that what is read is only looked at, and will be read once more by
	// whoever carries it out: it takes at most half of what a registry's allowance has.
	Looks    bool
	ReadRate func(registry string) float64 // requests a second that it may be asked, 0 if not known; may be nil

	// Price is what a GB read costs in USD, if that is given, and Readers are the
	// registries that may be read instead of a link's source; both may be nil.
	Price   func(registry string) (usd float64, given bool)
	Readers func(Link) []policy.Reader

	Width    int              // questions side by side, for each target and source; 32
	Patience time.Duration    // how long tags wait for the targets' lists to be asked cheaply; 10 s
	Now      func() time.Time // time.Now
	Logger   *slog.Logger
}

// A Job is one look at source repositories whose targets hang together.
type Job struct {
	Key   string // of its work row: the same for the same sources
	Links []Link
	Hints []string // tags of the sources to look at; none is all of them
	Whole bool     // read every list whole, also where what has changed would do
}

// A Link is one rule's way from one source repository to one target repository.
type Link struct {
	Rule     policy.Rule
	Target   policy.Target // the one of Rule.To
	From, To plan.Place
}

// A Result is what was read.
type Result struct {
	// Facts has those of each target repository, sorted by place.
	Facts []plan.Facts
	// Asked has the subjects of each source whose referrers were listed.
	Asked map[plan.Place][]v1.Hash
	// Hosts has the hosts of the registries that were asked, by name.
	Hosts map[string]string
}

// A Survey reads. It is safe for concurrent use.
type Survey struct {
	opts Options

	mu      sync.Mutex
	budgets map[string]*budget // by source host
	rations map[string]*ration // the same
}

// New returns a Survey. Registries and State are required.
func New(o Options) *Survey {
	o.Width, o.Patience = cmp.Or(o.Width, 32), cmp.Or(o.Patience, 10*time.Second)
	if o.Keep == nil {
		o.Keep = func(providers.Manifest) {}
	}
	if o.Price == nil {
		o.Price = func(string) (float64, bool) { return 0, false }
	}
	if o.Readers == nil {
		o.Readers = func(Link) []policy.Reader { return nil }
	}
	if o.ReadRate == nil {
		o.ReadRate = func(string) float64 { return 0 }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Survey{opts: o, budgets: map[string]*budget{}, rations: map[string]*ration{}}
}

// A look is one Read.
type look struct {
	*Survey
	job     Job
	at      time.Time
	sources map[plan.Place]*source
	targets map[plan.Place]*target
}

// Read surveys job. A target or a source that cannot be read is told in the
// facts, as a refusal of all that is wanted of it, and stops nothing else. Read
// fails only when ctx ends, when state fails, or when no source can be read.
func (s *Survey) Read(ctx context.Context, job Job) (Result, error) {
	l := &look{Survey: s, job: job, at: s.opts.Now().UTC(), sources: map[plan.Place]*source{}, targets: map[plan.Place]*target{}}
	for _, link := range job.Links {
		if l.sources[link.From] == nil {
			l.sources[link.From] = &source{look: l, place: link.From}
		}
		if l.targets[link.To] == nil {
			l.targets[link.To] = &target{look: l, place: link.To, listed: make(chan struct{})}
		}
		src, to := l.sources[link.From], l.targets[link.To]
		src.links = append(src.links, link)
		to.links = append(to.links, link)
	}
	defer l.settle()
	if err := l.run(ctx); err != nil {
		return Result{}, err
	}
	return l.result(), nil
}

// run asks everything, and then tells state what was seen.
func (l *look) run(ctx context.Context) error {
	if err := l.ask(ctx); err != nil {
		return err
	}
	for _, src := range l.sources {
		if err := src.remember(ctx); err != nil {
			return err
		}
	}
	for _, to := range l.targets {
		if err := to.remember(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ask reads sources and targets side by side; each target goes on with its
// questions once its sources are known.
func (l *look) ask(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	var sources sync.WaitGroup
	known := make(chan struct{})
	for _, src := range l.sources {
		sources.Add(1)
		g.Go(func() error {
			defer sources.Done()
			src.err = src.read(ctx)
			return fatal(ctx, src.err)
		})
	}
	g.Go(func() error {
		sources.Wait()
		close(known)
		return l.readable()
	})
	for _, to := range l.targets {
		g.Go(func() error {
			to.err = to.list(ctx)
			if err := fatal(ctx, to.err); err != nil {
				return err
			}
			select {
			case <-known:
				return to.ask(ctx)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}
	return g.Wait()
}

// readable returns the first source's error if none of them could be read.
func (l *look) readable() error {
	var first error
	for _, p := range places(l.sources) {
		err := l.sources[p].err
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

// Which side a failure is of, as transfer has it.
const (
	sideSource = "source"
	sideTarget = "target"
)

// A stateError is a failure of our own memory, which ends a survey.
type stateError struct{ err error }

func (e *stateError) Error() string { return "state: " + e.err.Error() }
func (e *stateError) Unwrap() error { return e.err }

// fatal returns err if it ends the whole survey: ctx has ended, or state fails.
func fatal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ours := errors.AsType[*stateError](err); ours {
		return err
	}
	return nil
}

func (l *look) result() Result {
	r := Result{Asked: map[plan.Place][]v1.Hash{}, Hosts: map[string]string{}}
	for _, p := range places(l.targets) {
		to := l.targets[p]
		r.Facts = append(r.Facts, to.facts)
		if to.reg != nil {
			r.Hosts[p.Registry] = to.reg.Host()
		}
	}
	for p, src := range l.sources {
		if src.reg != nil {
			r.Hosts[p.Registry] = src.reg.Host()
		}
		if len(src.asked) > 0 {
			r.Asked[p] = src.asked
		}
	}
	return r
}

func places[V any](m map[plan.Place]V) []plan.Place {
	var list []plan.Place
	for p := range m {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b plan.Place) int { return strings.Compare(a.String(), b.String()) })
	return list
}

// learnedFor is how long what trying has told of a host is believed.
const learnedFor = 7 * 24 * time.Hour

// open returns the registry of a place, and what it can do.
func (l *look) open(ctx context.Context, side string, p plan.Place) (providers.Registry, providers.Caps, error) {
	reg, err := l.opts.Registries(p.Registry)
	if err != nil {
		return nil, providers.Caps{}, fmt.Errorf("%s: registry %s: %w", side, p.Registry, err)
	}
	caps, err := reg.Caps(ctx)
	if err != nil {
		return reg, caps, fmt.Errorf("%s: capabilities of %s: %w", side, reg.Host(), err)
	}
	learned, err := l.opts.State.Learned(ctx, reg.Host(), l.at.Add(-learnedFor))
	if err != nil {
		return reg, caps, &stateError{err}
	}
	facts := map[string]providers.Tri{}
	for name, yes := range learned {
		facts[name] = providers.No
		if yes {
			facts[name] = providers.Yes
		}
	}
	return reg, caps.With(facts), nil
}
