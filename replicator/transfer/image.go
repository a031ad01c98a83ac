package transfer

import (
	"cmp"
	"context"
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

// A work is one image on its way to one target.
type work struct {
	t    *Transfer
	run  *run
	plan *plan.Plan
	img  *plan.Image
	to   *target
	from providers.Registry // the image's source; nil until bring
	tally

	unlisted error // referrers are there that the target cannot be made to list

	turns heldTurns

	mine []v1.Hash // blobs that this work was the first to land at the host; guarded by host.mu

	mu      sync.Mutex
	present []state.Present   // in the target repository, not yet recorded
	put     []state.TargetTag // under which the root was put
	news    []state.TargetTag // right already, which state did not know
	seen    []string          // right already, as state knows
	flushed time.Time
	unsaved int64 // bytes of present
}

// bring carries the image out: blobs, children, referrers, tags.
func (w *work) bring(ctx context.Context) error {
	from, err := w.t.opts.Registries(w.img.From.Registry)
	if err != nil {
		return onSide(Source, fmt.Errorf("registry %q: %w", w.img.From.Registry, err))
	}
	w.from = from
	if err := w.imports(ctx); err != nil {
		return err
	}
	if err := w.blobs(ctx, blobsOf(w.img)); err != nil {
		return err
	}
	if err := w.children(ctx, w.img.Root); err != nil {
		return err
	}
	if err := w.referrers(ctx); err != nil {
		return err
	}
	if err := w.root(ctx); err != nil {
		return err
	}
	return w.unlisted
}

// blobsOf lists what the image's manifests need, each digest once, large ones first.
func blobsOf(img *plan.Image) []plan.Blob {
	var all []plan.Blob
	seen := map[v1.Hash]bool{}
	collect(img.Root, seen, &all)
	for _, n := range img.Referrers {
		collect(n, seen, &all)
	}
	slices.SortStableFunc(all, func(a, b plan.Blob) int { return cmp.Compare(b.Size, a.Size) })
	return all
}

func collect(n plan.Node, seen map[v1.Hash]bool, all *[]plan.Blob) {
	if n.Here {
		return
	}
	for _, b := range n.Blobs {
		if !seen[b.Digest] && b.Have != plan.Foreign && b.Have != plan.Import {
			seen[b.Digest] = true
			*all = append(*all, b)
		}
	}
	for _, c := range n.Children {
		collect(c, seen, all)
	}
}

// blobs places all of them, a few side by side. After a failure or a soft stop
// no further one is started; those in flight come to their end.
func (w *work) blobs(ctx context.Context, all []plan.Blob) error {
	var g errgroup.Group
	g.SetLimit(w.t.opts.BlobWidth)
	var failed first
	for _, b := range all {
		if failed.get() != nil {
			break
		}
		g.Go(func() error {
			if failed.get() == nil {
				failed.set(w.place(ctx, b))
			}
			return nil
		})
	}
	g.Wait()
	return failed.get()
}

// children puts what is below n, depth first; those of the top level side by side.
func (w *work) children(ctx context.Context, n plan.Node) error {
	if n.Here {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(w.t.opts.BlobWidth)
	var failed first
	for _, c := range n.Children {
		g.Go(func() error {
			if failed.get() == nil {
				failed.set(w.tree(ctx, c))
			}
			return nil
		})
	}
	g.Wait()
	return failed.get()
}

// tree puts n by digest, after what is below it.
func (w *work) tree(ctx context.Context, n plan.Node) error {
	if n.Here {
		w.have(n.Digest, n.Size)
		return nil
	}
	for _, c := range n.Children {
		if err := w.tree(ctx, c); err != nil {
			return err
		}
	}
	_, err := w.putDigest(ctx, n)
	return err
}

// referrers puts what refers to the image, in the plan's order, and adds what
// the target does not list by itself to the fallback indexes.
func (w *work) referrers(ctx context.Context) error {
	lists := fallbacks{}
	for _, n := range w.img.Referrers {
		if n.Here {
			w.have(n.Digest, n.Size)
			if err := w.relist(ctx, n, &lists); err != nil {
				return err
			}
			continue
		}
		if err := w.children(ctx, n); err != nil {
			return err
		}
		if err := w.referrer(ctx, n, &lists); err != nil {
			return err
		}
	}
	return w.mergeAll(ctx, lists)
}

func (w *work) referrer(ctx context.Context, n plan.Node, lists *fallbacks) error {
	var listed bool
	var err error
	if n.Tag != "" {
		listed, err = w.putNode(ctx, n, n.Tag)
	} else {
		listed, err = w.putDigest(ctx, n)
	}
	if err != nil {
		return err
	}
	if n.Subject.Hex != "" && (n.Fallback || !listed) {
		return w.list(ctx, n, lists)
	}
	return nil
}

// root puts the image's own manifest under each tag that is to be written, or by
// digest if it has no tag at all.
func (w *work) root(ctx context.Context) error {
	n := w.img.Root
	if len(w.img.Tags) == 0 {
		if n.Here {
			w.have(n.Digest, n.Size)
			return nil
		}
		_, err := w.putDigest(ctx, n)
		return err
	}
	if !slices.ContainsFunc(w.img.Tags, func(t plan.Tag) bool { return t.Why.Puts() }) {
		if err := w.proveMounts(ctx, n); err != nil {
			return err
		}
	}
	var conflict error
	for _, tag := range w.img.Tags {
		if !tag.Why.Puts() {
			w.right(tag)
			continue
		}
		_, err := w.putNode(ctx, n, tag.Name)
		switch {
		case err == nil:
			w.tagged(tag)
			w.have(n.Digest, n.Size)
		case providers.KindOf(err) == providers.Conflict:
			conflict = cmp.Or(conflict, err) // a name that cannot be moved is no reason to leave others
		default:
			return err
		}
	}
	if conflict == nil {
		w.have(n.Digest, n.Size)
	}
	return conflict
}

// proveMounts looks for the blobs of n that the target said to have mounted, where
// no manifest is put that it would refuse without them. What is not there is sent.
func (w *work) proveMounts(ctx context.Context, n plan.Node) error {
	for _, b := range n.Blobs {
		if !w.to.host.mountedAt(spot{w.to.repo, b.Digest}) {
			continue
		}
		_, err := w.to.reg.Stat(ctx, w.to.repo, b.Digest)
		if providers.KindOf(err) != providers.NotFound {
			if err != nil {
				return onSide(Target, err)
			}
			continue
		}
		w.to.host.distrust(spot{w.to.repo, b.Digest})
		w.to.host.forget(ctx, w.t, w.to.repo, b.Digest)
		b.Have = plan.Upload
		if err := w.place(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// first keeps the first error that it is given.
type first struct {
	mu  sync.Mutex
	err error
}

func (f *first) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *first) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
