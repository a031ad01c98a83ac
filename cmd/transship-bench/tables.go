package main

import (
	"fmt"
	"strings"

	"github.com/transship/transship/providers/registrytest"
)

// figuresTable is a line for the minimum and one for each tool.
func figuresTable(o outcome) grid {
	g := grid{names: 1, words: 1, head: []string{
		"tool", "runs", "wall s", "CPU s", "peak MiB",
		"source req", "source bytes", "conn", "target req", "target bytes", "conn",
		"ping", "token", "redirect", "exit", "result",
	}}
	least := minimumRow(o.Minimum)
	g.add("minimum", "", "", "", "",
		fmt.Sprint(least.requests(sourceOf)), size(least.bytes(sourceOf)), "",
		fmt.Sprint(least.requests(targetOf)), size(least.bytes(targetOf)), "", "", "", "", "", "")
	for _, r := range o.Rows {
		g.rows = append(g.rows, figuresLine(r, least, len(g.head)))
	}
	return g
}

func figuresLine(r row, least row, columns int) []string {
	if !r.measured() {
		cells := make([]string, columns)
		cells[0], cells[columns-1] = r.Tool, result(r)
		if d := r.Derived; d != nil {
			cells[5] = ratioOf(fmt.Sprint(d.Source), d.Source, least.requests(sourceOf))
			cells[8] = ratioOf(fmt.Sprint(d.Target), d.Target, least.requests(targetOf))
		}
		return cells
	}
	x := r.busiest()
	apart := func(c registrytest.Class) string { return number(x.Source.Requests[c] + x.Target.Requests[c]) }
	return []string{
		r.Tool, fmt.Sprint(len(r.Runs)), fmt.Sprintf("%.2f", r.wall()), fmt.Sprintf("%.2f", r.cpu()),
		fmt.Sprintf("%.1f", float64(r.peak())/(1<<20)),
		ratioOf(fmt.Sprint(r.requests(sourceOf)), r.requests(sourceOf), least.requests(sourceOf)),
		ratioOf(size(r.bytes(sourceOf)), r.bytes(sourceOf), least.bytes(sourceOf)),
		fmt.Sprint(r.connections(sourceOf)),
		ratioOf(fmt.Sprint(r.requests(targetOf)), r.requests(targetOf), least.requests(targetOf)),
		ratioOf(size(r.bytes(targetOf)), r.bytes(targetOf), least.bytes(targetOf)),
		fmt.Sprint(r.connections(targetOf)),
		apart(registrytest.Ping), apart(registrytest.Token), apart(registrytest.Storage),
		fmt.Sprint(r.worst().Exit), result(r),
	}
}

// result says in words what a tool came to.
func result(r row) string {
	switch {
	case r.Derived != nil:
		return r.Derived.How
	case r.Missing != "":
		return r.Missing
	case len(r.Runs) == 0:
		return "not measured"
	case r.Runs[0].Failed != "":
		return "not measured: " + r.Runs[0].Failed
	}
	worst := r.worst()
	said := worst.Verdict.String()
	if worst.TimedOut {
		said = "timed out: " + said
	}
	if n := r.wrong(); n > 0 && n < len(r.Runs) {
		said += fmt.Sprintf(" (%d of %d runs)", n, len(r.Runs))
	}
	return said
}

// classTable is a line for each class of requests at each side.
func classTable(o outcome) grid {
	g := grid{names: 1, head: []string{"requests", "minimum"}}
	var measured []sample
	for _, r := range o.Rows {
		if r.measured() {
			g.head = append(g.head, r.Tool)
			measured = append(measured, r.busiest())
		}
	}
	for _, at := range []struct {
		name  string
		least requests
		of    func(sample) side
	}{{"source", o.Minimum.Source, sourceOf}, {"target", o.Minimum.Target, targetOf}} {
		for _, class := range registrytest.Classes() {
			seen := at.least[class]
			cells := []string{at.name + " " + string(class), number(at.least[class])}
			for _, x := range measured {
				n := at.of(x).Requests[class]
				seen += n
				cells = append(cells, number(n))
			}
			if seen > 0 {
				g.rows = append(g.rows, cells)
			}
		}
	}
	return g
}

// barsTable is a line for each bar.
func barsTable(r report) grid {
	g := grid{names: 2, words: 1, head: []string{"scenario", "what", "bar", "transship", "verdict"}}
	for _, j := range judgements(r) {
		g.add(j.Scenario, j.What, j.Limit, j.Figure, j.Verdict)
	}
	return g
}

// summaryTable is a line for each scenario and a column for each tool.
func summaryTable(r report) grid {
	g := grid{names: 1, head: []string{"work"}}
	for _, t := range r.Tools {
		g.head = append(g.head, t.Name)
	}
	g.words = len(r.Tools)
	for _, o := range r.Scenarios {
		cells := []string{o.Title}
		for _, t := range r.Tools {
			cells = append(cells, summary(o, o.row(t.Name)))
		}
		g.rows = append(g.rows, cells)
	}
	return g
}

// summary is a tool's outcome in a few words.
func summary(o outcome, r row) string {
	if d := r.Derived; d != nil {
		least := minimumRow(o.Minimum)
		return fmt.Sprintf("%.2f × requests (derived)", float64(d.Source+d.Target)/float64(least.requests(sourceOf)+least.requests(targetOf)))
	}
	if !r.measured() {
		return result(r)
	}
	parts := []string{fmt.Sprintf("%.1f s", r.wall())}
	least := minimumRow(o.Minimum)
	if all := least.requests(sourceOf) + least.requests(targetOf); all > 0 {
		parts = append(parts, fmt.Sprintf("%.2f × requests", float64(r.requests(sourceOf)+r.requests(targetOf))/float64(all)))
	}
	if by := least.bytes(sourceOf); by > 0 {
		parts = append(parts, fmt.Sprintf("%.2f × bytes read", float64(r.bytes(sourceOf))/float64(by)))
	}
	if r.wrong() > 0 {
		parts = append(parts, "**"+result(r)+"**")
	}
	return strings.Join(parts, ", ")
}

// ratioOf appends how many times the least a figure is.
func ratioOf(text string, n, least int64) string {
	if least == 0 {
		return text
	}
	return fmt.Sprintf("%s (%.2f)", text, float64(n)/float64(least))
}

// number prints n, and nothing worth looking at as a dot.
func number(n int64) string {
	if n == 0 {
		return "·"
	}
	return fmt.Sprint(n)
}

// size prints bytes in the units of 1000 that transfers are paid in.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e10:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
