package trial

import (
	"sync"

	"github.com/transship/transship/providers/registrytest"
)

// Emulators are found by their registry, which is what a [registrytest.Harness] is
// given. The zero value is ready, and safe for concurrent use.
type Emulators[E any] struct {
	mu sync.Mutex
	of map[*registrytest.Server]E
}

// Add notes an emulator, and returns its registry.
func (e *Emulators[E]) Add(registry *registrytest.Server, emulator E) *registrytest.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = map[*registrytest.Server]E{}
	}
	e.of[registry] = emulator
	return registry
}

// Of returns the emulator that a registry is part of.
func (e *Emulators[E]) Of(registry *registrytest.Server) E {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.of[registry]
}
