package policy

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	set := mustParse(t, design+`
  - {name: idle, paused: true, from: {registry: prod}, to: [{registry: disk}]}
  - {name: back, from: {registry: gcp}, to: [{registry: disk}]}
  - {name: tags, from: {registry: prod}, to: [{registry: disk, repository: "UP{{.Repository}}"}, {registry: gcp, repository: x, tag: "{{.Tag}}-x"}]}
`)
	for _, tt := range []struct {
		name string
		q    Question
		want string
	}{
		{"by names alone", Question{Registry: "prod", Repository: "team-a/web", Tag: "v1.3"}, `rule apps takes it
  repository team-a/web: include "team-*/**" matches
  tag v1.3: include "v*" matches, and semver ">=1.2"
  left open, as the registry was not asked: its age, and whether it is among the newest 50 by semver
  to gcp: acme/mirror/team-a/web:v1.3
  to azure: dr/team-a/web:v1.3
rule idle leaves it
  paused: the rule does nothing for now
rule back leaves it
  registry: the rule reads from gcp, not from prod
rule tags takes it
  repository team-a/web: everything is included
  tag v1.3: everything is included
  to disk: template "UP{{.Repository}}" does not fit repository "team-a/web": "UPteam-a/web" is no repository name: upper case is not allowed; use the template function lower
  to gcp: x:v1.3-x
`},
		{"by host, with the tags", Question{Registry: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", Repository: "team-a/web", Tag: "v1.3",
			Now: noon(), Tags: tagsOf(t, "v1.3@10m")}, `rule apps leaves it
  repository team-a/web: include "team-*/**" matches
  tag v1.3: minAge 1h: pushed 2026-05-01T11:50:00Z, taken from 2026-05-01T12:50:00Z on
`},
		{"a repository", Question{Registry: "prod", Repository: "team-a/scratch"}, `rule apps leaves it
  repository team-a/scratch: exclude "**/scratch" matches
`},
		{"a tag that is not there", Question{Registry: "prod", Repository: "team-a/web", Tag: "v9", Tags: tagsOf(t, "v1")}, `rule apps leaves it
  repository team-a/web: include "team-*/**" matches
  tag v9: the repository has no such tag
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			for _, e := range set.Explain(tt.q) {
				got.WriteString(e.String())
			}
			if !strings.HasPrefix(got.String(), tt.want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), tt.want)
			}
		})
	}
}

func TestCollisions(t *testing.T) {
	at := func(text string) Location {
		endpoint, repo, _ := strings.Cut(text, "/")
		return Location{endpoint, repo}
	}
	// read reads "src/a:v1=d1 -> dst/x:v1".
	read := func(lines ...string) (all []Mapping) {
		for _, line := range lines {
			from, to, _ := strings.Cut(line, " -> ")
			from, digest, _ := strings.Cut(from, "=")
			source, tag, _ := strings.Cut(from, ":")
			target, targetTag, _ := strings.Cut(to, ":")
			all = append(all, Mapping{Rule: "r", Source: at(source), Target: at(target), Tag: tag, TargetTag: targetTag, Digest: digest})
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"apart", []string{"s/a:v1 -> t/a:v1", "s/b:v1 -> t/b:v1"}, ""},
		{"one repository, different tags", []string{"s/a:v1 -> t/x:v1", "s/b:v2 -> t/x:v2"}, ""},
		{"repositories alone", []string{"s/a -> t/x", "s/b -> t/x"}, ""},
		{"one tag", []string{"s/b:v1 -> t/x:v1", "s/a:v1 -> t/x:v1"},
			"s/a:v1 (rule r) and s/b:v1 (rule r) both map to t/x:v1; tell them apart by a repository or tag template, or exclude one"},
		{"one tag, the same content", []string{"s/a:v1=d1 -> t/x:v1", "s/b:v1=d1 -> t/x:v1"}, ""},
		{"one tag, other content", []string{"s/a:v1=d1 -> t/x:v1", "s/b:v1=d2 -> t/x:v1"},
			"s/a:v1 (rule r) and s/b:v1 (rule r) both map to t/x:v1; tell them apart by a repository or tag template, or exclude one"},
		{"two tags of one repository", []string{"s/a:v1 -> t/x:v", "s/a:v2 -> t/x:v"},
			"s/a:v1 (rule r) and s/a:v2 (rule r) both map to t/x:v; tell them apart by a repository or tag template, or exclude one"},
		{"one source by two rules", []string{"s/a:v1 -> t/x:v1", "s/a:v1 -> t/x:v1"}, ""},
		{"a third one differs", []string{"s/a:v1=d -> t/x:v1", "s/b:v1=d -> t/x:v1", "s/c:v1=e -> t/x:v1"},
			"s/a:v1 (rule r) and s/c:v1 (rule r) both map to t/x:v1; tell them apart by a repository or tag template, or exclude one"},
		{"onto itself", []string{"s/a -> s/a"},
			"s/a (rule r) would be copied onto itself; give the target a repository template that leads elsewhere, or exclude it"},
		{"a tag onto itself", []string{"s/a:v1 -> s/a:v1"},
			"s/a:v1 (rule r) would be copied onto itself; give the target a repository template that leads elsewhere, or exclude it"},
		{"a new tag beside the old", []string{"s/a:v1 -> s/a:v1-copy"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range Collisions(read(tt.lines...)) {
				got = append(got, c.Reason)
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), tt.want)
			}
		})
	}
}

func TestCheckCapabilities(t *testing.T) {
	set := mustParse(t, `
registries: {a: {host: a.example.com}, b: {host: b.example.com}}
rules:
  - {name: one, from: {registry: a}, to: [{registry: b}], tags: {newest: {count: 5, by: pushed}}}
  - {name: two, from: {registry: b}, to: [{registry: a}], tags: {newest: {count: 5, by: pushed}}}
  - {name: three, from: {registry: a}, to: [{registry: b, repository: x}], tags: {newest: {count: 5, by: semver}}}
`)
	got := set.CheckCapabilities(func(registry string) bool { return registry == "b" }).Error()
	want := `policy.yaml:4:89: rules[0].tags.newest.by: registry "a" does not tell when a tag was pushed; use by: semver, or minAge and maxAge, which go by when a tag was first seen`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
