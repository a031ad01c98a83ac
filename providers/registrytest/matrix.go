package registrytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// A Cell is what a provider does in one respect, in the words of the table in
// docs/providers.md, and the test that proves it. What a registry lacks is proved
// like what it has: by its being refused, or done without.
type Cell struct {
	Says string // at most 100 characters: "tags with digests, 100 a page"
	Test func(t *testing.T)
}

// A Matrix is the provider's row of the table. Every cell is needed.
type Matrix struct {
	Provider string

	Source    Cell // being read from
	Target    Cell // being written to
	Bulk      Cell // how many calls tell a repository's tags and digests
	Creation  Cell // of repositories
	Referrers Cell // how they are kept, listed and found
	Mount     Cell // of blobs between repositories
	Conflict  Cell // a tag that may not be moved
	Expiry    Cell // what ends by itself: credentials, uploads, untagged manifests
	Throttle  Cell // how it is asked to go slower, and what is kept free

	// Update writes the row instead of comparing it.
	Update bool
	// Page is the file with the table; docs/providers.md of the module by default.
	Page string
}

// Columns are the table's, in its order.
var Columns = []string{"source", "target", "bulk", "creation", "referrers", "mount", "conflict", "expiry", "throttle"}

func (m Matrix) cells() []Cell {
	return []Cell{m.Source, m.Target, m.Bulk, m.Creation, m.Referrers, m.Mount, m.Conflict, m.Expiry, m.Throttle}
}

// longest is the size of a cell in characters, so that the table can be read.
const longest = 100

// Run proves the cells, each as a subtest by the column's name, and holds the
// provider's row of the table against those that ran: what no test proves cannot
// be in it.
func (m Matrix) Run(t *testing.T) {
	t.Helper()
	proved := 0
	for i, c := range m.cells() {
		t.Run(Columns[i], func(t *testing.T) {
			switch {
			case c.Test == nil || c.Says == "":
				t.Fatal("the cell has no test, or says nothing")
			case utf8.RuneCountInString(c.Says) > longest || strings.ContainsAny(c.Says, "|\n"):
				t.Fatalf("the cell does not fit into the table: %q", c.Says)
			}
			c.Test(t)
			if !t.Failed() && !t.Skipped() {
				proved++
			}
		})
	}
	if t.Failed() || proved < len(Columns) {
		return // a part was chosen, or is broken: the row is not judged
	}
	m.hold(t)
}

// hold compares the row with the page's, or writes it.
func (m Matrix) hold(t *testing.T) {
	t.Helper()
	path := m.Page
	if path == "" {
		path = modulePath(t, "docs/providers.md")
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := withRow(string(page), m.Provider, m.row())
	switch {
	case err != nil:
		t.Fatalf("%s: %v", path, err)
	case want == string(page):
	case m.Update:
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not say of %s what its tests prove; go test -run Matrix -update writes:\n%s", path, m.Provider, m.row())
	}
}

func (m Matrix) row() string {
	parts := []string{"`" + m.Provider + "`"}
	for _, c := range m.cells() {
		parts = append(parts, c.Says)
	}
	return "| " + strings.Join(parts, " | ") + " |"
}

const rowsBegin, rowsEnd = "<!-- matrix -->", "<!-- /matrix -->"

// withRow returns the page with the provider's row in its table, sorted by name.
func withRow(page, provider, row string) (string, error) {
	head, rest, ok := strings.Cut(page, rowsBegin+"\n")
	table, tail, ended := strings.Cut(rest, rowsEnd)
	if !ok || !ended {
		return "", fmt.Errorf("no %s and %s around its table", rowsBegin, rowsEnd)
	}
	mark := "| `" + provider + "` |"
	rows := []string{row}
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| `") && !strings.HasPrefix(line, mark) {
			rows = append(rows, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(rows)
	top := "| provider | " + strings.Join(Columns, " | ") + " |\n|" + strings.Repeat(" --- |", len(Columns)+1) + "\n"
	return head + rowsBegin + "\n" + top + strings.Join(rows, "\n") + "\n" + rowsEnd + tail, nil
}

// modulePath finds a file of the module from the folder that the test runs in.
func modulePath(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, name)
		}
	}
	t.Fatal("the test does not run below the module")
	return ""
}
