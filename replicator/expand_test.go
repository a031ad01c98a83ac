package replicator

import (
	"strings"
	"testing"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

func TestExpand(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		want        string // jobs: sources, then targets
		problems    string // words that the problems say, in order
	}{
		{"each repository by itself", `
rules:
  - {name: r, from: {registry: src}, to: [{registry: one}]}`,
			"a/x > one/a/x | a/y > one/a/y | b > one/b", ""},
		{"two targets are one job", `
rules:
  - {name: r, from: {registry: src, repositories: {include: ["b"]}}, to: [{registry: one}, {registry: two, repository: "m/{{.Repository}}"}]}`,
			"b > one/b two/m/b", ""},
		{"sources that meet are one job", `
rules:
  - {name: r, from: {registry: src, repositories: {include: ["a/*"]}}, to: [{registry: one, repository: "all"}]}
  - {name: s, from: {registry: src, repositories: {include: ["b"]}}, to: [{registry: one, repository: "all"}, {registry: two}]}`,
			"a/x a/y b > one/all two/b", ""},
		{"no match", `
rules:
  - {name: r, from: {registry: src, repositories: {include: ["z/**"]}}, to: [{registry: one}]}
  - {name: s, from: {registry: src, repositories: {include: ["b"]}}, to: [{registry: one}]}`,
			"b > one/b", "rule r: it matches no repository of src"},
		{"onto itself", `
rules:
  - {name: r, from: {registry: one, repositories: {include: ["b", "c"]}}, to: [{registry: one, repository: '{{if eq .Repository "b"}}b{{else}}m/{{.Repository}}{{end}}'}]}`,
			"c > one/m/c", "one/b would be copied onto itself"},
		{"paused", `
rules:
  - {name: r, paused: true, from: {registry: src}, to: [{registry: one}]}`, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.rules, nil)
			for _, repo := range []string{"a/x", "a/y", "b"} {
				r.load(repo, content.Image(repo, nil), "v1")
			}
			jobs, problems, err := r.Expand(t.Context(), r.set.Rules, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, j := range jobs {
				got = append(got, describe(j))
			}
			if text := strings.Join(got, " | "); text != tt.want {
				t.Errorf("jobs\n got %s\nwant %s", text, tt.want)
			}
			var said []string
			for _, p := range problems {
				said = append(said, p.String())
			}
			if text := strings.Join(said, " | "); !strings.Contains(text, tt.problems) || tt.problems == "" && text != "" {
				t.Errorf("problems\n got %s\nwant %s", text, tt.problems)
			}
		})
	}
}

func describe(j Job) string {
	var from, to []string
	seen := map[string]bool{}
	for _, l := range j.Links {
		if f := l.From.Repo; !seen["<"+f] {
			seen["<"+f] = true
			from = append(from, f)
		}
		if g := l.To.String(); !seen[">"+g] {
			seen[">"+g] = true
			to = append(to, g)
		}
	}
	return strings.Join(from, " ") + " > " + strings.Join(to, " ")
}

// A source without a catalog works where its repositories are listed by name.
func TestExpandWithoutCatalog(t *testing.T) {
	const rules = `
rules:
  - {name: named, from: {registry: src, repositories: {include: ["b"]}}, to: [{registry: one}]}
  - {name: globbed, from: {registry: src}, to: [{registry: one}]}`
	r := newRig(t, rules, func(_ string, q *registrytest.Quirks) { q.NoCatalog = true })
	jobs, problems, err := r.Expand(t.Context(), r.set.Rules, nil)
	if err != nil || len(jobs) != 1 || len(problems) != 1 {
		t.Fatalf("%v, %v, %v", jobs, problems, err)
	}
	if p := problems[0]; p.Rule != "globbed" || !p.Listing || !strings.Contains(p.Hint, "name the repositories") {
		t.Errorf("problem: %+v", p)
	}
	jobs, _, err = r.Expand(t.Context(), []policy.Rule{r.set.Rules[0]}, func(_, repo string) bool { return repo != "b" })
	if err != nil || len(jobs) != 0 {
		t.Errorf("only: %v, %v", jobs, err)
	}
}
