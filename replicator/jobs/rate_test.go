package jobs

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres"
	"github.com/transship/transship/state/postgres/pgtest"
)

// BenchmarkWorkers is jobs that find nothing to do: a look at one tag of one
// repository each.
func BenchmarkWorkers(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkWorkers(b, newRig(b, one), nil) })
	b.Run("postgres", func(b *testing.B) {
		store, err := postgres.Open(b.Context(), pgtest.Start(b).Database(b), postgres.Options{})
		if err != nil {
			b.Fatal(err)
		}
		benchmarkWorkers(b, newRigOver(b, store, one), store.Dispatch)
	})
}

func benchmarkWorkers(b *testing.B, r *rig, dispatch Dispatch) {
	const repos = 200
	for i := range repos {
		r.load(fmt.Sprintf("app-%03d", i), "v1")
	}
	done := make(chan struct{}, 1<<16) // more than there are
	r.start(func(o *Options) {
		o.Workers, o.Dispatch = 8, dispatch
		o.Logger = slog.New(slog.DiscardHandler)
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
