package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/replicator"
)

// A halt is a way in which a pass is stopped.
type halt string

const (
	none halt = "not at all"
	soft halt = "softly"
	hard halt = "hard"
	kill halt = "by kill -9"
)

var errStopped = errors.New("stopped by the test")

// faulty is a pass with the faults on, and a stop after the n-th request.
func (s *trial) faulty() {
	s.hurried = s.slow()
	how := []halt{none, soft, hard, kill}[s.grow.IntN(4)]
	n := int64(1 + s.grow.IntN(30)*s.grow.IntN(30))
	events := map[int64]func(){}
	for _, f := range s.faults {
		if f.now != nil {
			events[int64(1+s.grow.IntN(150))] = func() { f.now(s) }
		}
	}

	s.tell("pass with faults, stopped %s after %d requests", how, n)
	p := s.process()
	before := s.shots()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var dead atomic.Bool
	next := s.dir
	stop := func() {
		switch how {
		case soft:
			p.halt()
		case hard:
			s.cut = requests(s.src())
			cancel(errStopped)
		case kill:
			dead.Store(true)
			next = s.snapshot()
			cancel(errStopped)
		}
	}
	s.turn(true)
	s.watch(n, stop, events, &dead)
	s.run(ctx, p)
	s.hook.set(nil)
	s.turn(false)
	if how != none {
		s.over()
	}
	s.dir = next
	s.hold(before)
}

func (s *trial) has(name string) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool { return f.name == name })
}

// watch counts requests to all servers together.
func (s *trial) watch(n int64, stop func(), events map[int64]func(), dead *atomic.Bool) {
	var count atomic.Int64
	s.hook.set(func(string, *http.Request, registrytest.Class) *registrytest.Fault {
		if dead.Load() {
			return &registrytest.Fault{Status: 503} // nobody is there any more to ask
		}
		k := count.Add(1)
		if f := events[k]; f != nil {
			f()
		}
		if k == n {
			stop()
		}
		return nil
	})
}

// run is a pass that has to end, whatever happens.
func (s *trial) run(ctx context.Context, p *process) {
	late := time.AfterFunc(5*time.Minute, func() {
		buf := make([]byte, 4<<20)
		panic(fmt.Sprintf("seed %d: a pass does not end: %s\n\n%s", s.seed, s.story(), buf[:runtime.Stack(buf, true)]))
	})
	defer late.Stop()
	reports, _, err := p.pass(ctx)
	if err != nil && !errors.Is(err, errStopped) {
		s.t.Errorf("pass: %v", err)
	}
	for _, r := range reports {
		s.judge(r)
	}
	s.tell("it ends with %v, %d jobs", err, len(reports))
}

// judge holds what is told of failures to what people need (I5, I7).
func (s *trial) judge(r replicator.Report) {
	if r.Err != nil {
		s.secretive(r.Err.Error())
	}
	for _, f := range r.Failures {
		s.tell("failed: %s:%s: %s: %s", f.Target, f.Tag, f.Kind, f.Reason)
		s.secretive(f.Reason, f.Hint)
		if !strings.Contains(f.Reason, "source") && !strings.Contains(f.Reason, "target") {
			s.t.Errorf("I5: a failure names no side: %s", f.Reason)
		}
	}
}

// turn switches the faults on or off.
func (s *trial) turn(on bool) {
	for _, f := range s.faults {
		s.set(f.side, func(q *registrytest.Quirks) {
			if !on {
				q.Faults, q.GhostTags, q.ReadOnly, q.Full = nil, nil, false, false
				q.HeadDisagrees, q.WrongDigestHeader, q.Circle, q.MoreReferrers = false, false, false, nil
				return
			}
			if f.rule != nil {
				q.Faults = append(slices.Clone(q.Faults), *f.rule)
			}
			if f.turn != nil {
				f.turn(q)
			}
		})
		if !on && f.mend != nil {
			f.mend(s)
		}
	}
}

func (s *trial) shots() map[string]shot {
	all := map[string]shot{}
	for _, name := range s.targets {
		all[name] = shoot(s.servers[name])
	}
	return all
}
