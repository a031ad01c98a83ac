package transfer

import (
	"context"

	"github.com/transship/transship/replicator/plan"
)

// refresh puts what is below n once more, just before n is put, as far as it may be
// gone by then: where untagged content ends by itself, what was put more than three
// quarters of its life ago, or at a time that nobody knows. A target may take an
// index whose children are no longer there. What a tagged index holds stays.
func (w *work) refresh(ctx context.Context, n plan.Node) error {
	life := w.to.caps.UntaggedLife
	if life == 0 || w.img.Secured && n.Digest == w.img.Root.Digest {
		return nil
	}
	since := w.t.opts.Now().Add(-life / 4 * 3)
	for _, c := range n.Children {
		if w.to.host.putSince(spot{w.to.repo, c.Digest}, since) {
			if err := w.refresh(ctx, c); err != nil {
				return err
			}
			continue
		}
		if _, err := w.putNode(ctx, c, c.Digest.String()); err != nil { // refreshes what is below it first
			return err
		}
	}
	return nil
}
