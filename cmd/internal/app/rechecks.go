package app

import (
	"fmt"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator/plan"
)

// slowed tells of rules whose unchanged images are asked about less often than
// they say, a sentence each.
func slowed(all []plan.Slowed) (notes []string) {
	for _, s := range plan.SumSlowed(all) {
		const why = "a tenth of its limits.requests allows no more"
		if s.Every > s.Said {
			notes = append(notes, fmt.Sprintf("rule %s asks %s for new referrers of unchanged images every %s, not every %s: %s",
				s.Rule, s.Registry, brief(s.Every), brief(s.Said), why))
			continue
		}
		notes = append(notes, fmt.Sprintf("rule %s leaves it to later runs to ask %s for new referrers of some unchanged images: %s",
			s.Rule, s.Registry, why))
	}
	return notes
}

// brief prints d as a policy would, without seconds where it is long.
func brief(d time.Duration) string {
	if d > time.Hour {
		d = d.Round(time.Minute)
	}
	return policy.Duration(d).String()
}
