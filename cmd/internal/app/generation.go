package app

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/jobs"
)

// A generation is a policy with its registries and the engine over them.
type generation struct {
	set    *policy.Set
	engine *replicator.Engine
	regs   *registries

	users int // runs that go by it, and one while it is in force
}

func (g *generation) close() error { return errors.Join(g.engine.Close(), g.regs.close()) }

// generations hold the policy in force. What runs goes on by the policy that it
// began with, and that is closed when the last such run has ended.
type generations struct {
	make func(*policy.Set) (*generation, error)
	log  *slog.Logger

	mu      sync.Mutex
	current *generation
}

// replace puts set in force.
func (g *generations) replace(set *policy.Set) error {
	next, err := g.make(set)
	if err != nil {
		return err
	}
	next.users = 1
	g.mu.Lock()
	old := g.current
	g.current = next
	g.mu.Unlock()
	if old != nil {
		g.release(old)
	}
	return nil
}

// set is the policy in force.
func (g *generations) set() *policy.Set {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current.set
}

// take returns the generation in force, for one run.
func (g *generations) take() jobs.Generation {
	g.mu.Lock()
	defer g.mu.Unlock()
	current := g.current
	current.users++
	return jobs.Generation{Set: current.set, Engine: current.engine, Release: func() { g.release(current) }}
}

func (g *generations) release(old *generation) {
	g.mu.Lock()
	old.users--
	last := old.users == 0
	g.mu.Unlock()
	if !last {
		return
	}
	if err := old.close(); err != nil {
		g.log.Warn("what an old policy had open could not be closed", "err", err)
	}
}

// close closes the generation in force. No run may be under way.
func (g *generations) close() {
	g.mu.Lock()
	current := g.current
	g.current = nil
	g.mu.Unlock()
	if current != nil {
		g.release(current)
	}
}
