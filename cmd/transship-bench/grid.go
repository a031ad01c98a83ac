package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A grid is a table before it is text or Markdown. The first columns hold names and
// the last ones words, which are set to the left; all between are figures, set to
// the right.
type grid struct {
	head  []string
	names int // how many of the first columns hold names
	words int // how many of the last columns hold words
	rows  [][]string
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// figure reports whether a column holds figures.
func (g grid) figure(column int) bool { return column >= g.names && column < len(g.head)-g.words }

// text prints the grid with its columns under each other.
func (g grid) text(w io.Writer) {
	widths := make([]int, len(g.head))
	lines := append([][]string{g.head}, g.rows...)
	for _, cells := range lines {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, cells := range lines {
		var b strings.Builder
		for i, c := range cells {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if i > 0 {
				b.WriteString("  ")
			}
			if g.figure(i) {
				b.WriteString(space + c)
			} else {
				b.WriteString(c + space)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// markdown prints the grid as a Markdown table.
func (g grid) markdown(w io.Writer) {
	line := func(cells []string) {
		safe := make([]string, len(cells))
		for i, c := range cells {
			safe[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(safe, " | "))
	}
	line(g.head)
	rule := make([]string, len(g.head))
	for i := range rule {
		rule[i] = "---"
		if g.figure(i) {
			rule[i] = "--:"
		}
	}
	line(rule)
	for _, cells := range g.rows {
		line(cells)
	}
}
