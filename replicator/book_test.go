package replicator

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
)

// expandRule returns the jobs of one rule as text.
func (r *rig) expandRule(name string) string {
	r.t.Helper()
	rule, ok := r.set.Rule(name)
	if !ok {
		r.t.Fatalf("no rule %s", name)
	}
	jobs, problems, err := r.ExpandRule(r.t.Context(), rule)
	if err != nil {
		r.t.Fatal(err)
	}
	var got []string
	for _, j := range jobs {
		got = append(got, describe(j))
	}
	for _, p := range problems {
		got = append(got, "("+p.Reason+")")
	}
	return strings.Join(got, " | ")
}

// TestExpandRule holds that a rule's jobs are those that Expand makes of all rules,
// and that the repositories of others are listed once an hour, not once a rule.
func TestExpandRule(t *testing.T) {
	r := newRig(t, `
rules:
  - {name: all, from: {registry: src, repositories: {include: ["a/*"]}}, to: [{registry: one, repository: "all"}]}
  - {name: b, from: {registry: src, repositories: {include: [b]}}, to: [{registry: one, repository: "all"}, {registry: two}]}
  - {name: far, from: {registry: src, repositories: {include: ["c*"]}}, to: [{registry: two, repository: "far/{{.Repository}}"}]}
  - {name: off, paused: true, from: {registry: src}, to: [{registry: two, repository: "off/{{.Repository}}"}]}`, nil)
	for _, repo := range []string{"a/x", "a/y", "b", "c"} {
		r.load(repo, content.Image(repo, nil), "v1")
	}
	catalogs := func(rule, want string) int64 {
		t.Helper()
		before := r.servers["src"].Counts().Requests[registrytest.Catalog]
		if got := r.expandRule(rule); got != want {
			t.Errorf("jobs of %s\n got %s\nwant %s", rule, got, want)
		}
		return r.servers["src"].Counts().Requests[registrytest.Catalog] - before
	}
	if n := catalogs("b", "a/x a/y b > one/all two/b"); n != 2 {
		t.Errorf("the first look took %d catalogs, want those of two prefixes", n)
	}
	if n := catalogs("b", "a/x a/y b > one/all two/b"); n != 0 {
		t.Errorf("another look at a rule of plain names took %d catalogs", n)
	}
	r.load("a/z", content.Image("z", nil), "v1")
	if n := catalogs("far", "c > two/far/c"); n != 1 {
		t.Errorf("a look at one rule took %d catalogs, want its own", n)
	}
	catalogs("all", "a/x a/y a/z b > one/all two/b")
	catalogs("b", "a/x a/y a/z b > one/all two/b")

	r.servers["src"].Set(func(q *registrytest.Quirks) { q.NoCatalog = true })
	if got := r.expandRule("all"); !strings.HasPrefix(got, "(source: ") {
		t.Errorf("a rule that cannot be listed has jobs: %s", got)
	}
	catalogs("b", "a/x a/y a/z b > one/all two/b")
}

// TestForgetStandings holds that where nothing leads any more nothing is behind: a
// repository that left its source, and a target that the policy has no more.
func TestForgetStandings(t *testing.T) {
	r := newRig(t, `
rules:
  - {name: apps, from: {registry: src, repositories: {include: ["a/*"]}}, to: [{registry: one}]}
  - {name: other, from: {registry: src, repositories: {include: ["b"]}}, to: [{registry: one}]}`, nil)
	r.load("a/x", content.Image("x", nil), "v1")
	at := func(rule, source, target, name string) state.Standing {
		return state.Standing{Rule: rule, Source: state.Repo{Host: r.servers["src"].Host(), Name: source},
			Target: state.Repo{Host: r.servers[target].Host(), Name: name}, Surveyed: r.now}
	}
	for _, s := range []state.Standing{at("apps", "a/x", "one", "a/x"), at("apps", "a/gone", "one", "a/gone"), at("apps", "a/x", "two", "a/x"), at("other", "b", "two", "b")} {
		if err := r.state.SetStanding(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
	}
	past := func(name string) state.Standing {
		s, err := r.pastOf(t.Context(), at("apps", name, "one", name))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if past("a/gone").Surveyed.IsZero() {
		t.Error("what is known of a target is not taken from state")
	}
	r.expandRule("apps")
	if !past("a/gone").Surveyed.IsZero() || past("a/x").Surveyed.IsZero() {
		t.Errorf("a repository that comes back begins with %+v, one that stayed with %+v", past("a/gone"), past("a/x"))
	}
	list, err := r.state.Standings(t.Context(), "")
	var got []string
	for _, s := range list {
		got = append(got, s.Rule+" "+s.Source.Name)
	}
	if text := strings.Join(got, "; "); err != nil || text != "apps a/x; other b" || list[0].Target.Host != r.servers["one"].Host() {
		t.Errorf("standings %s: %+v, %v", text, list, err)
	}

	r.servers["src"].Set(func(q *registrytest.Quirks) { q.NoCatalog = true })
	r.expandRule("apps")
	if list, err := r.state.Standings(t.Context(), "apps"); err != nil || len(list) != 1 {
		t.Errorf("a list that failed made what is known forgotten: %v, %v", list, err)
	}
}
