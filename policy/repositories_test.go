package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestRepositoriesMatch(t *testing.T) {
	for _, tt := range []struct {
		include, exclude, repo string
		ok                     bool
		reason                 string
	}{
		{"", "", "a/b", true, "everything is included"},
		{"team-*/**", "", "team-a/web/api", true, `include "team-*/**" matches`},
		{"team-*/**", "", "team-a", true, `include "team-*/**" matches`},
		{"team-*/*", "", "team-a/web/api", false, "no include matches"},
		{"team-*/**", "**/scratch", "team-a/web/scratch", false, `exclude "**/scratch" matches`},
		{"team-*/**", "**/scratch", "team-a/web/scratch2", true, `include "team-*/**" matches`},
		{"**", "**/scratch", "scratch", false, `exclude "**/scratch" matches`},
		{"web", "", "web", true, `include "web" matches`},
		{"web", "", "web/api", false, "no include matches"},
		{"{web,api}-?", "", "api-1", true, `include "{web,api}-?" matches`},
		{"v[!0-3]", "", "v4", true, `include "v[!0-3]" matches`},
		{"*", "", "a/b", false, "no include matches"},
	} {
		r := Repositories{Include: strings.Fields(tt.include), Exclude: strings.Fields(tt.exclude)}
		if ok, reason := r.Match(tt.repo); ok != tt.ok || reason != tt.reason {
			t.Errorf("include %q exclude %q: %s is %v, %s", tt.include, tt.exclude, tt.repo, ok, reason)
		}
	}
}

func TestRepositoriesLiteralAndPrefix(t *testing.T) {
	for _, tt := range []struct {
		include, exclude, literal string
		ok                        bool
		prefix                    string
	}{
		{"", "", "", false, ""},
		{"b a b", "", "a b", true, ""},
		{"team/b team/a", "team/b", "team/a", true, "team/"},
		{"team/b team/*", "", "", false, "team/"},
		{"team-a/** team-b/**", "", "", false, "team-"},
		{"team/**", "", "", false, "team"},
		{"team/*", "", "", false, "team/"},
		{"team{/**,s}", "", "", false, "team"},
		{"team/{**,x}", "", "", false, "team"},
		{"a/b", "a/b", "", true, "a/b"},
	} {
		r := Repositories{Include: strings.Fields(tt.include), Exclude: strings.Fields(tt.exclude)}
		names, ok := r.Literal()
		if ok != tt.ok || strings.Join(names, " ") != tt.literal {
			t.Errorf("Literal of %q is %q, %v", tt.include, names, ok)
		}
		if got := r.Prefix(); got != tt.prefix {
			t.Errorf("Prefix of %q is %q", tt.include, got)
		}
	}
}

func TestTypeFilter(t *testing.T) {
	f := TypeFilter{Include: []string{"application/vnd.oci.*"}, Exclude: []string{"*/*+zstd"}}
	for typ, want := range map[string]bool{
		"application/vnd.oci.image.manifest.v1+json": true, "application/vnd.oci.x+zstd": false, "text/plain": false, "": false,
	} {
		if ok, reason := f.Match(typ); ok != want || reason == "" {
			t.Errorf("%q is %v, %s", typ, ok, reason)
		}
	}
}

func TestMapping(t *testing.T) {
	for _, tt := range []struct{ template, repo, want, problem string }{
		{"", "team/web", "team/web", ""},
		{"acme/mirror/{{.Repository}}", "team/web", "acme/mirror/team/web", ""},
		{"{{.Registry}}/{{.Repository}}", "web", "prod/web", ""},
		{`{{.Repository | trimPrefix "team-"}}`, "team-a/web", "a/web", ""},
		{`{{trimSuffix "/web" .Repository}}`, "team/web", "team", ""},
		{`{{.Repository | replace "/" "-"}}`, "a/b/c", "a-b-c", ""},
		{`x/{{.Repository | regexReplace "^team-([^/]+)/" "$1-"}}`, "team-a/web/ui", "x/a-web/ui", ""},
		{`{{.Repository | regexReplace "(?P<t>[a-z]+)/(.*)" "${2}/${t}"}}`, "a/b/c", "b/c/a", ""},
		{"dr/{{base .Repository}}", "a/b/c", "dr/c", ""},
		{"dr/{{dir .Repository}}", "a/b/c", "dr/a/b", ""},
		{"{{lower .Repository}}", "Team/Web", "team/web", ""},
		{`{{if eq (dir .Repository) "a"}}one{{else}}two{{end}}`, "a/b", "one", ""},
		{`{{if eq (dir .Repository) "a"}}one{{else}}two{{end}}`, "b/b", "two", ""},
		{"dr/{{dir .Repository}}", "top", "", `"dr/" is no repository name: it is empty, or has an empty part`},
		{"", "Team/Web", "", `repository "Team/Web" cannot keep its name at the target`},
		{"a/{{.Repository}}", "x//y", "", `template "a/{{.Repository}}" does not fit repository "x//y": "a/x//y"`},
		{"{{.Repository}}", "a", "a", ""},
		{`{{.Repository | replace "a" "aaaaaaaaaa" | replace "a" "aaaaaaaaaa" | replace "a" "aaaaaaaaaa" | replace "a" "aaaaaaaaaa"}}`, "a", "", "a name grew beyond 4096 bytes"},
	} {
		got, err := Rule{}.MapRepository(Target{Repository: tt.template}, "prod", tt.repo)
		if tt.problem == "" && (err != nil || got != tt.want) {
			t.Errorf("%s maps %s to %q, %v", tt.template, tt.repo, got, err)
		}
		if tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
			t.Errorf("%s maps %s to %q, %v; want the error %q", tt.template, tt.repo, got, err, tt.problem)
		}
	}
}

func TestMapTag(t *testing.T) {
	for _, tt := range []struct{ template, tag, want, problem string }{
		{"", "v1", "v1", ""},
		{`{{.Tag | trimPrefix "v"}}`, "v1.2", "1.2", ""},
		{"{{base .Repository}}-{{.Tag}}", "v1", "web-v1", ""},
		{`{{trimPrefix "v" .Tag}}`, "v", "", `does not fit "team/web:v": "" is no tag`},
		{`{{.Tag}}{{.Tag}}`, strings.Repeat("x", 100), "", "is no tag"},
	} {
		got, err := Rule{}.MapTag(Target{Tag: tt.template}, "prod", "team/web", tt.tag)
		if tt.problem == "" && (err != nil || got != tt.want) || tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
			t.Errorf("%s maps %s to %q, %v", tt.template, tt.tag, got, err)
		}
	}
}

func TestTemplatesAreForNames(t *testing.T) {
	for template, problem := range map[string]string{
		"{{range 9}}x{{end}}":                              "not allowed",
		"{{with .Repository}}x{{end}}":                     "not allowed",
		`{{define "x"}}{{template "x"}}{{end}}`:            "define and block are not allowed",
		`{{block "x" .}}{{end}}`:                           "define and block are not allowed",
		`{{template "x"}}`:                                 "not allowed",
		`{{printf "%99d" 1}}`:                              `function "printf" is not allowed`,
		"{{$x := .Repository}}{{$x}}":                      "variables are not allowed",
		"{{.Tag}}":                                         "nothing is called .Tag here",
		"{{.repository}}":                                  "did you mean .Repository?",
		"{{.}}":                                            "not allowed",
		`{{call .Repository}}`:                             `function "call" is not allowed`,
		`{{if true}}{{html "x"}}{{end}}`:                   `function "html" is not allowed`,
		`{{if .X}}{{else if .Y}}{{end}}`:                   "nothing is called .X here",
		`{{(.Repository).Foo}}`:                            "not allowed",
		`{{.Repository | (regexReplace "[" "")}}`:          "regular expression",
		`{{.Repository.Foo}}`:                              "nothing is called .Repository.Foo here",
		strings.Repeat("x", maxName+1):                     "at most 4096 are allowed",
		`{{.Repository | trimPrefx "a"}}`:                  `did you mean "trimPrefix"?`,
		"{{.Repository":                                    "is not a template",
		"UPPER":                                            "upper case is not allowed",
		`{{if eq .Repository "a"}}{{.Nope}}{{end}}`:        "nothing is called .Nope here",
		`{{if and (eq 1 1) .Nope}}a{{end}}`:                "nothing is called .Nope here",
		`{{"x" | regexReplace "(" "y"}}`:                   "regular expression",
		`{{.Repository | slice 1 2}}`:                      `function "slice" is not allowed`,
		`{{if true}}{{break}}{{end}}`:                      "is not a template",
		`{{/* a comment */}}{{index .Repository 0}}`:       `function "index" is not allowed`,
		`{{not .Repository | len}}`:                        `function "len" is not allowed`,
		`{{.Repository}}{{if true}}{{template ""}}{{end}}`: "not allowed",
	} {
		err := checkNotation("repositoryTemplate", template)
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v; want the error %q", template, err, problem)
		}
	}
}

func TestNames(t *testing.T) {
	good := []string{"a", "a/b", "a.b", "a_b", "a__b", "a---b", "0/1", strings.Repeat("a", 255), "a-b/c.d_e"}
	bad := []string{"", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", "a.", "a b", "ä", strings.Repeat("a", 256), "a/-b", "a\nb", "a:b"}
	for _, name := range good {
		if err := checkRepository(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range bad {
		if checkRepository(name) == nil {
			t.Errorf("%q is taken for a repository", name)
		}
	}
	for tag, ok := range map[string]bool{"a": true, "_a": true, "A.b-C_1": true, strings.Repeat("x", 128): true,
		"": false, ".a": false, "-a": false, "a/b": false, "a:b": false, "a\n": false, strings.Repeat("x", 129): false} {
		if (checkTag(tag) == nil) != ok {
			t.Errorf("tag %q: %v", tag, checkTag(tag))
		}
	}
}

func TestHost(t *testing.T) {
	for host, ok := range map[string]bool{
		"registry.example.com": true, "registry.lab:5000": true, "localhost": true, "https://r.example.com": true,
		"http://r.example.com:80/": true, "[::1]:5000": true, "[::1]": true, "10.0.0.1:5000": true, "R.example.com": true,
		"": false, "r.example.com/path": false, "https://r.example.com/path": false, "ftp://r": false, "u:p@r.example.com": false,
		"https://u:p@r.example.com": false, "r.example.com:": false, "r.example.com:0": false, "r.example.com:x": false,
		"r example": false, "https://": false, ".r": false, "[::zz]:1": false, "https://r?x=1": false, "::1": true,
	} {
		if err := checkHost(host); (err == nil) != ok {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestEndpointAndFind(t *testing.T) {
	s := &Set{Registries: map[string]Registry{
		"a": {Host: "https://R.example.com:443"}, "b": {Host: "r.example.com:443"}, "c": {Provider: "layout", Path: "/srv//images/"},
	}}
	for host, want := range map[string]string{
		"https://R.example.com:443": "r.example.com", "r.example.com:80": "r.example.com:80", "docker.io": "index.docker.io",
		"registry-1.docker.io": "index.docker.io", "[::1]:443": "[::1]", "http://r:80": "r:80",
	} {
		if got := (Registry{Host: host}).Endpoint(); got != want {
			t.Errorf("endpoint of %s is %s", host, got)
		}
	}
	if got := (Registry{Host: "http://r:80", PlainHTTP: true}).Endpoint(); got != "r" {
		t.Errorf("endpoint with plain http is %s", got)
	}
	if got := s.Registries["c"].Endpoint(); got != "/srv/images" {
		t.Errorf("endpoint of c is %s", got)
	}
	if got := s.Find("r.example.com"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the host is %v", got)
	}
	if got := s.Find("c"); !slices.Equal(got, []string{"c"}) || s.Find("d") != nil {
		t.Errorf("the name is %v", got)
	}
}
