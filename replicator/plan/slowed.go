package plan

import (
	"cmp"
	"maps"
	"slices"
)

// slowed tells which rules' images are asked about less often than they say,
// sorted by rule and registry.
func (j *judge) slowed() []Slowed {
	var all []Slowed
	for _, w := range j.f.Wants {
		src, r := j.f.Sources[w.From], w.Rule
		slower := r.RecheckSaid > 0 && r.Recheck > r.RecheckSaid
		if !r.Referrers || !slower && !src.PutOff[w.Digest] {
			continue
		}
		s := Slowed{Rule: r.Name, Registry: w.From.Registry, Said: r.RecheckSaid, Every: r.Recheck}
		if src.PutOff[w.Digest] {
			s.PutOff = 1
		}
		all = append(all, s)
	}
	return SumSlowed(all)
}

// SumSlowed adds up what is of one rule and registry, with the longest period,
// sorted by these.
func SumSlowed(all []Slowed) []Slowed {
	type key struct{ rule, registry string }
	found := map[key]Slowed{}
	for _, s := range all {
		sum := found[key{s.Rule, s.Registry}]
		s.Said, s.Every, s.PutOff = max(s.Said, sum.Said), max(s.Every, sum.Every), s.PutOff+sum.PutOff
		found[key{s.Rule, s.Registry}] = s
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Slowed) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Registry, b.Registry))
	})
}
