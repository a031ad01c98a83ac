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
	over  bool
	done  chan struct{} // only where a caller waits
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
		c = &call[V]{}
		o.calls[key] = c
		o.mu.Unlock()
		value, err := ask()
		o.end(c, value, err)
		return value, err
	}
	if c.over {
		defer o.mu.Unlock()
		return c.value, c.err
	}
	if c.done == nil {
		c.done = make(chan struct{})
	}
	done := c.done
	o.mu.Unlock()
	select {
	case <-done:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

func (o *once[K, V]) end(c *call[V], value V, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.value, c.err, c.over = value, err, true
	if c.done != nil {
		close(c.done)
		c.done = nil
	}
}

// told returns the answer to key if it is there and no error.
func (o *once[K, V]) told(key K) (value V, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.calls[key]
	if c == nil || !c.over || c.err != nil {
		return value, false
	}
	return c.value, true
}
