package jobs

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/postgres"
	"github.com/transship/transship/state/postgres/pgtest"
)

// TestLatency holds that a rule that is asked for is begun because it was asked for,
// and by nobody's looking around, which comes once an hour here. It tells how long it
// took from the ask to the first request at the source.
func TestLatency(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); latency(t, newRig(t, one), nil) })
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		store, err := postgres.Open(t.Context(), pgtest.Start(t).Database(t), postgres.Options{Every: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		latency(t, newRigOver(t, store, one), store.Dispatch)
	})
}

func latency(t *testing.T, r *rig, dispatch Dispatch) {
	const asks = 200
	r.load("a", "v1")
	came := make(chan time.Time, 1)
	r.src.Before(func(*http.Request, registrytest.Class) *registrytest.Fault {
		select {
		case came <- time.Now():
		default: // not the first
		}
		return nil
	})
	r.start(func(o *Options) { o.Dispatch, o.Poll = dispatch, time.Hour })
	var took []time.Duration
	for range asks {
		select {
		case <-came: // of the job before
		default:
		}
		asked := time.Now()
		r.ask(state.Ask{Key: ExpandKey("apps"), Priority: PriorityByHand, Cause: ByAPI})
		select {
		case at := <-came:
			took = append(took, at.Sub(asked))
		case <-time.After(time.Minute):
			t.Fatalf("nothing was begun in a minute; queue: %s", r.queue())
		}
		r.idle()
	}
	slices.Sort(took)
	t.Log(fmt.Sprint("from the ask to the first request: p50 ", took[asks/2], ", p99 ", took[asks*99/100], ", most ", took[asks-1]))
}
