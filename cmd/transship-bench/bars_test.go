package main

import (
	"slices"
	"strings"
	"testing"
)

// Every bar belongs to a scenario, and every figure of it can be computed.
func TestBarsBelong(t *testing.T) {
	for _, b := range bars() {
		if !slices.Contains(scenarioNames(), b.scenario) {
			t.Errorf("bar %q is for scenario %q, which is not there", b.what, b.scenario)
		}
	}
}

func TestJudgements(t *testing.T) {
	find := func(r report, scenario, what string) judgement {
		t.Helper()
		for _, j := range judgements(r) {
			if j.Scenario == scenario && strings.HasPrefix(j.What, what) {
				return j
			}
		}
		t.Fatalf("no judgement of %q in %s", what, scenario)
		return judgement{}
	}
	for _, tt := range []struct {
		name           string
		change         func(*report)
		scenario, what string
		figure         string
		verdict        string
	}{
		{"requests at the minimum", nil, "first", "requests at the source", "1.000 ×", "held"},
		{"requests over it", nil, "first", "requests at the target", "1.060 ×", "missed"},
		{"exactly", nil, "first", "bytes read", "1.000 ×", "held"},
		{"a little more", func(r *report) {
			ours(r).Source.Bytes = ours(r).Source.Bytes * 1006 / 1000
		}, "first", "bytes read", "1.006 ×", "missed"},
		{"CPU", nil, "first", "CPU", "1.51 s", "missed"},
		{"memory of the worst run", func(r *report) { ours(r).Peak = 65 << 20 }, "first", "peak", "65.0 MiB", "missed"},
		{"connections", nil, "first", "connections to the target", "70", "missed"},
		{"times of another scenario", nil, "faults", "wall", "2.000 ×", "held"},
		{"the other scenario is not there", func(r *report) { r.Scenarios = r.Scenarios[1:] }, "faults", "wall", "–",
			"not judged: scenario first was not measured"},
		{"small sizes", func(r *report) { r.Scale = 0.1 }, "first", "CPU", "1.51 s", "not judged: the bar is one for scale 1"},
		{"small sizes, ratios", func(r *report) { r.Scale = 0.1 }, "first", "requests at the target", "1.060 ×", "missed"},
		{"wrong once", func(r *report) { ours(r).Verdict = verdict{Tags: 110, Lost: 1, Referrers: 30} }, "first", "targets",
			"1 of 30 referrers lost (1 of 3 runs)", "missed"},
		{"a peer's CPU", func(r *report) { r.Scenarios[0].Name = "fat" }, "fat", "CPU", "1.000 ×", "held"},
		{"no peer", func(r *report) { r.Scenarios[0].Name, r.Scenarios[0].Rows[3].Runs = "fat", nil }, "fat", "CPU", "–",
			"not judged: crane was not measured"},
		{"the peer was wrong", func(r *report) { r.Scenarios[0].Name = "fat" }, "fat", "wall", "–",
			"not judged: no hashing peer was measured"},
		{"the peer was right", func(r *report) {
			r.Scenarios[0].Name = "fat"
			for i := range r.Scenarios[0].Rows[3].Runs {
				r.Scenarios[0].Rows[3].Runs[i].Verdict.Right = true
				r.Scenarios[0].Rows[3].Runs[i].Wall = 1
			}
		}, "fat", "wall", "1.250 ×", "missed"},
	} {
		r := sampleReport()
		if tt.change != nil {
			tt.change(&r)
		}
		j := find(r, tt.scenario, tt.what)
		if j.Figure != tt.figure || j.Verdict != tt.verdict || j.Missed != (tt.verdict == "missed") {
			t.Errorf("%s: %+v, want %s %s", tt.name, j, tt.figure, tt.verdict)
		}
	}
}

// ours is transship's first run of the first scenario.
func ours(r *report) *sample { return &r.Scenarios[0].Rows[0].Runs[0] }
