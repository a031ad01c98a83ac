package plan

import (
	"cmp"
	"maps"
	"slices"
)

// slowed tells which rules' images are asked about less often than they say,
// sorted by rule and registry.
func (j *judge) slowed() []Slowed {
	type key struct{ rule, registry string }
	found := map[key]Slowed{}
	for _, w := range j.f.Wants {
		src, r := j.f.Sources[w.From], w.Rule
		if slower := r.RecheckSaid > 0 && r.Recheck > r.RecheckSaid; !r.Referrers || !slower && len(src.PutOff) == 0 {
			continue
		}
		k := key{r.Name, w.From.Registry}
		s := found[k]
		s.Rule, s.Registry = k.rule, k.registry
		s.Said, s.Every = r.RecheckSaid, max(s.Every, r.Recheck)
		if src.PutOff[w.Digest] {
			s.PutOff++
		}
		found[k] = s
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Slowed) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Registry, b.Registry))
	})
}
