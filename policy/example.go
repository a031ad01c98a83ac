package policy

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed examples/*.yaml
var exampleFiles embed.FS

// Examples returns the kinds of policy that [Example] knows, the usual one first.
func Examples() []string { return []string{"mirror", "dr", "migration", "airgap"} }

// Example returns a policy of the given kind with comments, to start from. It
// parses as it is.
func Example(kind string) (string, error) {
	text, err := exampleFiles.ReadFile("examples/" + kind + ".yaml")
	if err != nil {
		return "", fmt.Errorf("no example %s; expected %s%s", quote(kind), oneOf(Examples()), suggest(kind, Examples()))
	}
	return strings.TrimSpace(string(text)) + "\n", nil
}
