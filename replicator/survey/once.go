package survey

import (
	"context"
	"sync"
)

// A once answers each question one time, however many ask it, and keeps the
// answers. The zero value is ready.
type once[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// do returns the answer to key, asked by the first caller. A later caller waits
// until it is there, or until its own ctx ends.
func (o *once[K, V]) do(ctx context.Context, key K, ask func() (V, error)) (V, error) {
	o.mu.Lock()
	c, asked := o.calls[key]
	if !asked {
		if o.calls == nil {
			o.calls = map[K]*call[V]{}
		}
		c = &call[V]{done: make(chan struct{})}
		o.calls[key] = c
	}
	o.mu.Unlock()
	if !asked {
		defer close(c.done)
		c.value, c.err = ask()
		return c.value, c.err
	}
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}
