package replicator

import (
	"fmt"
	"testing"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
)

// Questions for new referrers take a tenth of what the source may be asked: what
// is due longest goes first, the period grows, and plans tell it. A restart changes
// none of that.
func TestRecheckBudget(t *testing.T) {
	for _, tt := range []struct {
		name     string
		children bool
		every    time.Duration // 30 images at 10 questions an hour
		over     int64         // questions in the first pass of a process, which does not know what an image costs
	}{
		{"images", false, 3 * time.Hour, 0},
		{"images and their children", true, 9 * time.Hour, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rule := oneRule + fmt.Sprintf("    referrers: {children: %v}\n    verifyEvery: 1000h\n", tt.children)
			r := newRig(t, rule, nil)
			r.limit("src", policy.Rate{Count: 100, Per: time.Hour})
			layer := content.Layer("l", 50)
			for i := range 30 {
				r.load("app", content.Index([]*content.Manifest{
					content.Image(fmt.Sprint("a", i), []content.Blob{layer}), content.Image(fmt.Sprint("b", i), []content.Blob{layer}),
				}), fmt.Sprint("v", i))
			}
			r.pass()
			asked, last := int64(0), map[string]time.Time{}
			for hour := range int64(24) {
				r.now = r.now.Add(time.Hour)
				if hour == 12 {
					r.restart()
				}
				from := len(r.servers["src"].Log())
				reports, n := r.pass()
				r.fine(reports)
				asked += n["src"].Of(registrytest.Referrers)
				if most := 10*(hour+1) + 1 + tt.over; asked > most {
					t.Fatalf("%d questions in %d hours, more than a tenth of the limit", asked, hour+1)
				}
				for _, q := range r.servers["src"].Log()[from:] {
					if q.Class == registrytest.Referrers {
						last[q.Path] = r.now
					}
				}
				if hour == 23 {
					r.told(reports[0].Slowed, tt.every)
				}
			}
			if asked < 10*24*3/4 {
				t.Errorf("%d questions in 24 hours: less than there is room for", asked)
			}
			images := 30
			if tt.children {
				images *= 3
			}
			if len(last) != images {
				t.Errorf("%d manifests were asked about, want %d", len(last), images)
			}
			for path, at := range last {
				if gap := r.now.Sub(at); gap > tt.every*5/4+time.Hour {
					t.Errorf("%s was not asked for since %s", path, gap)
				}
			}
		})
	}
}

// limit says in the policy what a registry may be asked.
func (r *rig) limit(name string, rate policy.Rate) {
	reg := r.set.Registries[name]
	reg.Limits.Requests = rate
	r.set.Registries[name] = reg
}

// restart begins again with the same state.
func (r *rig) restart() {
	r.t.Helper()
	r.opts.Transfer.SpoolDir = r.t.TempDir()
	e, err := New(r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { e.Close() })
	r.Engine = e
}

// told fails the test unless a report tells of this period, about.
func (r *rig) told(all []plan.Slowed, every time.Duration) {
	r.t.Helper()
	sum := plan.SumSlowed(all)
	if len(sum) != 1 || sum[0].Rule != "all" || sum[0].Registry != "src" || sum[0].Said != time.Hour || (sum[0].Every-every).Abs() > every/10 {
		r.t.Errorf("the report tells %+v, want a period of %s", sum, every)
	}
}

// Of several processes each asks its part.
func TestReadRateIsDivided(t *testing.T) {
	e := &Engine{opts: Options{Policy: &policy.Set{Registries: map[string]policy.Registry{
		"src": {Limits: policy.Limits{Requests: policy.Rate{Count: 40, Per: time.Second}}}}}}}
	if got := e.readRate("src"); got != 40 {
		t.Errorf("alone %v a second, want 40", got)
	}
	e.opts.Among = func() int { return 4 }
	if got := e.readRate("src"); got != 10 {
		t.Errorf("among four %v a second, want 10", got)
	}
}
