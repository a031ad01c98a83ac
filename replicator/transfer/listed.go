package transfer

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// listed reports whether the target will list n, which was put, as a referrer, and
// remembers what its answer says about its referrers API. One for which the plan
// wants the fallback index in any case may name no subject itself: it tells nothing.
// Stored is false if n turned out not to be there at all.
func (w *work) listed(ctx context.Context, n plan.Node, receipt providers.Receipt) (listed, stored bool, err error) {
	if n.Subject.Hex == "" || n.Fallback {
		return n.Subject.Hex == "", true, nil
	}
	said := receipt.Subject == n.Subject
	if api := w.to.caps.Referrers; api == providers.No || said && api == providers.Yes {
		return api == providers.Yes, true, nil
	}
	return w.asked(ctx, n, said)
}

// asked asks the target whether it lists n, until it has shown that it lists, or
// that it has no such API: ECR once said OCI-Subject long before it had one. One
// that lists and did not say so once is asked too: the PUT may have done nothing.
func (w *work) asked(ctx context.Context, n plan.Node, said bool) (listed, stored bool, err error) {
	h := w.to.host
	select {
	case h.asking <- struct{}{}:
		defer func() { <-h.asking }()
	case <-ctx.Done():
		return false, false, context.Cause(ctx)
	}
	shown, told := h.lesson(providers.CapReferrers, w.t.opts.Now())
	if told && (said || !shown) {
		return shown, true, nil
	}
	listed, known, err := w.lists(ctx, n)
	stored = true
	if err == nil && !known && !said {
		stored, err = w.there(ctx, n.Digest)
		known = stored && !shown && w.to.caps.Referrers != providers.Yes
	}
	if err == nil && known {
		h.tell(ctx, w.t, providers.CapReferrers, listed)
	}
	return listed, stored, err
}

// lists asks the referrers API for n. Known says that the answer is about the API,
// and not about n alone: there is none, or it shows that it works.
func (w *work) lists(ctx context.Context, n plan.Node) (lists, known bool, err error) {
	list, err := w.to.reg.Referrers(ctx, w.to.repo, n.Subject)
	kind := providers.KindOf(err)
	if err != nil && kind != providers.Unsupported && kind != providers.NotFound {
		return false, false, onSide(Target, err)
	}
	lists = slices.ContainsFunc(list, func(d v1.Descriptor) bool { return d.Digest == n.Digest })
	return lists, lists || kind == providers.Unsupported, nil
}

// there reports whether the target has a manifest.
func (w *work) there(ctx context.Context, digest v1.Hash) (bool, error) {
	_, err := w.to.reg.Head(ctx, w.to.repo, digest.String())
	if providers.KindOf(err) == providers.NotFound {
		return false, nil
	}
	return err == nil, onSide(Target, err)
}
