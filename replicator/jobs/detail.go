package jobs

import (
	"encoding/json"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// A way is a link as a row keeps it: any process with the policy can make the link
// of it again.
type way struct {
	Rule string     `json:"rule"`
	From plan.Place `json:"from"`
	To   plan.Place `json:"to"`
	Pass string     `json:"pass,omitempty"` // the tracer's note of the pass that asked; on the first only
}

// detailOf is what a row keeps of its job, and of the pass that asks for it.
func detailOf(job replicator.Job, pass string) string {
	ways := make([]way, 0, len(job.Links))
	for _, l := range job.Links {
		ways = append(ways, way{Rule: l.Rule.Name, From: l.From, To: l.To})
	}
	if len(ways) > 0 {
		ways[0].Pass = pass
	}
	text, _ := json.Marshal(ways) // strings always marshal
	return string(text)
}

// jobOf is the job of a row by the policy in force: ways of rules that are gone,
// stand still or lead elsewhere now are left out. pass is the note of who asked.
func jobOf(set *policy.Set, c *state.Claim) (job replicator.Job, pass string) {
	job = replicator.Job{Key: c.Key, Hints: c.Hints}
	var ways []way
	if json.Unmarshal([]byte(c.Detail), &ways) != nil || len(ways) == 0 {
		return job, ""
	}
	for _, w := range ways {
		if l, ok := w.link(set); ok {
			job.Links = append(job.Links, l)
		}
	}
	return job, ways[0].Pass
}

func (w way) link(set *policy.Set) (replicator.Link, bool) {
	rule, ok := set.Rule(w.Rule)
	if taken, _ := rule.From.Repositories.Match(w.From.Repo); !ok || !taken || rule.Paused || rule.From.Registry != w.From.Registry {
		return replicator.Link{}, false
	}
	for _, t := range rule.To {
		if to, err := rule.MapRepository(t, w.From.Registry, w.From.Repo); err == nil && t.Registry == w.To.Registry && to == w.To.Repo {
			return replicator.Link{Rule: rule, Target: t, From: w.From, To: w.To}, true
		}
	}
	return replicator.Link{}, false
}
