package oci

import (
	"context"
	"sync"
)

// flights runs one fetch per key however many ask for it at once. Those who wait
// leave when their own context ends; the fetch ends when nobody waits any more.
type flights[V any] struct {
	mu      sync.Mutex
	running map[string]*flight[V]
	all     sync.WaitGroup
}

type flight[V any] struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{}
	value   V
	err     error
}

// do returns what fetch returns, called now or by someone who asked before.
func (f *flights[V]) do(ctx context.Context, key string, fetch func(context.Context) (V, error)) (V, error) {
	one := f.join(ctx, key, fetch)
	defer f.leave(key, one)
	select {
	case <-one.done:
		return one.value, one.err
	case <-ctx.Done():
		var zero V
		return zero, context.Cause(ctx)
	}
}

func (f *flights[V]) join(ctx context.Context, key string, fetch func(context.Context) (V, error)) *flight[V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one, ok := f.running[key]; ok {
		one.waiting++
		return one
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	one := &flight[V]{waiting: 1, cancel: cancel, done: make(chan struct{})}
	if f.running == nil {
		f.running = map[string]*flight[V]{}
	}
	f.running[key] = one
	f.all.Go(func() {
		one.value, one.err = fetch(ctx)
		f.forget(key, one)
		close(one.done)
	})
	return one
}

func (f *flights[V]) leave(key string, one *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one.waiting--; one.waiting > 0 {
		return
	}
	one.cancel()
	if f.running[key] == one { // cancelled: whoever comes now starts anew
		delete(f.running, key)
	}
}

func (f *flights[V]) forget(key string, one *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[key] == one {
		delete(f.running, key)
	}
}

// wait returns once no fetch runs.
func (f *flights[V]) wait() { f.all.Wait() }
