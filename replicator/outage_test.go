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
	if got := r.expandRule("dead2"); !strings.HasPrefix(got, "(source: not asked again since ") {
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
	if got := r.expandRule("dead1"); strings.Contains(got, "not asked again") {
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
