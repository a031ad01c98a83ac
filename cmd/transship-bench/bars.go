package main

import (
	"fmt"
	"math"
)

// A bar is what transship has to reach in a scenario: a figure that is to be at
// most a limit.
type bar struct {
	scenario string
	what     string
	// figure returns what was reached, what was the limit, or why neither can be
	// said. r has every scenario that was measured.
	figure func(r report, o outcome, ours row) (got, limit float64, unknown string)
	unit   unit
	// scaled is whether the limit is one for sizes at scale 1.
	scaled bool
}

// A unit is how a figure is printed.
type unit string

const (
	times    unit = "×"
	seconds  unit = "s"
	mebibyte unit = "MiB"
	count    unit = ""
)

func (u unit) print(figure float64) string {
	switch u {
	case times:
		return fmt.Sprintf("%.3f ×", figure)
	case seconds:
		return fmt.Sprintf("%.2f s", figure)
	case mebibyte:
		return fmt.Sprintf("%.1f MiB", figure)
	}
	return fmt.Sprintf("%.0f", figure)
}

// exactly is the limit of what is to be 1.00 ×: as it is printed.
const exactly = 1.00499

// width is the most requests that transship has in flight to one registry, unless
// its policy says otherwise.
const width = 32

// bars are those of the project, in one place. Whether the targets are right is
// a bar of every scenario and not in this list.
func bars() []bar {
	sourceBytes := func(limit float64) bar { return ratio("", "bytes read", sourceOf, bytesOf, limit) }
	targetBytes := func(limit float64) bar { return ratio("", "bytes sent", targetOf, bytesOf, limit) }
	var all []bar
	in := func(scenario string, of ...bar) {
		for _, b := range of {
			b.scenario = scenario
			all = append(all, b)
		}
	}
	in("first",
		ratio("", "requests at the source", sourceOf, requestsOf, 1.05),
		ratio("", "requests at the target", targetOf, requestsOf, 1.05),
		sourceBytes(exactly), targetBytes(exactly),
		at("CPU", seconds, 1.5, row.cpu), peakBar(),
		at("connections to the source", count, 2*width, func(r row) float64 { return float64(r.connections(sourceOf)) }),
		at("connections to the target", count, 2*width, func(r row) float64 { return float64(r.connections(targetOf)) }))
	in("first-far", at("wall", seconds, 5, row.wall))
	in("unchanged", at("requests at both", count, 430, bothRequests), at("wall", seconds, 2, row.wall))
	in("unchanged-2000", at("wall", seconds, 4, row.wall))
	in("shared", sourceBytes(1.02), targetBytes(1.02))
	in("three-targets", sourceBytes(1.02))
	in("fat", against("CPU", "crane", 1, row.cpu), fastest("wall", 1.2, row.wall), peakBar())
	in("fat-reset-source", sourceBytes(exactly))
	in("fat-reset-upload", sourceBytes(exactly), targetBytes(exactly))
	in("fat-reset-whole", sourceBytes(exactly))
	in("faults", sourceBytes(1.05), targetBytes(1.05), than("wall", "first", 3, row.wall))
	in("kill", sourceBytes(1.03))
	in("clouds",
		perRepository("source", sourceOf, 1), perRepository("targets", targetOf, 2),
		at("wall", seconds, 60, row.wall))
	return all
}

func bytesOf(r row, of func(sample) side) float64    { return float64(r.bytes(of)) }
func requestsOf(r row, of func(sample) side) float64 { return float64(r.requests(of)) }

func bothRequests(r row) float64 {
	b := r.busiest()
	return float64(b.Source.Requests.total() + b.Target.Requests.total())
}

// at is a limit of its own.
func at(what string, u unit, limit float64, of func(row) float64) bar {
	return bar{what: what, unit: u, scaled: u != count, figure: func(_ report, _ outcome, ours row) (float64, float64, string) {
		return of(ours), limit, ""
	}}
}

func peakBar() bar {
	return at("peak memory", mebibyte, 64, func(r row) float64 { return float64(r.peak()) / (1 << 20) })
}

// perRepository is a limit on the calls to some clouds: of each repository one for
// each thousand rows, and one.
func perRepository(side string, of func(sample) side, clouds float64) bar {
	return bar{what: "calls at the " + side, unit: count, figure: func(_ report, o outcome, ours row) (float64, float64, string) {
		return float64(ours.requests(of)), clouds * (math.Ceil(float64(o.Shape.Manifests)/1000) + float64(o.Shape.Repositories)), ""
	}}
}

// ratio is a limit on how many times the minimum it takes.
func ratio(scenario, what string, of func(sample) side, figure func(row, func(sample) side) float64, limit float64) bar {
	return bar{scenario: scenario, what: what, unit: times, figure: func(_ report, o outcome, ours row) (float64, float64, string) {
		least := minimumRow(o.Minimum)
		by := figure(least, of)
		if by == 0 {
			return 0, limit, "the minimum is 0"
		}
		return figure(ours, of) / by, limit, ""
	}}
}

// minimumRow is the minimum as if a tool had reached it.
func minimumRow(m minimum) row {
	return row{Tool: "minimum", Runs: []sample{{
		Source: side{Requests: m.Source, Bytes: m.SourceBytes}, Target: side{Requests: m.Target, Bytes: m.TargetBytes},
	}}}
}

// against is a limit on how many times a peer's figure it takes.
func against(what, peer string, limit float64, of func(row) float64) bar {
	return bar{what: what + " of " + peer + "'s", unit: times, figure: func(_ report, o outcome, ours row) (float64, float64, string) {
		theirs := o.row(peer)
		if !theirs.measured() {
			return 0, limit, peer + " was not measured"
		}
		return of(ours) / of(theirs), limit, ""
	}}
}

// fastest is a limit on how many times the figure of the best peer that hashes
// and was right it takes.
func fastest(what string, limit float64, of func(row) float64) bar {
	return bar{what: what + " of the fastest hashing peer's", unit: times, figure: func(_ report, o outcome, ours row) (float64, float64, string) {
		best := math.Inf(1)
		for _, t := range knownTools() {
			if theirs := o.row(t.name); t.hashes && t.name != ours.Tool && theirs.measured() && theirs.wrong() == 0 {
				best = min(best, of(theirs))
			}
		}
		if math.IsInf(best, 1) {
			return 0, limit, "no hashing peer was measured"
		}
		return of(ours) / best, limit, ""
	}}
}

// than is a limit on how many times its own figure in another scenario it takes.
func than(what, other string, limit float64, of func(row) float64) bar {
	return bar{what: what + " of scenario " + other + "'s", unit: times, figure: func(r report, _ outcome, ours row) (float64, float64, string) {
		before := r.outcome(other).row(ours.Tool)
		if !before.measured() {
			return 0, limit, "scenario " + other + " was not measured"
		}
		return of(ours) / of(before), limit, ""
	}}
}

// A judgement is a bar, the figure, and whether it is held.
type judgement struct {
	Scenario string
	What     string
	Limit    string
	Figure   string
	Verdict  string // held, missed, or not judged: why
	Missed   bool
}

// judgements go through all bars of the scenarios that were measured.
func judgements(r report) []judgement {
	var all []judgement
	for _, o := range r.Scenarios {
		ours := o.row(ourName)
		if !ours.measured() {
			continue
		}
		all = append(all, rightness(o, ours))
		for _, b := range bars() {
			if b.scenario == o.Name {
				all = append(all, b.judge(r, o, ours))
			}
		}
	}
	return all
}

func rightness(o outcome, ours row) judgement {
	j := judgement{Scenario: o.Name, What: "targets", Limit: "right", Figure: result(ours), Verdict: "held"}
	if ours.wrong() > 0 {
		j.Verdict, j.Missed = "missed", true
	}
	return j
}

func (b bar) judge(r report, o outcome, ours row) judgement {
	got, limit, unknown := b.figure(r, o, ours)
	j := judgement{Scenario: o.Name, What: b.what, Limit: "≤ " + b.unit.print(limit), Figure: b.unit.print(got), Verdict: "held"}
	if limit == exactly {
		j.Limit = "1.00 ×"
	}
	switch {
	case unknown != "":
		j.Figure, j.Verdict = "–", "not judged: "+unknown
	case b.scaled && r.Scale != 1:
		j.Verdict = "not judged: the bar is one for scale 1"
	case got > limit:
		j.Verdict, j.Missed = "missed", true
	}
	return j
}
