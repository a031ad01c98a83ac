package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// A block is a place in a Markdown file that this program writes, between two
// marks on lines of their own.
type block struct {
	name  string
	write func(report) string
}

// blocks are those that a file may have.
func blocks() []block {
	return []block{
		{"bench", func(r report) string {
			var b bytes.Buffer
			_ = printMarkdown(&b, r) // a buffer takes everything
			return b.String()
		}},
		{"bench summary", func(r report) string {
			var b bytes.Buffer
			summaryTable(r).markdown(&b)
			fmt.Fprintf(&b, "\n%s %s\n", provenance(r), versions(r))
			return b.String()
		}},
	}
}

// versions lists the tools' versions in one sentence.
func versions(r report) string {
	var all []string
	for _, t := range r.Tools {
		if t.Version != "" {
			all = append(all, t.Name+" "+t.Version)
		}
	}
	return "Versions: " + strings.Join(all, ", ") + "."
}

// update writes the blocks of a Markdown file anew. A file without marks is an error.
func update(file string, r report) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, found := string(raw), false
	for _, b := range blocks() {
		begin, end := "<!-- "+b.name+" -->\n", "<!-- /"+b.name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		if !ok {
			continue
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			return fmt.Errorf("%s: %s has no %s after it", file, strings.TrimSpace(begin), end)
		}
		text, found = before+begin+"\n"+strings.TrimSpace(b.write(r))+"\n\n"+end+after, true
	}
	if !found {
		return fmt.Errorf("%s has no <!-- bench --> and no <!-- bench summary -->", file)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
