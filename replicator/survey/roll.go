package survey

import (
	"context"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

const (
	// bigRoll is how many rows a list has at least for it to be worth while to ask
	// what has changed: a shorter one is a call in any case, and tells what was deleted.
	bigRoll = 1000
	// overlap is how far back in the host's time what has changed is asked for once
	// more: a change may come to be listed later than its time says, of another region.
	overlap = 2 * time.Minute
)

// A roll is the list of one repository: read whole, or where the host tells what has
// changed and state knows the rest, from a mark on. What was deleted is seen only in
// a list that is read whole, within every.
type roll struct {
	*look
	reg   providers.Registry
	caps  providers.Caps
	repo  state.Repo
	side  string
	every time.Duration

	mark state.Mark // as state has it
	next state.Mark // what it may be after this survey
	rows int        // of the list that was read whole
}

// roll returns that of a repository. A host that tells no changes has no mark.
func (l *look) roll(ctx context.Context, reg providers.Registry, caps providers.Caps, repo state.Repo, side string, links []Link) (*roll, error) {
	r := &roll{look: l, reg: reg, caps: caps, repo: repo, side: side, every: verifyEvery(links)}
	if !caps.Changes {
		return r, nil
	}
	var err error
	if r.mark, err = l.opts.State.Mark(ctx, repo, side); err != nil {
		return nil, &stateError{err}
	}
	r.next = r.mark
	return r, nil
}

func verifyEvery(links []Link) time.Duration {
	every := policy.DefaultVerifyEvery
	for i, l := range links {
		if e := l.Rule.VerifyInterval(); i == 0 || e < every {
			every = e
		}
	}
	return every
}

// known reports whether what has changed is enough to be asked for.
func (r *roll) known() bool {
	return r.caps.Changes && !r.job.Whole && !r.mark.Tags.IsZero() && r.every > 0 &&
		!plan.Due(r.side+" "+r.repo.Name, r.mark.Swept, r.at, r.every)
}

// changed takes what has changed since the mark. ok is false where the list has to
// be read whole after all: the host does not tell, which is remembered, or there is
// nothing left of what state knows.
func (r *roll) changed(ctx context.Context, what providers.Changing, take func(providers.Row)) (ok bool, err error) {
	since, next := r.mark.Tags, &r.next.Tags
	if what == providers.ChangedManifests {
		since, next = r.mark.Manifests, &r.next.Manifests
	}
	for row, err := range r.reg.Changed(ctx, r.repo.Name, what, since) {
		if providers.KindOf(err) == providers.Unsupported {
			return false, r.untold(ctx)
		}
		if err != nil {
			return false, err
		}
		if at := row.Changed.Add(-overlap); !ok && at.After(since) {
			*next = at
		}
		ok = true
		take(row)
	}
	return ok, nil
}

// untold remembers of the host that it does not tell what has changed.
func (r *roll) untold(ctx context.Context) error {
	r.caps.Changes = false
	if err := r.opts.State.Learn(ctx, r.reg.Host(), providers.CapChanges, false, r.at); err != nil {
		return &stateError{err}
	}
	return nil
}

// whole takes every row. What is changed while the list is read has a time that is
// not further back from the latest in it than the reading took: from there on it is
// asked for next time. Only how long it took is measured by our clock.
func (r *roll) whole(ctx context.Context, take func(providers.Row)) error {
	begun, latest := time.Now(), time.Time{}
	r.rows = 0
	for row, err := range r.reg.Rows(ctx, r.repo.Name) {
		if err != nil {
			return err
		}
		r.rows++
		if row.Changed.After(latest) {
			latest = row.Changed
		}
		take(row)
	}
	r.next = state.Mark{}
	if r.caps.Changes && r.rows > bigRoll && !latest.IsZero() {
		since := latest.Add(-time.Since(begun) - overlap).Truncate(time.Microsecond)
		r.next = state.Mark{Tags: since, Manifests: since, Swept: r.at}
	}
	return nil
}

// remember tells state how far the list is known, where that is news.
func (r *roll) remember(ctx context.Context) error {
	if r.next == r.mark {
		return nil
	}
	if err := r.opts.State.SetMark(ctx, r.repo, r.side, r.next); err != nil {
		return &stateError{err}
	}
	return nil
}
