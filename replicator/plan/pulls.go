package plan

import (
	"cmp"
	"slices"

	"github.com/transship/transship/providers"
)

// Pulls is how many manifests a first copy has to read of a source whose registry
// allows so many in a time, and how long that takes.
type Pulls struct {
	Registry string `json:"registry"`
	Repo     string `json:"repository,omitempty"` // "" for a whole registry
	Read     int    `json:"read"`                 // manifests that were read for this plan
	Waiting  int    `json:"waiting"`              // that are still to be read
	Windows  int    `json:"windows"`              // for all of them, from the beginning
	providers.Pulls
}

// pulls tells so of each source, sorted; nothing of those of which nothing is read.
func (j *judge) pulls() []Pulls {
	var all []Pulls
	for place, src := range j.f.Sources {
		if src.Pulls == nil {
			continue
		}
		p := Pulls{Registry: place.Registry, Repo: place.Repo, Read: len(src.Manifests), Pulls: *src.Pulls}
		for _, n := range src.Waits {
			p.Waiting += n
		}
		if p.Windows = p.Pulls.Windows(p.Read + p.Waiting); p.Windows > 0 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, comparePulls)
	return all
}

func comparePulls(a, b Pulls) int {
	return cmp.Or(cmp.Compare(a.Registry, b.Registry), cmp.Compare(a.Repo, b.Repo))
}

// SumPulls adds up what is told of the repositories of each registry, sorted by it.
// What several targets want of one repository is read once: the most counts.
func SumPulls(all []Pulls) []Pulls {
	all = slices.SortedStableFunc(slices.Values(all), comparePulls)
	var sums []Pulls
	for i := 0; i < len(all); {
		one := all[i]
		for i++; i < len(all) && comparePulls(all[i], one) == 0; i++ {
			one.Read, one.Waiting = max(one.Read, all[i].Read), max(one.Waiting, all[i].Waiting)
		}
		n := len(sums)
		if n == 0 || sums[n-1].Registry != one.Registry {
			one.Repo = ""
			sums = append(sums, one)
			continue
		}
		sum := &sums[n-1]
		sum.Read, sum.Waiting = sum.Read+one.Read, sum.Waiting+one.Waiting
		sum.Left = min(sum.Left, one.Left)
		if one.Until.After(sum.Until) {
			sum.Until = one.Until
		}
	}
	for i := range sums {
		sums[i].Windows = sums[i].Pulls.Windows(sums[i].Read + sums[i].Waiting)
	}
	return sums
}
