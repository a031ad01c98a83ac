package replicator

import (
	"context"
	"errors"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
	"github.com/transship/transship/state"
)

// A Failure is one image, or one tag, that is not as it should be.
type Failure struct {
	Rule   string         `json:"rule"`
	Target plan.Place     `json:"target"`
	Tag    string         `json:"tag"` // or a digest
	Kind   providers.Kind `json:"kind"`
	Side   string         `json:"side,omitempty"`
	Reason string         `json:"reason"`
	Hint   string         `json:"hint,omitempty"`
}

// A Wait is a tag, or a digest, that is not brought yet because its source allows
// no more manifests to be read now. Nothing has failed.
type Wait struct {
	Rule   string     `json:"rule"`
	From   plan.Place `json:"from"`
	Target plan.Place `json:"target"`
	Tag    string     `json:"tag"`
	Reason string     `json:"reason"`
	Hint   string     `json:"hint,omitempty"`
	Until  time.Time  `json:"until,omitzero"`
}

// A ledger is what the images of one target have come to in one job.
type ledger struct {
	mu      sync.Mutex
	figures map[string]state.Figures // by rule
	failed  map[v1.Hash]bool         // source digests of images that failed or were interrupted
	late    []late
}

// A late is a tag, or a digest, that was to be brought and was not.
type late struct {
	from        plan.Place
	pushed      time.Time // when the source's tag was moved to its content; zero if not known
	interrupted bool      // by us: no failure
	until       time.Time // of one that waits
	Failure
}

func (l *ledger) failures() []Failure {
	var list []Failure
	for _, t := range l.late {
		if !t.interrupted && t.Kind != providers.Waiting {
			list = append(list, t.Failure)
		}
	}
	return list
}

func (l *ledger) waits() []Wait {
	var list []Wait
	for _, t := range l.late {
		if !t.interrupted && t.Kind == providers.Waiting {
			list = append(list, Wait{t.Rule, t.from, t.Target, t.Tag, t.Reason, t.Hint, t.until})
		}
	}
	return list
}

// Image is told of each image by the transfer. See [transfer.Journal].
func (e *Engine) Image(ctx context.Context, r transfer.Result) {
	e.mu.Lock()
	l := e.ledgers[r.Target]
	e.mu.Unlock()
	if l != nil {
		l.note(r)
		if r.Err == nil {
			e.merged(ctx, r)
		}
	}
	if e.opts.Journal != nil {
		e.opts.Journal.Image(ctx, r)
	}
}

// merged remembers the source's fallback tags whose entries are at the target now.
func (e *Engine) merged(ctx context.Context, r transfer.Result) {
	if len(r.Image.Merged) == 0 {
		return
	}
	repo, err := e.repo(r.Target)
	if err != nil {
		return
	}
	rec := state.Record{Repo: repo}
	for _, m := range r.Image.Merged {
		rec.Tags = append(rec.Tags, state.TargetTag{
			Name: m.Tag, Rule: r.Image.Rule, Source: m.Digest, Digest: m.Digest,
			Selection: plan.MergedSelection, VerifiedAt: e.opts.Now(),
		})
	}
	e.warn("remember merged referrers", e.opts.State.Put(ctx, rec))
}

func (l *ledger) note(r transfer.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.figures[r.Image.Rule]
	sum.Add(r.Figures)
	l.figures[r.Image.Rule] = sum
	if r.Err == nil {
		return
	}
	source := r.Image.Root.Digest
	if r.Image.Root.Source.Hex != "" {
		source = r.Image.Root.Source
	}
	l.failed[source] = true
	put := map[string]bool{}
	for _, t := range r.Put {
		put[t.Name] = true
	}
	for _, tag := range tagsOf(r.Image) {
		if put[tag.Name] || stuck(tag, r) {
			continue
		}
		l.late = append(l.late, late{
			from: r.Image.From, pushed: tag.Pushed, interrupted: errors.Is(r.Err, transfer.ErrInterrupted),
			until: providers.UntilOf(r.Err),
			Failure: Failure{Rule: r.Image.Rule, Target: r.Target, Tag: tag.Name, Kind: providers.KindOf(r.Err),
				Side: r.Side, Reason: r.Err.Error(), Hint: providers.HintOf(r.Err)},
		})
	}
}

// stuck reports whether a tag of an image that failed is as it should be although
// it was not put: it was right already, and another one cannot be moved.
func stuck(tag plan.Tag, r transfer.Result) bool {
	return !tag.Why.Puts() && tag.Why != "" && providers.KindOf(r.Err) == providers.Conflict
}

// tagsOf returns an image's tags, or its digest as one if it has none.
func tagsOf(img plan.Image) []plan.Tag {
	if len(img.Tags) == 0 {
		return []plan.Tag{{Name: img.Root.Digest.String()}}
	}
	return img.Tags
}

// open makes the ledgers of a job's plans, until the returned function is called.
func (e *Engine) openLedgers(plans []plan.Plan) (map[plan.Place]*ledger, func()) {
	mine := map[plan.Place]*ledger{}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range plans {
		mine[p.Target] = &ledger{failed: map[v1.Hash]bool{}, figures: map[string]state.Figures{}}
		e.ledgers[p.Target] = mine[p.Target]
	}
	return mine, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		for p := range mine {
			delete(e.ledgers, p)
		}
	}
}

// repo is the key under which state knows a place.
func (e *Engine) repo(p plan.Place) (state.Repo, error) {
	reg, err := e.opts.Registries(p.Registry)
	if err != nil {
		return state.Repo{}, err
	}
	return state.Repo{Host: reg.Host(), Name: p.Repo}, nil
}

// warn logs a failure of state on which nothing depends but time.
func (e *Engine) warn(what string, err error) {
	if err != nil {
		e.opts.Logger.Warn("state: "+what, "err", err)
	}
}
