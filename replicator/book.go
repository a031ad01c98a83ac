package replicator

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator/survey"
)

// A book knows the links of all rules as they were last listed, so that one rule
// can be expanded without the others: jobs hang together across rules.
type book struct {
	mu     sync.Mutex
	pages  map[string]page           // by rule
	bySpot map[string][]*survey.Link // by where they lead from and to
}

// A page is what is known of one rule.
type page struct {
	links  []*survey.Link
	listed time.Time
}

// bookLife is how long another rule's links are believed without being listed.
const bookLife = time.Hour

// ExpandRule is Expand of one rule, with those jobs of others that hang together
// with its own. The rule's repositories are listed; those of other rules are taken
// as they were listed within the last hour. The problems are the rule's own.
func (e *Engine) ExpandRule(ctx context.Context, rule policy.Rule) ([]Job, []Problem, error) {
	e.book.mu.Lock()
	defer e.book.mu.Unlock()
	x := &expansion{e: e, listed: map[string]listing{}}
	x.rule(ctx, rule)
	mine, problems := x.links, x.problems
	e.book.write(x, rule.Name, mine)
	for _, other := range e.opts.Policy.Rules {
		if other.Name != rule.Name && !other.Paused && e.opts.Now().Sub(e.book.pages[other.Name].listed) > bookLife {
			x.links, x.problems = nil, nil
			x.rule(ctx, other)
			e.book.write(x, other.Name, x.links)
		}
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	x.links = e.book.connected(x, mine)
	x.expect()
	return x.jobs(), problems, nil
}

// write replaces what is known of a rule. A rule whose repositories could not be
// listed keeps what was known.
func (b *book) write(x *expansion, rule string, links []survey.Link) {
	if b.pages == nil {
		b.pages, b.bySpot = map[string]page{}, map[string][]*survey.Link{}
	}
	p := page{listed: x.e.opts.Now()}
	if len(links) == 0 && len(x.problems) > 0 {
		p.links = b.pages[rule].links
		b.pages[rule] = p
		return
	}
	for _, l := range b.pages[rule].links {
		for _, spot := range x.spots(*l) {
			b.bySpot[spot] = slices.DeleteFunc(b.bySpot[spot], func(other *survey.Link) bool { return other == l })
			if len(b.bySpot[spot]) == 0 {
				delete(b.bySpot, spot)
			}
		}
	}
	for _, l := range links {
		p.links = append(p.links, &l)
		for _, spot := range x.spots(l) {
			b.bySpot[spot] = append(b.bySpot[spot], &l)
		}
	}
	b.pages[rule] = p
}

// connected returns mine and all links of whatever rule that lead from a source or
// to a target of theirs, and so on.
func (b *book) connected(x *expansion, mine []survey.Link) (links []survey.Link) {
	seen := map[string]bool{}
	taken := map[*survey.Link]bool{}
	for ahead := slices.Clone(mine); len(ahead) > 0; ahead = ahead[1:] {
		for _, spot := range x.spots(ahead[0]) {
			if seen[spot] {
				continue
			}
			seen[spot] = true
			for _, l := range b.bySpot[spot] {
				if !taken[l] {
					taken[l] = true
					links = append(links, *l)
					ahead = append(ahead, *l)
				}
			}
		}
	}
	return links
}

// spots names where a link leads from and to.
func (x *expansion) spots(l survey.Link) [2]string {
	return [2]string{"from " + x.spot(l.From), "to " + x.spot(l.To)}
}
