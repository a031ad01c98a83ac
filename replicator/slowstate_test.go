package replicator

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
)

// slowState keeps who tells it a standing until more than most tell at once.
type slowState struct {
	Memory
	most int
	more chan struct{} // closed when there are

	mu      sync.Mutex
	telling int
	told    int
}

func (s *slowState) SetStanding(ctx context.Context, now state.Standing, items []state.Item) error {
	s.count(1)
	defer s.count(-1)
	select {
	case <-s.more:
	case <-time.After(50 * time.Millisecond): // that nobody else comes has no sign of its own
	}
	return s.Memory.SetStanding(ctx, now, items)
}

func (s *slowState) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.telling += n
	if n > 0 {
		s.told++
	}
	if s.telling == s.most+1 {
		select {
		case <-s.more:
		default:
			close(s.more)
		}
	}
}

// A job that has nothing to bring keeps its place until state has been told: where
// state is slow, no more of them wait for it than may be looked at side by side.
func TestSlowStateIsToldByFew(t *testing.T) {
	r := newRig(t, "rules:\n  - {name: all, from: {registry: src}, to: [{registry: one}]}\n", nil)
	const repos, most = 8, 2
	for i := range repos {
		r.load(fmt.Sprint("app", i), content.Image(fmt.Sprint(i), nil), "v1")
	}
	reports, _ := r.pass()
	r.fine(reports)
	slow := &slowState{Memory: r.state, most: most, more: make(chan struct{})}
	r.opts.State, r.opts.Jobs, r.opts.Transfer.SpoolDir = slow, most, t.TempDir()
	e, err := New(r.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	r.Engine = e
	reports, _ = r.pass()
	r.fine(reports)
	select {
	case <-slow.more:
		t.Errorf("more than %d jobs wait for state", most)
	default:
	}
	if slow.told != repos {
		t.Errorf("%d standings were told, want %d", slow.told, repos)
	}
}
