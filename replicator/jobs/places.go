package jobs

import (
	"slices"
	"sync"
	"time"

	"github.com/transship/transship/replicator"
)

// places keeps two jobs from one target repository: rows whose groups changed
// between their asks may have one in common.
type places struct {
	mu   sync.Mutex
	held map[string]bool
}

// busyFor is when a job comes again whose targets another has.
const busyFor = 2 * time.Second

// hold takes all of job's targets, if no other job has one of them.
func (p *places) hold(job replicator.Job) (release func(), free bool) {
	var names []string
	for _, l := range job.Links {
		names = append(names, l.To.String())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(names, func(n string) bool { return p.held[n] }) {
		return nil, false
	}
	for _, n := range names {
		p.held[n] = true
	}
	return func() { p.free(names) }, true
}

func (p *places) free(names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range names {
		delete(p.held, n)
	}
}
