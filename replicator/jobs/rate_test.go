package jobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
)

// BenchmarkWorkers is jobs that find nothing to do, through a state file: a look at
// one tag of one repository each.
func BenchmarkWorkers(b *testing.B) {
	const repos = 200
	r := newRig(b, one)
	for i := range repos {
		r.load(fmt.Sprintf("app-%03d", i), "v1")
	}
	done := make(chan struct{}, 1<<16) // more than there are
	r.start(func(o *Options) {
		o.Workers = 8
		o.Done = func(string, replicator.Report, time.Duration, error) { done <- struct{}{} }
	})
	round := func() {
		r.ask(state.Ask{Key: ExpandKey("apps"), Cause: BySchedule})
		for range repos {
			<-done
		}
		r.idle()
	}
	round() // copies
	for b.Loop() {
		round()
	}
	b.ReportMetric(float64(repos*b.N)/b.Elapsed().Minutes(), "jobs/min")
}
