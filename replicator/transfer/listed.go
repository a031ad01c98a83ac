package transfer

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// listed reports whether the target will list n as a referrer, and remembers
// what its answer says about its referrers API. One for which the plan wants the
// fallback index in any case may name no subject itself: it tells nothing.
func (w *work) listed(ctx context.Context, n plan.Node, receipt providers.Receipt) (bool, error) {
	if n.Subject.Hex == "" || n.Fallback {
		return n.Subject.Hex == "", nil
	}
	if receipt.Subject != n.Subject {
		w.to.host.tell(ctx, w.t, providers.CapReferrers, false)
		return false, nil
	}
	if w.to.caps.Referrers != providers.Maybe {
		return w.to.caps.Referrers == providers.Yes, nil
	}
	return w.keepsWord(ctx, n)
}

// keepsWord reports whether a host that says it will list n does. It is asked
// until it has shown that it does, or that it has no such API: ECR once said
// OCI-Subject long before it had one.
func (w *work) keepsWord(ctx context.Context, n plan.Node) (bool, error) {
	h := w.to.host
	select {
	case h.asking <- struct{}{}:
		defer func() { <-h.asking }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if lists, told := h.lesson(providers.CapReferrers, w.t.opts.Now()); told {
		return lists, nil
	}
	list, err := w.to.reg.Referrers(ctx, w.to.repo, n.Subject)
	if kind := providers.KindOf(err); err != nil && kind != providers.Unsupported && kind != providers.NotFound {
		return false, onSide(Target, err)
	}
	lists := slices.ContainsFunc(list, func(d v1.Descriptor) bool { return d.Digest == n.Digest })
	if lists || providers.KindOf(err) == providers.Unsupported {
		h.tell(ctx, w.t, providers.CapReferrers, lists)
	}
	return lists, nil
}
