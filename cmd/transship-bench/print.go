package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// formats are the ways to print a report, by the ending of a file's name.
var formats = map[string]func(io.Writer, report) error{
	"text": printText, "txt": printText,
	"json":     printJSON,
	"markdown": printMarkdown, "md": printMarkdown,
}

func printJSON(w io.Writer, r report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func printText(w io.Writer, r report) error {
	return printWith(w, r, func(level int, title string) {
		mark := "="
		if level > 2 {
			mark = "-"
		}
		fmt.Fprintf(w, "\n%s\n%s\n", title, strings.Repeat(mark, len([]rune(title))))
	}, grid.text)
}

func printMarkdown(w io.Writer, r report) error {
	return printWith(w, r, func(level int, title string) {
		fmt.Fprintf(w, "\n%s %s\n\n", strings.Repeat("#", level), title)
	}, grid.markdown)
}

// printWith prints all of a report; title begins a section, table prints a grid.
func printWith(out io.Writer, r report, title func(int, string), table func(grid, io.Writer)) error {
	w := &sticky{w: out}
	fmt.Fprintln(w, provenance(r))
	title(2, "Bars")
	table(barsTable(r), w)
	title(2, "Tools")
	table(toolsTable(r), w)
	for _, o := range r.Scenarios {
		title(2, o.Name+": "+o.Title)
		fmt.Fprintf(w, "%s. %s\n\n", sentence(o.About), shapeText(o))
		table(figuresTable(o), w)
		fmt.Fprintln(w)
		table(classTable(o), w)
	}
	return w.err
}

func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// shapeText describes the corpus.
func shapeText(o outcome) string {
	s := o.Shape
	return fmt.Sprintf("Corpus: %d repositories, %d tags, %d manifests, %d referrers, %d blobs, %s unique, %s summed. Measured %s.",
		s.Repositories, s.Tags, s.Manifests, s.Referrers, s.Blobs, size(s.UniqueBytes), size(s.SummedBytes), o.Date)
}

func toolsTable(r report) grid {
	g := grid{names: 1, words: 2, head: []string{"tool", "version", "how"}}
	for _, t := range r.Tools {
		version := t.Version
		if t.Missing != "" {
			version = t.Missing
		}
		g.add(t.Name, version, t.How)
	}
	return g
}

// provenance says where and when.
func provenance(r report) string {
	text := "Machine: " + r.Machine.String() + "; registries and tools share it. "
	dates := datesOf(r)
	if dates != "" {
		text += "Measured " + dates + ". "
	}
	text += fmt.Sprintf("Seed %d", r.Seed)
	if r.Scale != 1 {
		text += fmt.Sprintf(", sizes at %g of the real ones", r.Scale)
	}
	return text + "."
}

// datesOf is the day, or the first and the last.
func datesOf(r report) string {
	var first, last string
	for _, o := range r.Scenarios {
		if first == "" || o.Date < first {
			first = o.Date
		}
		last = max(last, o.Date)
	}
	if first == last {
		return first
	}
	return first + " to " + last
}

// A sticky writer keeps its first error and writes nothing after it.
type sticky struct {
	w   io.Writer
	err error
}

func (s *sticky) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}
