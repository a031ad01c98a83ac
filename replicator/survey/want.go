package survey

import (
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// want adds to the facts what a link's rule wants for the target.
func (t *target) want(l Link) {
	src := t.sources[l.From]
	rule, before := planRule(l, src), len(t.facts.Wants)
	rule.Readers, rule.Import = t.readersOf(l), l.Target.Via == policy.ViaImport
	for _, name := range src.names {
		if v, ok := src.verdicts[l.Rule.Name][name]; ok {
			t.wantTag(l, src, rule, v)
		}
	}
	for _, digest := range src.digests(l.Rule) {
		t.facts.Wants = append(t.facts.Wants, plan.Want{Rule: rule, From: l.From, Ref: digest.String(), Digest: digest})
	}
	// What was read to resolve the tags is known to every target.
	f := t.facts.Sources[l.From]
	for _, w := range t.facts.Wants[before:] {
		if m, ok := src.wasRead(w.Ref); ok {
			f.Manifests[m.Digest] = m
		}
	}
}

// wantTag adds one tag, or says why it is left.
func (t *target) wantTag(l Link, src *source, rule *plan.Rule, v policy.Selection) {
	tag, err := l.Rule.MapTag(l.Target, l.From.Registry, l.From.Repo, v.Tag)
	digest, resolved := src.digest(v.Tag)
	failure := src.gone[v.Tag]
	switch {
	case err != nil:
		t.left(l, v.Tag, "", plan.LeftRefused, err.Error(), "change the target's tag template, or exclude the tag")
	case src.rows[v.Tag].archived:
		t.left(l, v.Tag, tag, plan.LeftArchived, "the source lists it as archived", "restore it at the source, or exclude the tag")
	case !v.Taken:
		t.left(l, v.Tag, tag, plan.LeftCooling, v.Reason, "")
	case providers.KindOf(failure) == providers.NotFound:
		t.left(l, v.Tag, tag, plan.LeftSkipped, "the source lists the tag and does not have it", "")
	case failure != nil:
		t.failed(l, v.Tag, tag, plan.Fail(sideSource, failure))
	case resolved:
		t.facts.Wants = append(t.facts.Wants, plan.Want{
			Rule: rule, From: l.From, Ref: v.Tag, Tag: tag, Digest: digest,
			MediaType: src.media(v.Tag), Pushed: src.rows[v.Tag].tagged,
		})
	}
}

// wasRead returns the manifest of a tag that was read to resolve it.
func (s *source) wasRead(tag string) (plan.Manifest, bool) {
	digest, ok := s.tags.told(tag)
	if !ok {
		return plan.Manifest{}, false
	}
	return s.manifests.told(digest)
}

// digests returns what the rule wants without a tag.
func (s *source) digests(r policy.Rule) []v1.Hash {
	var list []v1.Hash
	for _, text := range r.Tags.Digests {
		if h, err := v1.NewHash(text); err == nil {
			list = append(list, h)
		}
	}
	if r.Tags.Untagged && len(s.job.Hints) == 0 {
		list = append(list, s.untagged...)
	}
	slices.SortFunc(list, func(a, b v1.Hash) int { return compare(a, b) })
	return slices.Compact(list)
}

func compare(a, b v1.Hash) int {
	if a.String() < b.String() {
		return -1
	}
	if a == b {
		return 0
	}
	return 1
}

// planRule is what a plan needs of a link's rule.
func planRule(l Link, src *source) *plan.Rule {
	r := l.Rule
	said := r.RecheckEvery(len(src.names) + len(src.untagged))
	return &plan.Rule{
		Name: r.Name, Selection: r.Fingerprint(), Platforms: r.Platforms,
		MediaTypes: r.MediaTypes, ArtifactTypes: r.ArtifactTypes,
		Referrers: r.ReferrersOn(), Children: r.ChildReferrersOn(),
		Recheck: max(said, src.budget.period()), RecheckSaid: said,
		CopyForeign: r.Foreign() == policy.CopyForeign, VerifyEvery: r.VerifyInterval(),
		OnConflict: r.ConflictAt(l.Target), OnGone: r.GoneAt(l.Target),
	}
}
