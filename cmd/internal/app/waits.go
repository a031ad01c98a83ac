package app

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
)

// A waitingFor is what is left of a source that allows no more manifests to be read
// now. It is no failure.
type waitingFor struct {
	Registry string    `json:"registry"`
	Tags     int       `json:"tags"`  // at all targets
	Until    time.Time `json:"until"` // when there may be more
	Reason   string    `json:"reason"`
	Hint     string    `json:"hint,omitempty"`
}

// waitsOf sums up what waits by its source's registry, sorted by it.
func waitsOf(waits []replicator.Wait) (all []waitingFor) {
	waits = slices.Clone(waits)
	slices.SortStableFunc(waits, func(a, b replicator.Wait) int { return cmp.Compare(a.From.Registry, b.From.Registry) })
	for _, w := range waits {
		n := len(all)
		if n == 0 || all[n-1].Registry != w.From.Registry {
			all = append(all, waitingFor{Registry: w.From.Registry, Until: w.Until, Reason: w.Reason, Hint: w.Hint})
			n++
		}
		last := &all[n-1]
		last.Tags++
		if w.Until.After(last.Until) {
			last.Until = w.Until
		}
	}
	return all
}

func (w waitingFor) String() string {
	return fmt.Sprintf("%s of registry %s, until %s: %s", count(w.Tags, "tag"), w.Registry, w.Until.UTC().Format(time.RFC3339), w.Reason)
}

// writeWaits tells standard error what waits, and until when.
func (p *program) writeWaits(waits []waitingFor) {
	for _, w := range waits {
		p.trouble(w.Hint, "waiting: %s", w)
	}
}

// pullsLine tells how many manifests may be read now, where the host counts that.
func pullsLine(p *providers.Pulls) string {
	if p == nil {
		return ""
	}
	text := fmt.Sprintf("; pulls: %d of %d in %s left to us, %d kept for others", p.Left, p.Limit, brief(p.Window), p.Reserve)
	if !p.Until.IsZero() {
		text += ", more from " + p.Until.UTC().Format(time.RFC3339) + " on"
	}
	return text
}

// pullNotes tells how many manifests are to be read of registries that allow so many
// in a time, a sentence each.
func pullNotes(pulls []plan.Pulls) (notes []string) {
	for _, s := range pulls {
		note := fmt.Sprintf("registry %s lets us read %d manifests in %s (%d, of which %d are kept for others): a first sync reads %d, which takes %s",
			s.Registry, s.Each(), brief(s.Window), s.Limit, s.Reserve, s.Read+s.Waiting, count(s.Windows, "window"))
		if s.Waiting > 0 {
			note += fmt.Sprintf("; %d of them are not read yet", s.Waiting)
		}
		notes = append(notes, note)
	}
	return notes
}
