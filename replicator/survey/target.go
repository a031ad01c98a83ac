package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// A target is one target repository, which asks for its own facts.
type target struct {
	*look
	place  plan.Place
	links  []Link
	reg    providers.Registry
	caps   providers.Caps
	repo   state.Repo
	err    error // why it could not be listed
	listed chan struct{}

	roll    *roll
	asking  bool            // it is asked for tags one by one, however many
	odd     map[string]bool // what state says of these tags is not what was listed
	tags    map[string]v1.Hash
	absent  bool
	whole   bool
	listing map[v1.Hash]bool // manifests of a bulk listing
	shown   map[v1.Hash]bool // the same when listed is closed, for other targets
	ours    map[string]state.TargetTag
	facts   plan.Facts
	readers map[string]string // hosts of the registries that may be read instead of a source
}

// list reads what the target has under which names. With hints it is not
// listed: each tag is asked for.
func (t *target) list(ctx context.Context) error {
	defer func() {
		t.shown = t.listing // of which another is made if the list is read anew
		close(t.listed)
	}()
	t.clear()
	t.ours = map[string]state.TargetTag{}
	var err error
	if t.reg, t.caps, err = t.open(ctx, sideTarget, t.place); err != nil {
		return err
	}
	t.repo = state.Repo{Host: t.reg.Host(), Name: t.place.Repo}
	var last state.TargetTag
	for tag, err := range t.opts.State.TargetTags(ctx, t.repo) {
		if err != nil {
			return &stateError{err}
		}
		last = slimTag(tag, last)
		t.ours[tag.Name] = last
	}
	if len(t.job.Hints) > 0 {
		return nil
	}
	if t.caps.Names.Check(t.place.Repo) != nil {
		t.whole = true
		return nil // the plan refuses it: the registry has no such name to be asked for
	}
	return t.listRows(ctx)
}

// slimTag returns tag without second copies of the same text: its digest is most
// often the source's, and its rule that of the tag before.
func slimTag(tag, before state.TargetTag) state.TargetTag {
	if tag.Digest == tag.Source {
		tag.Digest = tag.Source
	}
	if tag.Rule == before.Rule {
		tag.Rule = before.Rule
	}
	if tag.Selection == before.Selection {
		tag.Selection = before.Selection
	}
	return tag
}

// ask gathers the facts, and answers what a plan for them still needs.
func (t *target) ask(ctx context.Context) error {
	t.begin()
	if t.err != nil {
		return nil
	}
	for range maxRounds {
		n := plan.Missing(t.facts)
		if n.Empty() {
			return nil
		}
		if err := t.round(ctx, n); err != nil {
			return err
		}
	}
	return fmt.Errorf("survey %s: the questions do not end after %d rounds; this is a bug, please report it", t.place, maxRounds)
}

// maxRounds is more than any content needs: a round goes one level deeper, and
// indexes and referrers are followed to [providers.MaxDepth].
const maxRounds = 100

// begin fills the facts with what is known without a question.
func (t *target) begin() {
	t.readers = map[string]string{}
	t.facts = plan.Facts{At: t.at, Hints: t.job.Hints, Sources: map[plan.Place]*plan.Source{},
		Prices: map[string]float64{}, Elsewhere: map[v1.Hash][]plan.Place{}, Target: plan.Target{
			Place: t.place, Caps: t.caps, Absent: t.absent, Listed: t.whole, Changes: t.partly(), Tags: t.tags, Ours: t.ours,
			Ghosts: map[string]bool{}, Seen: map[v1.Hash]bool{}, Refers: map[v1.Hash][]v1.Hash{}, Where: map[v1.Hash][]string{}, Failed: map[string]plan.Failure{},
		}}
	for _, l := range t.links {
		src := t.sources[l.From]
		if err := errors.Join(src.err, t.err); err != nil {
			side := sideSource
			if src.err == nil {
				side = sideTarget
			}
			t.failed(l, "*", "", plan.Fail(side, err))
			continue
		}
		if t.facts.Sources[l.From] == nil {
			t.facts.Sources[l.From] = &plan.Source{
				Place: l.From, API: src.api(), Tags: src.referrerTags(),
				Manifests: map[v1.Hash]plan.Manifest{}, Referrers: map[v1.Hash][]v1.Descriptor{},
				Checked: map[v1.Hash]time.Time{}, PutOff: map[v1.Hash]bool{}, Failed: map[string]plan.Failure{},
				Pulls: src.pulls, Waits: map[v1.Hash]int{},
			}
			t.copyReferrers(l.From)
			t.price(l.From.Registry)
		}
		t.want(l)
	}
	t.price(t.place.Registry)
	plan.SortWants(t.facts.Wants)
}

// copyReferrers takes over what a bulk listing told: the source's map is shared.
func (t *target) copyReferrers(from plan.Place) {
	for subject, list := range t.sources[from].referrers {
		t.facts.Sources[from].Referrers[subject] = list
	}
}

func (t *target) left(l Link, ref, tag string, kind plan.Left, reason, hint string) {
	t.facts.Left = append(t.facts.Left, plan.Refusal{
		Rule: l.Rule.Name, From: l.From, Ref: ref, Tag: tag, Kind: kind, Reason: reason, Hint: hint,
	})
}

// failed reports what could not be surveyed, or waits.
func (t *target) failed(l Link, ref, tag string, f plan.Failure) {
	t.left(l, ref, tag, f.Left(), f.Reason, f.Hint)
	last := &t.facts.Left[len(t.facts.Left)-1]
	last.Cause, last.Side, last.Until = f.Kind, f.Side, f.Until
}

// round answers what is needed, side by side.
func (t *target) round(ctx context.Context, n plan.Needs) error {
	if t.partly() && !t.asking && len(n.Tags) > 1+len(t.ours)/bigRoll { // the list is cheaper than so many questions
		return t.relist(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(t.opts.Width)
	a := &answers{t: t, g: g, ctx: ctx}
	if len(n.Locate) > 0 {
		g.Go(func() error { return a.locate(n.Locate) })
	}
	if len(n.Elsewhere) > 0 {
		g.Go(func() error { return a.elsewhere(n.Elsewhere) })
	}
	for _, tag := range n.Tags {
		g.Go(func() error { return a.tag(tag) })
	}
	for _, digest := range n.Probe {
		g.Go(func() error { return a.probe(digest) })
	}
	for _, subject := range n.Refers {
		g.Go(func() error { return a.refers(subject) })
	}
	for from, need := range n.Source {
		a.source(t.facts.Sources[from], t.sources[from], need)
	}
	return g.Wait()
}

// answers writes what comes back into the facts of its target.
type answers struct {
	t   *target
	g   *errgroup.Group
	ctx context.Context // of one round
	mu  sync.Mutex
}

// note runs write under the lock, unless err ends the survey.
func (a *answers) note(err error, write func()) error {
	if err := fatal(a.ctx, err); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	write()
	return nil
}

func (a *answers) tag(tag string) error {
	d, err := a.t.reg.Head(a.ctx, a.t.place.Repo, tag)
	return a.note(err, func() {
		f := &a.t.facts.Target
		switch {
		case err == nil:
			f.Tags[tag] = d.Digest
		case providers.KindOf(err) == providers.NotFound:
			f.Ghosts[tag] = true
		default:
			f.Failed[tag] = plan.Fail(sideTarget, fmt.Errorf("target: %w", err))
		}
	})
}

// probe looks for a manifest: what the target listed is there, in its archive
// too. One that cannot be asked for counts as missing: to put it again is harmless.
func (a *answers) probe(digest v1.Hash) error {
	if a.t.listing[digest] {
		return a.note(nil, func() { a.t.facts.Target.Seen[digest] = true })
	}
	_, err := a.t.reg.Head(a.ctx, a.t.place.Repo, digest.String())
	return a.note(err, func() {
		a.t.facts.Target.Seen[digest] = err == nil
		if kind := providers.KindOf(err); err != nil && kind != providers.NotFound {
			a.t.facts.Target.Failed[digest.String()] = plan.Fail(sideTarget, fmt.Errorf("target: %w", err))
		}
	})
}

// locate asks state where content is, the target itself first.
func (a *answers) locate(digests []v1.Hash) error {
	const most = 4
	has, err := a.t.opts.State.Has(a.ctx, a.t.repo, digests)
	if err != nil {
		return a.note(&stateError{err}, nil)
	}
	where, err := a.t.opts.State.Locate(a.ctx, a.t.repo.Host, digests, most)
	if err != nil {
		return a.note(&stateError{err}, nil)
	}
	return a.note(nil, func() {
		for _, d := range digests {
			repos := slices.DeleteFunc(slices.Clone(where[d]), func(r string) bool { return r == a.t.place.Repo })
			if has[d] {
				repos = append([]string{a.t.place.Repo}, repos...)
			}
			a.t.facts.Target.Where[d] = repos
		}
	})
}

// source asks a source what the plan needs of it.
func (a *answers) source(f *plan.Source, src *source, n plan.SourceNeeds) {
	for _, tag := range n.Read {
		a.g.Go(func() error {
			m, err := src.readTag(a.ctx, tag)
			return a.note(err, func() { put(f, tag, m.Digest, err); keep(f, m, err, m.Digest) })
		})
	}
	for _, tag := range n.Resolve {
		a.g.Go(func() error {
			d, err := src.head(a.ctx, tag)
			return a.note(err, func() { put(f, tag, d, err) })
		})
	}
	for _, digest := range src.inTurn(n.Manifests) {
		if err := src.grant(a.ctx, digest); err != nil {
			a.wait(f, src, digest, err)
			continue
		}
		a.g.Go(func() error {
			m, err := src.manifest(a.ctx, digest)
			return a.note(err, func() { keep(f, m, err, digest) })
		})
	}
	for _, subject := range n.Referrers {
		a.g.Go(func() error { return a.referrers(f, src, subject) })
	}
	a.rechecks(f, src, n.Rechecks)
	if len(n.Checked) > 0 {
		a.g.Go(func() error { return a.checked(f, src, n.Checked) })
	}
}

// wait notes a root that is not read now.
func (a *answers) wait(f *plan.Source, src *source, root v1.Hash, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.Failed[root.String()] = plan.Fail(sideSource, err)
	f.Waits[root] = src.roots[root].cost
}

func put(f *plan.Source, tag string, digest v1.Hash, err error) {
	if err != nil {
		f.Failed[tag] = plan.Fail(sideSource, err)
		return
	}
	f.Tags[tag] = digest
}

func keep(f *plan.Source, m plan.Manifest, err error, digest v1.Hash) {
	switch {
	case err == nil:
		f.Manifests[digest] = m
	case digest.Hex != "":
		f.Failed[digest.String()] = plan.Fail(sideSource, err)
	}
}

func (a *answers) referrers(f *plan.Source, src *source, subject v1.Hash) error {
	list, err := src.whoRefers(a.ctx, subject)
	return a.note(err, func() {
		f.API = src.api()
		if err != nil {
			f.Failed[plan.ReferrersKey(subject)] = plan.Fail(sideSource, err)
			return
		}
		f.Referrers[subject] = list
	})
}

func (a *answers) checked(f *plan.Source, src *source, subjects []v1.Hash) error {
	at, err := a.t.opts.State.Checked(a.ctx, src.repo, subjects)
	if err != nil {
		return a.note(&stateError{err}, nil)
	}
	return a.note(nil, func() {
		for _, s := range subjects {
			f.Checked[s] = at[s]
		}
	})
}
