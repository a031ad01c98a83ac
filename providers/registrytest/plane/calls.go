package plane

import (
	"maps"
	"sync"
)

// Calls counts what an emulator is asked, by operation, and has planned calls fail; a
// Fault is how. The zero value is ready, and safe for concurrent use.
type Calls[Fault any] struct {
	mu      sync.Mutex
	counts  map[string]int64
	planned map[string][]plan[Fault]
}

type plan[Fault any] struct {
	left  int
	fault Fault
}

// Counts are the calls so far, whatever was answered.
func (c *Calls[Fault]) Counts() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := map[string]int64{}
	maps.Copy(counts, c.counts)
	return counts
}

// Reset begins the counts anew. What is planned stays.
func (c *Calls[Fault]) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.counts)
}

// Fail makes the next n calls of an operation fail, once those that are to fail
// already have.
func (c *Calls[Fault]) Fail(n int, op string, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.planned == nil {
		c.planned = map[string][]plan[Fault]{}
	}
	if n > 0 {
		c.planned[op] = append(c.planned[op], plan[Fault]{n, f})
	}
}

// Called counts a call, and returns the fault that it is to have; nil is none.
func (c *Calls[Fault]) Called(op string) *Fault {
	c.Count(op)
	return c.Fault(op)
}

// Count counts a call.
func (c *Calls[Fault]) Count(op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int64{}
	}
	c.counts[op]++
}

// Fault returns the fault that a call is to have; nil is none.
func (c *Calls[Fault]) Fault(op string) *Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	plans := c.planned[op]
	if len(plans) == 0 {
		return nil
	}
	f := plans[0].fault
	if plans[0].left--; plans[0].left == 0 {
		c.planned[op] = plans[1:]
	}
	return &f
}
