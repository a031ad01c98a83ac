package main

import (
	"slices"

	"github.com/transship/transship/providers/registrytest/content"
)

// A report is all that was measured.
type report struct {
	Machine   machine   `json:"machine"`
	Tools     []about   `json:"tools"`
	Seed      uint64    `json:"seed"`
	Scale     float64   `json:"scale"`
	Scenarios []outcome `json:"scenarios"`
}

// about is a tool as readers see it.
type about struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	How     string `json:"how"`
	Missing string `json:"missing,omitempty"`
}

// An outcome is what a scenario came to.
type outcome struct {
	Name    string        `json:"name"`
	Title   string        `json:"title"`
	About   string        `json:"about"`
	Date    string        `json:"date"`
	Shape   content.Shape `json:"corpus"`
	Minimum minimum       `json:"minimum"`
	Rows    []row         `json:"tools"`
}

// A row is one tool's runs of a scenario.
type row struct {
	Tool    string   `json:"tool"`
	Missing string   `json:"missing,omitempty"`
	Runs    []sample `json:"runs"`
	Derived *derived `json:"derived,omitempty"`
}

// measured reports whether there is a run to speak of.
func (r row) measured() bool { return len(r.Runs) > 0 && r.Runs[0].Failed == "" }

// middle is the median of a figure over the runs: of an even number, the lower
// one of the two in the middle.
func (r row) middle(of func(sample) float64) float64 {
	figures := r.figures(of)
	if len(figures) == 0 {
		return 0
	}
	slices.Sort(figures)
	return figures[(len(figures)-1)/2]
}

// most is the largest of a figure over the runs.
func (r row) most(of func(sample) int64) (largest int64) {
	for _, one := range r.Runs {
		largest = max(largest, of(one))
	}
	return largest
}

func (r row) figures(of func(sample) float64) []float64 {
	var figures []float64
	for _, one := range r.Runs {
		figures = append(figures, of(one))
	}
	return figures
}

// Times are the median of the runs; what is counted, and memory, is the largest.

func (r row) wall() float64 { return r.middle(func(x sample) float64 { return x.Wall }) }
func (r row) cpu() float64  { return r.middle(func(x sample) float64 { return x.CPU }) }
func (r row) peak() int64   { return r.most(func(x sample) int64 { return x.Peak }) }

func sourceOf(x sample) side { return x.Source }
func targetOf(x sample) side { return x.Target }

func (r row) requests(of func(sample) side) int64 {
	return r.most(func(x sample) int64 { return of(x).Requests.total() })
}

func (r row) bytes(of func(sample) side) int64 {
	return r.most(func(x sample) int64 { return of(x).Bytes })
}

func (r row) connections(of func(sample) side) int64 {
	return r.most(func(x sample) int64 { return of(x).Connections })
}

// busiest is the run with the most requests: its requests by class are printed.
func (r row) busiest() sample {
	return slices.MaxFunc(r.Runs, func(a, b sample) int {
		return int(a.Source.Requests.total() + a.Target.Requests.total() - b.Source.Requests.total() - b.Target.Requests.total())
	})
}

// worst is the verdict of a run that went wrong, or that all are right.
func (r row) worst() sample {
	for _, one := range r.Runs {
		if !one.Verdict.Right || one.TimedOut {
			return one
		}
	}
	return r.Runs[0]
}

// wrong counts the runs that went wrong.
func (r row) wrong() (n int) {
	for _, one := range r.Runs {
		if !one.Verdict.Right || one.TimedOut {
			n++
		}
	}
	return n
}

// row finds a tool's row.
func (o outcome) row(tool string) row {
	for _, r := range o.Rows {
		if r.Tool == tool {
			return r
		}
	}
	return row{Tool: tool}
}

// outcome finds a scenario's outcome.
func (r report) outcome(name string) outcome {
	for _, o := range r.Scenarios {
		if o.Name == name {
			return o
		}
	}
	return outcome{Name: name}
}
