package main

import (
	"fmt"
	"io"
	"strings"
)

// A column of the requests table.
type column struct {
	above, title string
	width        int
	of           func(tally) string
}

func columns() []column {
	n := func(f func(requests) int64) func(tally) string {
		return func(t tally) string { return number(f(t.Requests)) }
	}
	return []column{
		{"", "list", 5, n(func(r requests) int64 { return r.Lists })},
		{"", "HEAD", 6, n(func(r requests) int64 { return r.Heads })},
		{"manifest", "GET", 9, n(func(r requests) int64 { return r.ManifestGets })},
		{"refer-", "rers", 7, n(func(r requests) int64 { return r.Referrers })},
		{"blob", "GET", 5, n(func(r requests) int64 { return r.BlobGets })},
		{"", "mount", 6, n(func(r requests) int64 { return r.Mounts })},
		{"upload", "POST+PUT", 9, n(func(r requests) int64 { return r.Uploads })},
		{"manifest", "PUT", 9, n(func(r requests) int64 { return r.ManifestPuts })},
		{"", "API", 4, n(func(r requests) int64 { return r.API })},
		{"in", "all", 5, n(func(r requests) int64 { return r.Total })},
		{"apart", "*", 6, n(requests.apart)},
		{"", "bytes", 10, func(t tally) string { return size(t.BytesOut + t.BytesIn) }},
	}
}

// nameWidth is that of the first column, passWidth where it names a pass too.
const (
	nameWidth = 9
	passWidth = 24
)

// requestTable prints a line for each registry in each pass.
func requestTable(w io.Writer, s style, passes []pass) {
	cols := columns()
	fmt.Fprintln(w, s.dim(heading(cols, func(c column) string { return c.above })))
	fmt.Fprintln(w, s.dim(heading(cols, func(c column) string { return c.title })))
	for _, p := range passes {
		fmt.Fprintln(w, s.bold(p.Name))
		for _, t := range p.Sides {
			var b strings.Builder
			fmt.Fprintf(&b, "  %-*s", nameWidth-2, t.Registry)
			for _, c := range cols {
				b.WriteString(pad(c.of(t), c.width))
			}
			fmt.Fprintln(w, b.String())
		}
	}
}

// blobTable prints how blobs came to each target, for the passes that wrote.
func blobTable(w io.Writer, s style, passes []pass, targets []string) {
	fmt.Fprintln(w, s.dim(fmt.Sprintf("%-*s%10s%10s%15s", passWidth, "", "copied", "mounted", "already there")))
	for _, p := range passes {
		for _, name := range targets {
			b := p.side(name).Blobs
			if b == (blobs{}) {
				continue
			}
			fmt.Fprintf(w, "%-*s%s%s%s\n", passWidth, p.Name+", "+name,
				pad(number(b.Copied), 10), pad(number(b.Mounted), 10), pad(number(b.Present), 15))
		}
	}
}

func heading(cols []column, of func(column) string) string {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", nameWidth))
	for _, c := range cols {
		b.WriteString(pad(of(c), c.width))
	}
	return strings.TrimRight(b.String(), " ")
}

// pad sets text to the right, counting characters.
func pad(text string, width int) string {
	return strings.Repeat(" ", max(0, width-len([]rune(text)))) + text
}

// number prints n, and nothing worth looking at as a dot.
func number(n int64) string {
	if n == 0 {
		return "·"
	}
	return fmt.Sprint(n)
}

// wrap breaks text into lines of at most width characters, those after the first
// with an indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i > 0 && line+1+n > width:
			b.WriteString("\n" + indent)
			line = len(indent)
		case i > 0:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += n
	}
	return b.String()
}

// size prints bytes in the units of 1000 that transfers are paid in.
func size(n int64) string {
	switch {
	case n == 0:
		return "·"
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
