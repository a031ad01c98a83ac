package jobs

import (
	"context"
	"slices"
	"sync"

	"github.com/transship/transship/replicator"
)

// places keeps two jobs from one target repository: rows whose groups changed
// between their asks may have one in common.
type places struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when it is free
}

// hold waits until no other job has one of job's targets, and takes them all.
func (p *places) hold(ctx context.Context, job replicator.Job) (release func(), err error) {
	var names []string
	for _, l := range job.Links {
		names = append(names, l.To.String())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for {
		busy := p.take(names)
		if busy == nil {
			return func() { p.free(names) }, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take takes all of names, or returns what is closed when one of them is free.
func (p *places) take(names []string) (busy <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range names {
		if ch := p.held[n]; ch != nil {
			return ch
		}
	}
	mine := make(chan struct{})
	for _, n := range names {
		p.held[n] = mine
	}
	return nil
}

func (p *places) free(names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held[names[0]])
	for _, n := range names {
		delete(p.held, n)
	}
}
