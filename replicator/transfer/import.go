package transfer

import (
	"context"
	"errors"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// imports has the target read the image's own manifest, and what is below it, from
// the source itself, where the plan says so. It comes under no tag: what refers to it
// follows, and then the tags are put as ever. An import that fails ends the image;
// nothing is sent instead, as somebody wanted it not to pass through here.
func (w *work) imports(ctx context.Context) error {
	if !w.img.Imports() {
		return nil
	}
	if w.t.stopping() {
		return ErrInterrupted
	}
	if w.t.opts.Import == nil {
		return onSide(Target, &providers.Error{Kind: providers.Unsupported, Op: "import", Ref: w.target().String(),
			Err: errors.New("nothing is known of how the target would read the source")})
	}
	from, err := w.t.opts.Import(w.img.Rule, w.img.From, w.plan.Target)
	if err != nil {
		return onSide(Source, err)
	}
	from.Repo, from.Digest = w.img.From.Repo, w.img.Root.Digest
	if err := w.to.reg.Import(ctx, w.to.repo, from); err != nil {
		return onSide(Target, err)
	}
	if err := w.arrivedWhole(ctx, w.img.Root); err != nil {
		return err
	}
	w.imported.Add(1)
	w.flush(ctx)
	return nil
}

// arrivedWhole looks for n and what is below it at the target, which says that it has
// imported it, and notes that it is there. A registry that has a manifest has its blobs.
func (w *work) arrivedWhole(ctx context.Context, n plan.Node) error {
	for _, c := range n.Children {
		if err := w.arrivedWhole(ctx, c); err != nil {
			return err
		}
	}
	if _, err := w.to.reg.Head(ctx, w.to.repo, n.Digest.String()); err != nil {
		return onSide(Target, hinted(err, "the target said to have imported it: look at it there, or remove via: import"))
	}
	for _, b := range n.Blobs {
		if b.Have == plan.Import {
			w.to.host.landed(w, b.Digest, plan.Import)
			w.have(b.Digest, b.Size)
			w.bytesImported.Add(max(b.Size, 0))
		}
	}
	w.arrived(n, n.Digest.String())
	return nil
}
