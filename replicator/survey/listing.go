package survey

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// clear forgets what was listed.
func (t *target) clear() {
	t.tags, t.listing, t.odd = map[string]v1.Hash{}, map[v1.Hash]bool{}, map[string]bool{}
}

// listRows reads the list of the repository: what has changed, where that is enough.
func (t *target) listRows(ctx context.Context) error {
	var err error
	if t.roll, err = t.look.roll(ctx, t.reg, t.caps, t.repo, state.Target, t.links); err != nil {
		return err
	}
	if t.roll.known() {
		ok, err := t.roll.changed(ctx, providers.ChangedTags, t.row)
		if err != nil {
			return t.unlisted(err)
		}
		if ok {
			return nil
		}
	}
	return t.listWhole(ctx)
}

func (t *target) listWhole(ctx context.Context) error {
	t.clear()
	if err := t.roll.whole(ctx, t.row); err != nil {
		return t.unlisted(err)
	}
	t.whole = true
	return nil
}

// unlisted says why there is no list: a repository that is not there yet has an
// empty one.
func (t *target) unlisted(err error) error {
	if providers.KindOf(err) == providers.NotFound {
		t.absent, t.whole = true, true
		return nil
	}
	if _, ours := err.(*stateError); ours {
		return err
	}
	return fmt.Errorf("target: %w", err)
}

// row takes a row of the list.
func (t *target) row(row providers.Row) {
	for _, tag := range row.Tags {
		t.tags[tag] = row.Digest
		if known := t.ours[tag].Digest; known.Hex != "" && known != row.Digest {
			t.odd[tag] = true
		}
	}
	if t.caps.BulkDigests && row.Digest.Hex != "" {
		t.listing[row.Digest] = true
	}
}

// partly reports whether only what has changed was listed.
func (t *target) partly() bool { return t.roll != nil && !t.whole }

// relist reads the list whole after all, in the middle of the questions. If that
// fails, they are asked.
func (t *target) relist(ctx context.Context) error {
	t.asking = true
	if err := t.listWhole(ctx); err != nil {
		return fatal(ctx, err)
	}
	f := &t.facts.Target
	f.Absent, f.Listed, f.Changes, f.Tags = t.absent, t.whole, false, t.tags
	return nil
}

// remember tells state how far the list is known: as far as state and the list agree
// about what we put.
func (t *target) remember(ctx context.Context) error {
	switch {
	case t.err != nil || t.roll == nil || !t.caps.Changes:
		return nil
	case t.absent:
		t.roll.next = state.Mark{}
	case t.disagrees() && !t.whole:
		return nil
	case t.disagrees():
		t.roll.next = state.Mark{}
	}
	return t.roll.remember(ctx)
}

// disagrees reports whether the target has something else under a tag that is wanted,
// or that carries referrers, than state says that we put there.
func (t *target) disagrees() bool {
	wanted := map[string]bool{}
	for _, w := range t.facts.Wants {
		wanted[w.Tag] = true
	}
	for name, known := range t.ours {
		if _, _, refers := providers.ReferrerTag(name); !refers && !wanted[name] || known.Digest.Hex == "" {
			continue
		}
		if _, listed := t.tags[name]; t.odd[name] || t.whole && !listed {
			return true
		}
	}
	return false
}
