package all

import (
	"os"
	"strings"
	"testing"
)

// TestEveryProviderHasItsRow holds that docs/providers.md tells of each provider,
// and that the text has a page for each.
func TestEveryProviderHasItsRow(t *testing.T) {
	page, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		if n := strings.Count(string(page), "\n| `"+name+"` |"); n != 1 {
			t.Errorf("%d rows of %s, want one: go test ./providers/%s -run TestMatrix -update", n, name, name)
		}
		if _, err := os.Stat("../../docs/" + name + ".md"); err != nil && name != "oci" && name != "layout" {
			t.Errorf("no page: %v", err)
		}
	}
}
