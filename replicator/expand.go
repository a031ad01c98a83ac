package replicator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/survey"
)

// A Job is one look at source repositories whose targets hang together.
type Job = survey.Job

// A Link is one rule's way from one source repository to one target repository.
type Link = survey.Link

// A Problem is something about a rule that keeps a part of it from being run.
type Problem struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
	// Listing is set if the repositories could not be listed, which may pass.
	Listing bool `json:"listing,omitempty"`
}

func (p Problem) String() string {
	if p.Hint == "" {
		return fmt.Sprintf("rule %s: %s", p.Rule, p.Reason)
	}
	return fmt.Sprintf("rule %s: %s; %s", p.Rule, p.Reason, p.Hint)
}

// Expand lists the repositories of rules and returns their jobs, sorted by key.
// Source repositories that lead to the same target repository, by whatever
// rule, are one job, and so are all targets of a source. only, which may be nil,
// narrows it to some repositories. What keeps a rule or a repository out is told,
// sorted by rule; the rest goes on. The error is ctx's cause.
func (e *Engine) Expand(ctx context.Context, rules []policy.Rule, only func(rule, repo string) bool) ([]Job, []Problem, error) {
	x := &expansion{e: e, only: only, listed: map[string]listing{}}
	for _, r := range rules {
		if !r.Paused {
			x.rule(ctx, r)
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
	}
	slices.SortStableFunc(x.problems, func(a, b Problem) int { return cmp.Compare(a.Rule, b.Rule) })
	x.expect()
	return x.jobs(), x.problems, nil
}

// expect tells each registry which of its repositories will be asked for. One that
// cannot be opened is told of by whoever asks it.
func (x *expansion) expect() {
	repos := map[string][]string{}
	for _, l := range x.links {
		for _, p := range []plan.Place{l.From, l.To} {
			repos[p.Registry] = append(repos[p.Registry], p.Repo)
		}
	}
	for registry, names := range repos {
		if reg, err := x.e.opts.Registries(registry); err == nil {
			slices.Sort(names)
			reg.Expect(slices.Compact(names)...)
		}
	}
}

type expansion struct {
	e        *Engine
	only     func(rule, repo string) bool
	outages  *outages           // nil asks in any case
	listed   map[string]listing // by registry and prefix
	links    []survey.Link
	problems []Problem
}

type listing struct {
	repos []string
	err   error
}

func (x *expansion) problem(r policy.Rule, hint, format string, args ...any) {
	x.problems = append(x.problems, Problem{Rule: r.Name, Reason: fmt.Sprintf(format, args...), Hint: hint})
}

// rule adds a link for each of r's repositories and targets.
func (x *expansion) rule(ctx context.Context, r policy.Rule) {
	repos, err := x.repositories(ctx, r)
	if err != nil {
		x.problems = append(x.problems, Problem{Rule: r.Name, Reason: err.Error(), Hint: providers.HintOf(err), Listing: true})
		return
	}
	if len(repos) == 0 {
		x.problem(r, "look at from.repositories, and at what the registry's account may see",
			"it matches no repository of %s", r.From.Registry)
	}
	for _, repo := range repos {
		if x.only == nil || x.only(r.Name, repo) {
			x.link(r, repo)
		}
	}
}

// repositories returns those that r takes, sorted: by their names if the rule
// lists them literally, otherwise from the catalog.
func (x *expansion) repositories(ctx context.Context, r policy.Rule) ([]string, error) {
	from := r.From.Repositories
	if names, ok := from.Literal(); ok {
		return names, nil
	}
	l := x.catalog(ctx, r.From.Registry, from.Prefix())
	if l.err != nil {
		return nil, l.err
	}
	m, err := from.Matcher()
	if err != nil {
		return nil, err
	}
	var taken []string
	for _, repo := range l.repos {
		if ok, _ := m.Match(repo); ok {
			taken = append(taken, repo)
		}
	}
	return taken, nil
}

// catalog lists a registry's repositories once, however many rules ask.
func (x *expansion) catalog(ctx context.Context, registry, prefix string) listing {
	key := registry + " " + prefix
	if l, ok := x.listed[key]; ok {
		return l
	}
	var l listing
	reg, err := x.e.opts.Registries(registry)
	if err != nil {
		l.err = fmt.Errorf("source: registry %s: %w", registry, err)
		return l
	}
	if err := x.outages.refuse(registry, x.e.opts.Now()); err != nil {
		l.err = fmt.Errorf("source: %w", err)
		return l
	}
	for repo, err := range reg.Repositories(ctx, prefix) {
		if err != nil {
			l.err = err
			break
		}
		l.repos = append(l.repos, repo)
	}
	x.outages.tell(ctx, registry, l.err, x.e.opts.Now())
	if l.err != nil {
		l.err = fmt.Errorf("source: %w", l.err)
	}
	slices.Sort(l.repos)
	l.repos = slices.Compact(l.repos)
	x.listed[key] = l
	return l
}

// link adds r's way for one repository to each of its targets.
func (x *expansion) link(r policy.Rule, repo string) {
	for _, t := range r.To {
		to, err := r.MapRepository(t, r.From.Registry, repo)
		if err != nil {
			x.problem(r, "", "%v", err)
			continue
		}
		l := survey.Link{
			Rule: r, Target: t,
			From: plan.Place{Registry: r.From.Registry, Repo: repo}, To: plan.Place{Registry: t.Registry, Repo: to},
		}
		if x.spot(l.From) == x.spot(l.To) && t.Tag == "" {
			x.problem(r, "give the target a repository template that leads elsewhere, or exclude it",
				"%s would be copied onto itself", l.From)
			continue
		}
		x.links = append(x.links, l)
	}
}

// spot names a repository by where it really is: two names of the policy may be
// the same registry.
func (x *expansion) spot(p plan.Place) string {
	return x.e.opts.Policy.Registries[p.Registry].Endpoint() + "/" + p.Repo
}

// jobs groups the links that hang together.
func (x *expansion) jobs() []Job {
	groups := newGroups()
	for _, l := range x.links {
		spots := x.spots(l)
		groups.join(spots[0], spots[1])
	}
	byRoot := map[string]*Job{}
	for _, l := range x.links {
		root := groups.root(x.spots(l)[0])
		if byRoot[root] == nil {
			byRoot[root] = &Job{}
		}
		byRoot[root].Links = append(byRoot[root].Links, l)
	}
	var jobs []Job
	for _, j := range byRoot {
		slices.SortStableFunc(j.Links, compareLinks)
		j.Key = "run/" + j.Links[0].From.String()
		jobs = append(jobs, *j)
	}
	slices.SortFunc(jobs, func(a, b Job) int { return cmp.Compare(a.Key, b.Key) })
	return jobs
}

func compareLinks(a, b survey.Link) int {
	return cmp.Or(strings.Compare(a.From.String(), b.From.String()), strings.Compare(a.To.String(), b.To.String()),
		strings.Compare(a.Rule.Name, b.Rule.Name))
}

// groups is a union-find over names.
type groups struct{ parent map[string]string }

func newGroups() groups { return groups{map[string]string{}} }

func (g groups) root(name string) string {
	for g.parent[name] != "" {
		if up := g.parent[g.parent[name]]; up != "" {
			g.parent[name] = up
		}
		name = g.parent[name]
	}
	return name
}

func (g groups) join(a, b string) {
	if a, b = g.root(a), g.root(b); a != b {
		g.parent[a] = b
	}
}
