package main

import "testing"

func TestMiddle(t *testing.T) {
	for _, tt := range []struct {
		walls []float64
		want  float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 2}, 2}, {[]float64{9, 1, 5}, 5}, {[]float64{5, 1, 4, 2, 3}, 3},
	} {
		var r row
		for _, w := range tt.walls {
			r.Runs = append(r.Runs, sample{usage: usage{Wall: w}})
		}
		if got := r.wall(); got != tt.want {
			t.Errorf("median of %v is %v, want %v", tt.walls, got, tt.want)
		}
	}
}

// Counts and memory are those of the worst run, and one wrong run is told.
func TestWorst(t *testing.T) {
	r := row{Runs: []sample{
		{usage: usage{Peak: 5}, Source: side{Bytes: 10, Connections: 3}, Verdict: verdict{Right: true}},
		{usage: usage{Peak: 9, Exit: 1}, Source: side{Bytes: 7, Connections: 8}, Verdict: verdict{Tags: 4, Missing: 1}},
		{usage: usage{Peak: 2}, Source: side{Bytes: 12}, Verdict: verdict{Right: true}},
	}}
	if r.peak() != 9 || r.bytes(sourceOf) != 12 || r.connections(sourceOf) != 8 {
		t.Errorf("peak %d, bytes %d, connections %d", r.peak(), r.bytes(sourceOf), r.connections(sourceOf))
	}
	if got, want := result(r), "1 of 4 tags missing (1 of 3 runs)"; got != want || r.worst().Exit != 1 {
		t.Errorf("result %q with exit %d, want %q", got, r.worst().Exit, want)
	}
}

func TestResult(t *testing.T) {
	for _, tt := range []struct {
		r    row
		want string
	}{
		{row{Missing: "not installed"}, "not installed"},
		{row{}, "not measured"},
		{row{Runs: []sample{{Failed: "its first pass ended with exit code 3"}}}, "not measured: its first pass ended with exit code 3"},
		{row{Runs: []sample{{Verdict: verdict{Right: true}}}}, "right"},
		{row{Runs: []sample{{TimedOut: true, Verdict: verdict{Tags: 9, Missing: 8, Referrers: 3, Lost: 3}}}},
			"timed out: 8 of 9 tags missing, 3 of 3 referrers lost"},
		{row{Runs: []sample{{Verdict: verdict{Tags: 9, Changed: 1, Incomplete: 2}}}}, "1 of 9 digests changed, 2 of 9 tags incomplete"},
		{row{Runs: []sample{{}}}, "not equal"},
	} {
		if got := result(tt.r); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
