package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/policy"
)

func TestParts(t *testing.T) {
	for _, tt := range []struct{ repos, want string }{
		{"a/1 a/2 b/1 c/1 d/1", "a[a/1 a/2] b[b/1] c[c/1] d[d/1]"},
		{"a/1 a/2 a/3 a/4 a/5", "a[a/1 a/2] a[a/3 a/4] a[a/5]"},
		{"a/1 b/1 a/2 b/2 a/3", "a[a/1 a/2] a[a/3] b[b/1] b[b/2]"},
		{"x/y/1 x/2", "x/y[x/y/1] x[x/2]"},
		{"one", ".[one]"},
	} {
		var got []string
		for _, p := range parts(strings.Fields(tt.repos), 4) {
			got = append(got, p.folder+fmt.Sprint(p.repos))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %s, want %s", tt.repos, strings.Join(got, " "), tt.want)
		}
	}
}

// Whatever a tool writes is below its own folder, and its environment names
// nothing else.
func TestPassesStayInTheirFolder(t *testing.T) {
	for _, login := range []bool{false, true} {
		for _, k := range knownTools() {
			j := job{dir: t.TempDir(), source: "127.0.0.1:1", targets: []string{"127.0.0.1:2", "127.0.0.1:3"},
				repos: []string{"a/1", "a/2", "b/1"}, login: login, chunks: "no"}
			batches, err := k.pass("/bin/"+k.name, j)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 1, false: 2}[k.name == ourName]; len(batches) != want {
				t.Errorf("%s: %d batches for two targets, want %d", k.name, len(batches), want)
			}
			for _, b := range batches {
				for _, c := range b.commands {
					for _, word := range append(c.args, c.env...) {
						_, value, _ := strings.Cut(word, "=")
						if p := strings.TrimPrefix(value, "-"); filepath.IsAbs(p) && !strings.HasPrefix(p, j.dir) && !strings.HasPrefix(word, "PATH=") {
							t.Errorf("%s: %s is outside of its folder", k.name, word)
						}
						if strings.Contains(word, password) {
							t.Errorf("%s: the password is on the command line, where everybody sees it", k.name)
						}
					}
				}
			}
			if holdsPassword(t, j.dir) != login {
				t.Errorf("%s with login %v: its files hold the password: %v", k.name, login, !login)
			}
		}
	}
}

// holdsPassword reports whether a file of the folder has the password, encoded or not.
func holdsPassword(t *testing.T, dir string) (holds bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(p)
		holds = holds || strings.Contains(string(raw), password) || strings.Contains(string(raw), "YmVuY2g6YmVuY2gtb25seQ==")
		return err
	})
	must(t, err)
	return holds
}

// The policy is one that transship takes, with everything in it.
func TestPolicy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	j := job{source: "127.0.0.1:1", targets: []string{"127.0.0.1:2", "127.0.0.1:3"}, repos: []string{"a/1", "b/1"}, login: true, chunks: "yes"}
	must(t, os.WriteFile(file, []byte(policyOf(j)), 0o600))
	set, err := policy.Load(file)
	must(t, err)
	if len(set.Registries) != 3 || len(set.Rules) != 1 || len(set.Rules[0].To) != 2 || len(set.Rules[0].From.Repositories.Include) != 2 {
		t.Errorf("%+v", set)
	}
	if got := set.Registries["target-2"].Capabilities["chunks"]; string(got) != "yes" {
		t.Errorf("chunks: %q", got)
	}
}
