// The race detector takes memory of its own.

//go:build !race

package replicator_test

import (
	"runtime"
	"testing"

	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state/sqlite"
)

// What stays of a job when it is over is little, and no more for a repository of
// many tags; a plan that is held is a few KiB for each image.
func TestWhatIsHeld(t *testing.T) {
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what finalizers freed
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	held := func(repos, tags int) (reports, plans int64) {
		s := scale{Repos: repos, Tags: tags, Targets: 1, Bulk: true}
		regs, set, err := s.world()
		if err != nil {
			t.Fatal(err)
		}
		store, err := sqlite.Open(t.Context(), t.TempDir()+"/state.db", sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		o := replicator.Options{Policy: set, State: store, Registries: hollows(regs)}
		o.Transfer.SpoolDir = t.TempDir()
		e, err := replicator.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		jobs, _, err := e.Expand(t.Context(), set.Rules, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := live()
		all, err := e.RunAll(t.Context(), "test", jobs, nil)
		if err != nil || len(all) != repos || !all[0].OK() {
			t.Fatalf("%v, %d reports: %+v", err, len(all), all[0])
		}
		reports = live() - before
		regs["t0"].void = true
		before = live()
		made := map[string][]plan.Plan{}
		for _, job := range jobs {
			if made[job.Key], err = e.Plan(t.Context(), job); err != nil {
				t.Fatal(err)
			}
		}
		plans = live() - before
		runtime.KeepAlive(made)
		runtime.KeepAlive(all)
		return reports, plans
	}
	few, _ := held(100, 2)
	many, plans := held(100, 50)
	t.Logf("a job that is over holds %d bytes with 2 tags, %d with 50; an image of a plan %d", few/100, many/100, plans/5000)
	if few/100 > 8<<10 || many-few > 100*4<<10 {
		t.Errorf("jobs that are over hold %d bytes with 2 tags each, %d with 50", few/100, many/100)
	}
	if plans/5000 > 4<<10 {
		t.Errorf("an image of a plan holds %d bytes", plans/5000)
	}
}
