package limit

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A lane holds the slots of one class: those taken, and who waits, in order.
type lane struct {
	used  int
	queue []chan struct{}
}

// A Slot is the right to have one request of its class in flight. It may be
// kept while the request is tried again, or while its body is read.
type Slot struct {
	once sync.Once
	l    *Limiter
	c    Class
}

// Acquire waits, first come first served, for a slot of c. The error is the
// cause of ctx's end.
func (l *Limiter) Acquire(ctx context.Context, c Class) (*Slot, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	start := time.Now()
	turn := l.enqueue(c)
	select {
	case <-turn:
		l.watch.Since(ForWidth, start)
		return &Slot{l: l, c: c}, nil
	case <-ctx.Done():
		l.abandon(c, turn)
		return nil, context.Cause(ctx)
	}
}

// Release gives the slot back; only the first call counts. A nil Slot is fine.
func (s *Slot) Release() {
	if s == nil {
		return
	}
	s.once.Do(func() {
		s.l.mu.Lock()
		defer s.l.mu.Unlock()
		s.l.lanes[s.c].used--
		s.l.wake()
	})
}

func (l *Limiter) enqueue(c Class) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn := make(chan struct{})
	l.lanes[c].queue = append(l.lanes[c].queue, turn)
	l.wake()
	return turn
}

// abandon takes turn out of the queue, or gives the slot back that it was
// granted meanwhile.
func (l *Limiter) abandon(c Class, turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := &l.lanes[c]
	if i := slices.Index(lane.queue, turn); i >= 0 {
		lane.queue = slices.Delete(lane.queue, i, i+1)
		return
	}
	lane.used--
	l.wake()
}

// wake grants free slots to those who wait longest. The caller holds l.mu.
func (l *Limiter) wake() {
	for i := range l.lanes {
		lane := &l.lanes[i]
		for lane.used < l.width.now && len(lane.queue) > 0 {
			close(lane.queue[0])
			lane.queue = slices.Delete(lane.queue, 0, 1)
			lane.used++
		}
	}
}
