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
	refreshing chan struct{} // has one while somebody lists rules that are not its own

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

// othersWithin is how long one waits for the lists of other rules.
const othersWithin = time.Minute

// ExpandRule is Expand of one rule, with those jobs of others that hang together
// with its own. The rule's repositories are listed; those of other rules are taken
// as they were listed within the last hour. The problems are the rule's own. A
// registry that cannot be reached holds up its own rules only.
func (e *Engine) ExpandRule(ctx context.Context, rule policy.Rule) ([]Job, []Problem, error) {
	x := &expansion{e: e, outages: &e.outages, listed: map[string]listing{}}
	x.rule(ctx, rule)
	mine, problems := x.links, x.problems
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	e.book.write(x, rule.Name)
	if err := e.refresh(ctx, rule.Name); err != nil {
		return nil, nil, err
	}
	if len(problems) == 0 {
		e.warn("forget where targets stood that are none any more", e.forget(ctx, rule.Name, mine))
	}
	x.links = e.book.connected(x, mine)
	x.expect()
	return x.jobs(), problems, nil
}

// refresh lists the rules but one that were not listed for an hour, those of several
// registries side by side. The error is ctx's cause.
func (e *Engine) refresh(ctx context.Context, but string) error {
	select {
	case e.book.refreshing <- struct{}{}:
		defer func() { <-e.book.refreshing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	within, cancel := context.WithTimeout(ctx, othersWithin)
	defer cancel()
	var lists sync.WaitGroup
	for _, rules := range e.stale(but) {
		lists.Go(func() {
			x := &expansion{e: e, outages: &e.outages, listed: map[string]listing{}}
			for _, r := range rules {
				x.links, x.problems = nil, nil
				x.rule(within, r)
				e.book.write(x, r.Name)
			}
		})
	}
	lists.Wait()
	return context.Cause(ctx)
}

// stale returns the rules but one that were not listed for an hour, by registry. A
// registry that is down is left to its own rules.
func (e *Engine) stale(but string) map[string][]policy.Rule {
	now := e.opts.Now()
	old := map[string][]policy.Rule{}
	e.book.mu.Lock()
	defer e.book.mu.Unlock()
	for _, r := range e.opts.Policy.Rules {
		if r.Name != but && !r.Paused && now.Sub(e.book.pages[r.Name].listed) > bookLife && !e.outages.down(r.From.Registry, now) {
			old[r.From.Registry] = append(old[r.From.Registry], r)
		}
	}
	return old
}

// write replaces what is known of a rule by what x has. A rule whose repositories
// could not be listed keeps what was known.
func (b *book) write(x *expansion, rule string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pages == nil {
		b.pages, b.bySpot = map[string]page{}, map[string][]*survey.Link{}
	}
	p := page{listed: x.e.opts.Now()}
	if len(x.links) == 0 && len(x.problems) > 0 {
		p.links = b.pages[rule].links
		p.listed = p.listed.Add(outageTry - bookLife) // sooner
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
	for _, l := range x.links {
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
	b.mu.Lock()
	defer b.mu.Unlock()
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
