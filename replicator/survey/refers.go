package survey

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// refers asks whom the target lists as referring to subject. A list that cannot be
// read counts as empty: to list a referrer again is harmless.
func (a *answers) refers(subject v1.Hash) error {
	list, api, err := a.t.whoRefers(a.ctx, subject)
	if err == nil && api != providers.Maybe {
		if err := a.t.opts.State.Learn(a.ctx, a.t.reg.Host(), providers.CapReferrers, api == providers.Yes, a.t.at); err != nil {
			return a.note(&stateError{err}, nil)
		}
	}
	return a.note(err, func() {
		f := &a.t.facts.Target
		f.Refers[subject] = list
		if f.Caps.Referrers == providers.Maybe {
			f.Caps.Referrers = api
		}
	})
}

// whoRefers asks the referrers API, where the target may have it, and otherwise
// reads the fallback index. api is what was learned of the API.
func (t *target) whoRefers(ctx context.Context, subject v1.Hash) (list []v1.Hash, api providers.Tri, err error) {
	if t.caps.Referrers != providers.No {
		told, err := t.reg.Referrers(ctx, t.place.Repo, subject)
		if providers.KindOf(err) != providers.Unsupported {
			if err == nil {
				api = providers.Yes
			}
			return digests(told), api, err
		}
		api = providers.No
	}
	tag := providers.FallbackTag(subject)
	if _, named := t.tags[tag]; t.whole && !named || t.caps.Fallback == providers.No {
		return nil, api, nil
	}
	m, err := t.reg.Manifest(ctx, t.place.Repo, tag)
	if err != nil || m.Digest == subject {
		return nil, api, err
	}
	c, err := providers.Parse(m)
	return digests(c.Children), api, err
}

func digests(list []v1.Descriptor) []v1.Hash {
	var out []v1.Hash
	for _, d := range list {
		out = append(out, d.Digest)
	}
	return out
}
