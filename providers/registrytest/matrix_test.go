package registrytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func provedBy(says string) Cell { return Cell{Says: says, Test: func(*testing.T) {}} }

// TestMatrixWritesItsRow holds that a row is put in its place, replaced, and found
// as it is, and that the others and the text around stay.
func TestMatrixWritesItsRow(t *testing.T) {
	page := filepath.Join(t.TempDir(), "providers.md")
	if err := os.WriteFile(page, []byte("# Providers\n\n"+rowsBegin+"\n| `zot` | old |\n| `abc` | other |\n"+rowsEnd+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := provedBy("yes")
	m := Matrix{Provider: "zot", Source: c, Target: c, Bulk: c, Creation: c, Referrers: c,
		Mount: c, Conflict: c, Expiry: c, Throttle: provedBy("429"), Page: page, Update: true}
	m.Run(t)
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := "| `abc` | other |\n| `zot` | yes | yes | yes | yes | yes | yes | yes | yes | 429 |\n" + rowsEnd + "\nafter\n"
	if !strings.HasSuffix(string(raw), want) || !strings.HasPrefix(string(raw), "# Providers\n\n"+rowsBegin+"\n| provider | source |") {
		t.Errorf("the page is\n%s", raw)
	}
	m.Update = false
	m.Run(t)
}

// TestMatrixNeedsItsTable holds that a page without a place for rows is an error.
func TestMatrixNeedsItsTable(t *testing.T) {
	if _, err := withRow("# Providers\n", "zot", "| `zot` |"); err == nil {
		t.Error("a row was written where there is no table")
	}
}
