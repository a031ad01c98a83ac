package app

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestCommandReference holds docs/commands.md against the commands themselves.
func TestCommandReference(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/home/you/.local/state")
	t.Setenv("XDG_CACHE_HOME", "/home/you/.cache")
	var b strings.Builder
	b.WriteString("# Commands\n\nGenerated from the program by `go test ./cmd/internal/app -update`.\n\n" + exitHelp +
		"\nEvery flag has a twin in the environment: `--spool-dir` is `TRANSSHIP_SPOOL_DIR`.\n")
	root := (&program{opts: defaults(), stdout: &b, stderr: &b}).root()
	describe(&b, root)
	fmt.Fprintf(&b, "\n## Flags of every command\n\n```\n%s```\n", root.PersistentFlags().FlagUsages())

	const path = "../../../docs/commands.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("docs/commands.md is not what the commands say of themselves; run: go test ./cmd/internal/app -run CommandReference -update")
	}
}

// describe writes a section for each command below parent.
func describe(b *strings.Builder, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		if c.HasSubCommands() {
			describe(b, c)
			continue
		}
		long := c.Long
		if long == "" {
			long = c.Short + "."
		}
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n```\n%s\n```\n\n```\n%s\n```\n", c.CommandPath(), long, c.UseLine(), strings.TrimRight(c.Example, "\n"))
		if flags := c.LocalNonPersistentFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(b, "\n```\n%s```\n", flags)
		}
	}
}
