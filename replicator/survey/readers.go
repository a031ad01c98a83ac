package survey

import (
	"context"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator/plan"
)

// price notes what reading from a registry costs, if the policy says so.
func (t *target) price(registry string) {
	if usd, given := t.opts.Price(registry); given {
		t.facts.Prices[registry] = usd
	}
}

// readersOf returns the registries that may be read instead of l's source, and
// notes their prices. One that cannot be opened is none: the source does, and the
// rule that copies there fails and tells of it.
func (t *target) readersOf(l Link) (all []policy.Reader) {
	for _, r := range t.opts.Readers(l) {
		reg, err := t.opts.Registries(r.Registry)
		if err != nil {
			t.opts.Logger.Debug("nothing is read from this registry", "registry", r.Registry, "rule", l.Rule.Name, "err", err)
			continue
		}
		all = append(all, r)
		t.price(r.Registry)
		t.readers[r.Registry] = reg.Host()
	}
	return all
}

// elsewhere tells where the readers hold digests: by state, and by what a target of
// this job lists there. No registry is asked.
func (a *answers) elsewhere(digests []v1.Hash) error {
	const most = 2 // repositories at each
	found := map[v1.Hash][]plan.Place{}
	for _, registry := range sortedNames(a.t.readers) {
		where, err := a.t.opts.State.Locate(a.ctx, a.t.readers[registry], digests, most)
		if err != nil {
			return a.note(&stateError{err}, nil)
		}
		for _, d := range digests {
			for _, repo := range where[d] {
				found[d] = append(found[d], plan.Place{Registry: registry, Repo: repo})
			}
		}
	}
	a.t.listedElsewhere(a.ctx, digests, found)
	return a.note(nil, func() {
		for _, d := range digests {
			a.t.facts.Elsewhere[d] = found[d]
		}
	})
}

// listedElsewhere adds the manifests that bulk listings of the job's other targets
// show. It waits for these no longer than Options.Patience.
func (t *target) listedElsewhere(ctx context.Context, digests []v1.Hash, found map[v1.Hash][]plan.Place) {
	patience := time.NewTimer(t.opts.Patience)
	defer patience.Stop()
	for _, at := range places(t.targets) {
		if _, reader := t.readers[at.Registry]; !reader || at == t.place {
			continue
		}
		other := t.targets[at]
		select {
		case <-other.listed:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
		for _, d := range digests {
			if other.shown[d] && !slices.Contains(found[d], at) {
				found[d] = append(found[d], at)
			}
		}
	}
}
