package replicator

import (
	"context"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// A silent registry answers no list until it is told to, and counts who asks.
type silent struct {
	providers.Registry
	mu    sync.Mutex
	asked int
	ends  chan struct{} // closed: lists fail
}

func (s *silent) Repositories(ctx context.Context, _ string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s.mu.Lock()
		s.asked++
		s.mu.Unlock()
		select {
		case <-s.ends:
			yield("", &providers.Error{Kind: providers.Unavailable, Op: "list repositories", Err: context.DeadlineExceeded})
		case <-ctx.Done():
			yield("", context.Cause(ctx))
		}
	}
}

func (s *silent) asks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

const outageRules = `
rules:
  - {name: dead1, from: {registry: one, repositories: {include: ["p1/*"]}}, to: [{registry: two}]}
  - {name: dead2, from: {registry: one, repositories: {include: ["p2/*"]}}, to: [{registry: two}]}
  - {name: fine, from: {registry: src, repositories: {include: ["a*"]}}, to: [{registry: two}]}`

// TestOutage holds that a registry which does not answer is tried once at a time,
// however many rules have it for a source, and again after a while.
func TestOutage(t *testing.T) {
	r := newRig(t, outageRules, nil)
	r.load("a", content.Image("a", nil), "v1")
	dead := &silent{Registry: r.clients["one"], ends: make(chan struct{})}
	close(dead.ends)
	r.clients["one"] = dead
	if got := r.expandRule("fine"); got != "a > two/a" {
		t.Errorf("jobs %s", got)
	}
	if n := dead.asks(); n != 1 {
		t.Errorf("a registry that is down was asked %d times for rules of one registry, want once", n)
	}
	got := r.expandRule("dead2")
	if want := "(source: registry one failed at " + r.now.UTC().Format(time.RFC3339) + " and is left alone"; !strings.HasPrefix(got, want) || strings.Count(got, "source: ") != 1 {
		t.Errorf("a rule of a registry that is down: %s", got)
	}
	r.expandRule("fine")
	if n := dead.asks(); n != 1 {
		t.Errorf("it was asked %d times within its rest", n)
	}
	r.now = r.now.Add(outageRest)
	r.expandRule("dead2")
	r.expandRule("fine")
	if n := dead.asks(); n != 2 {
		t.Errorf("it was asked %d times after its rest, want one more", n)
	}
	r.clients["one"] = dead.Registry
	r.now = r.now.Add(outageRest)
	if got := r.expandRule("dead1"); strings.Contains(got, "left alone") {
		t.Errorf("a registry that answers again: %s", got)
	}
}

// TestOutageHoldsUpItsOwn holds that a rule is expanded while the list of another's
// registry takes for ever.
func TestOutageHoldsUpItsOwn(t *testing.T) {
	r := newRig(t, outageRules, nil)
	r.load("a", content.Image("a", nil), "v1")
	r.expandRule("fine") // all are listed
	dead := &silent{Registry: r.clients["one"], ends: make(chan struct{})}
	r.clients["one"] = dead
	done := make(chan struct{})
	go func() { defer close(done); r.expandRule("dead1") }()
	for deadline := time.After(time.Minute); dead.asks() == 0; {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("it was not asked")
		}
	}
	if got := r.expandRule("fine"); got != "a > two/a" {
		t.Errorf("jobs %s", got)
	}
	close(dead.ends)
	<-done
}

// TestOutageIsTheRegistrys holds that a list which is given up, for want of time or
// because all stops, keeps nobody from asking, and does not end an outage either.
func TestOutageIsTheRegistrys(t *testing.T) {
	var o outages
	now := time.Now()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	hurried, cancel := context.WithDeadline(t.Context(), now.Add(-time.Second))
	defer cancel()
	away := &providers.Error{Kind: providers.Unavailable, Op: "list repositories"}

	o.tell(hurried, "slow", hurried.Err(), now)
	for range 2 { // rules of its own
		if err := o.refuse("slow", now); err != nil || !o.down("slow", now) {
			t.Errorf("one that was slow for others: down %t, to its own rule %v", o.down("slow", now), err)
		}
	}
	o.tell(t.Context(), "slow", nil, now)
	if o.down("slow", now) {
		t.Error("one that answers is down")
	}

	o.tell(stopped, "fine", stopped.Err(), now)
	if o.down("fine", now) {
		t.Error("one that nobody waited for is down")
	}
	o.tell(t.Context(), "away", away, now)
	if now = now.Add(outageRest); o.refuse("away", now) != nil {
		t.Error("nobody may try it after its rest")
	}
	o.tell(stopped, "away", stopped.Err(), now)
	if !o.down("away", now) {
		t.Error("an outage ended because the one who tried was stopped")
	}
	if err := o.refuse("away", now); err != nil {
		t.Errorf("the next may not try: %v", err)
	}
	o.tell(t.Context(), "away", away, now)
	o.tell(stopped, "away", stopped.Err(), now)
	if o.refuse("away", now) == nil {
		t.Error("who was stopped ended the rest of one that it had not tried")
	}
}
