package transfer

import (
	"context"
	"sync"
)

// A flight is work that others wait for instead of doing it too.
type flight struct {
	by   *work
	done chan struct{}
}

// join returns the flight of key, and whether the caller leads it: then it ends
// it with land. One that is not led may be waited for; when it is over the
// caller looks again, and leads if it has failed. The flight is nil if nothing is
// left to do, as over tells: it is asked under mu, so that no flight comes to its
// end unseen between the question and the joining.
func join[K comparable](mu *sync.Mutex, flights map[K]*flight, key K, w *work, over func() bool) (f *flight, lead bool) {
	mu.Lock()
	defer mu.Unlock()
	if over() {
		return nil, false
	}
	if f := flights[key]; f != nil {
		return f, false
	}
	f = &flight{by: w, done: make(chan struct{})}
	flights[key] = f
	return f, true
}

func land[K comparable](mu *sync.Mutex, flights map[K]*flight, key K, f *flight) {
	mu.Lock()
	defer mu.Unlock()
	delete(flights, key)
	close(f.done)
}

// waits is the graph of images that wait for images.
type waits struct {
	mu    sync.Mutex
	edges map[*work]map[*work]int
}

// enter records that a waits for b, unless b waits for a already, directly or
// through others: then it returns false, and a must not wait.
func (g *waits) enter(a, b *work) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a == b || g.reaches(b, a, map[*work]bool{}) {
		return false
	}
	if g.edges == nil {
		g.edges = map[*work]map[*work]int{}
	}
	if g.edges[a] == nil {
		g.edges[a] = map[*work]int{}
	}
	g.edges[a][b]++
	return true
}

func (g *waits) reaches(a, b *work, seen map[*work]bool) bool {
	if a == b {
		return true
	}
	if seen[a] {
		return false
	}
	seen[a] = true
	for next := range g.edges[a] {
		if g.reaches(next, b, seen) {
			return true
		}
	}
	return false
}

func (g *waits) exit(a, b *work) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.edges[a][b]--; g.edges[a][b] <= 0 {
		delete(g.edges[a], b)
	}
	if len(g.edges[a]) == 0 {
		delete(g.edges, a)
	}
}

// await waits for what b does, until over is closed. It returns false at once
// if the two would wait for each other.
func (w *work) await(ctx context.Context, b *work, over <-chan struct{}) (bool, error) {
	if b != nil {
		if !w.t.waits.enter(w, b) {
			return false, nil
		}
		defer w.t.waits.exit(w, b)
	}
	select {
	case <-over:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
