package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBounds feeds what is made to exhaust time or memory.
func TestBounds(t *testing.T) {
	large := "registries: {a: {host: a.example.com}}\n" + strings.Repeat("# 10 MB of words\n", 10<<20/17)
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, []byte(large), 0o600); err != nil {
		t.Fatal(err)
	}
	const tooLarge = "is larger than the 1MiB that a policy file may have; split it, and name its folder instead"
	_, err := Load(file)
	if ps := problemsOf(t, err); len(ps) != 1 || ps[0].Message != tooLarge || ps[0].File != file {
		t.Errorf("10 MB in a file: %v", err)
	}
	for _, tt := range []struct{ name, text, problem string }{
		{"10 MB", large, tooLarge},
		{"aliases of aliases", billionLaughs(), "rules[2].immutableTags[0]: expected text, found a list"},
		{"an alias inside itself", "rules: &a [*a]", "expected a mapping (key: value), found a list"},
		{"aliases of a rule", "rules:\n- &a {name: a}\n" + strings.Repeat("- *a\n", 150_000), "the file has more than 100000 values"},
		{"unknown keys", "registries: {a: {" + numbered(60_000, "k%d: 1, ") + "}}", "and 801 more problems"},
		{"unknown registries", "registries: {" + numbered(5_000, "r%d: {host: h}, ") + "}\nrules: [" + numbered(15_000, "{name: n%d, from: {registry: none}},") + "]", `no registry "none"`},
		{"nested lists", "rules: " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), "expected a mapping"},
		{"nested too deep for YAML", strings.Repeat("[", 20_000), "is not YAML: exceeded max depth"},
		{"control characters", "a: \x00", "is not YAML: control characters are not allowed"},
		{"not UTF-8", "registries: {a: {host: \xff}}", "is not YAML: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := Parse("f.yaml", []byte(tt.text))
			if set != nil || err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Fatalf("got %.300v; want the problem %q", err, tt.problem)
			}
			if n := strings.Count(err.Error(), "\n"); n > maxPrinted {
				t.Errorf("%d lines are printed", n)
			}
		})
	}
}

// billionLaughs is nine lists of ten aliases to the one before, in a rule.
func billionLaughs() string {
	var b strings.Builder
	b.WriteString("rules:\n- {name: &a0 x}\n")
	for i := range 9 {
		fmt.Fprintf(&b, "- {name: n, immutableTags: &a%d [%s]}\n", i+1, strings.Repeat(fmt.Sprintf("*a%d , ", i), 10))
	}
	return b.String()
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
