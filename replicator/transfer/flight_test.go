package transfer

import (
	"sync"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
)

// Whether there is anything left to do is asked under the lock of the flights:
// otherwise one that lands between the question and the joining is missed, and
// its work is done twice.
func TestJoinAsksUnderTheLock(t *testing.T) {
	var mu sync.Mutex
	flights, done, w := map[string]*flight{}, false, &work{}
	over := func() bool {
		if mu.TryLock() {
			mu.Unlock()
			t.Error("asked without the lock")
		}
		return done
	}
	f, lead := join(&mu, flights, "a", w, over)
	if f == nil || !lead {
		t.Fatalf("the first: %v, leads %v", f, lead)
	}
	if again, lead := join(&mu, flights, "a", w, over); again != f || lead {
		t.Errorf("the second: %v, leads %v; want to wait for the first", again, lead)
	}
	done = true
	land(&mu, flights, "a", f)
	if late, lead := join(&mu, flights, "a", w, over); late != nil || lead {
		t.Errorf("after the end: %v, leads %v; want nothing to do", late, lead)
	}
}

// What another image of the run is planned to bring is not mounted from there
// before it has arrived: whoever comes first uploads, without a question.
func TestSharedIsNotMountedBeforeItLands(t *testing.T) {
	w := newWorld(t, 1, nil)
	shared := content.Layer("shared", 300<<10)
	plans := w.load(content.Corpus{
		{Repo: "a", Manifest: content.Image("a", []content.Blob{shared}), Tags: []string{"v1"}},
		{Repo: "b", Manifest: content.Image("b", []content.Blob{shared}), Tags: []string{"v1"}},
	})
	plan.Share(plans)
	if b := plans[1].Images[0].Root.Blobs; b[len(b)-1].Have != plan.Shared {
		t.Fatalf("planned as %+v", b)
	}
	w.mustAll(w.run(plans[1:])) // the one that was to come second
	w.mustAll(w.run(plans[:1]))
	w.verify(plans)
	c := w.targets[0].Counts()
	if c.MountsRefused != 0 || c.MountsAccepted != 1 || c.Of(registrytest.BlobHead) != 0 {
		t.Errorf("%d mounts refused, %d accepted, %d questions", c.MountsRefused, c.MountsAccepted, c.Of(registrytest.BlobHead))
	}
	refused, err := w.store.Refusals(t.Context(), w.targets[0].Host(), w.tr.opts.Now())
	if err != nil || len(refused) != 0 {
		t.Errorf("refusals remembered: %v, %v", refused, err)
	}
	if caps, err := w.store.Learned(t.Context(), w.targets[0].Host(), w.tr.opts.Now().AddDate(0, 0, -1)); err != nil || !caps[providers.CapMount] {
		t.Errorf("learned %v, %v", caps, err)
	}
}
