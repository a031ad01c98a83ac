package replicator

import (
	"context"
	"errors"
	"sync"

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

// A ledger is what the images of one target have come to in one job.
type ledger struct {
	mu          sync.Mutex
	figures     state.Figures
	failures    []Failure
	failed      map[v1.Hash]bool // source digests
	failedTags  map[string]bool
	interrupted map[string]bool
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
	l.figures.Add(r.Figures)
	if r.Err == nil {
		return
	}
	source := r.Image.Root.Digest
	if r.Image.Root.Source.Hex != "" {
		source = r.Image.Root.Source
	}
	l.failed[source] = true
	if errors.Is(r.Err, transfer.ErrInterrupted) {
		for _, t := range r.Image.Tags {
			l.interrupted[t.Name] = true
		}
		return
	}
	for _, name := range tagNames(r.Image) {
		l.failedTags[name] = true
		l.failures = append(l.failures, Failure{
			Rule: r.Image.Rule, Target: r.Target, Tag: name, Kind: providers.KindOf(r.Err),
			Side: r.Side, Reason: r.Err.Error(), Hint: providers.HintOf(r.Err),
		})
	}
}

// tagNames returns an image's tags, or its digest if it has none.
func tagNames(img plan.Image) []string {
	var names []string
	for _, t := range img.Tags {
		names = append(names, t.Name)
	}
	if names == nil {
		names = []string{img.Root.Digest.String()}
	}
	return names
}

// open makes the ledgers of a job's plans, until the returned function is called.
func (e *Engine) openLedgers(plans []plan.Plan) (map[plan.Place]*ledger, func()) {
	mine := map[plan.Place]*ledger{}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range plans {
		mine[p.Target] = &ledger{failed: map[v1.Hash]bool{}, failedTags: map[string]bool{}, interrupted: map[string]bool{}}
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
