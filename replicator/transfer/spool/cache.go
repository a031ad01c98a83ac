package spool

import (
	"os"
	"sync/atomic"
)

const (
	cacheStep = 8 << 20  // bytes that are handed to the disk at once
	cacheKeep = 32 << 20 // of what was written last, and may not be on the disk yet
)

// A cache keeps the kernel's memory of a file small while it is written: bytes
// that every claim has taken are not needed again soon. They go to the disk early
// and out of the page cache, where they would count against a container's memory
// and push out what the machine's other programs need.
type cache struct {
	s    *Spool
	r    *read
	file *os.File
	next int64 // where the next step ends
	from int64
	busy atomic.Bool // the disk is behind: a step is left out

	hand func(f *os.File, off, n, done int64) // writeBack
}

// newCache begins at have; nil for an entry that is in memory, or small.
func (s *Spool) newCache(e *entry, r *read, to sink) *cache {
	file, ok := to.(*os.File)
	if !ok || e.size < cacheKeep {
		return nil
	}
	return &cache{s: s, r: r, file: file, from: e.have, next: e.have + cacheStep, hand: writeBack}
}

// grown hears that the file has n bytes.
func (c *cache) grown(n int64) {
	if c == nil || n < c.next || c.busy.Swap(true) {
		return
	}
	from, done := c.from, min(n-cacheKeep, c.s.passed(c.r))
	c.from, c.next = n, n+cacheStep
	c.s.reads.Go(func() {
		c.hand(c.file, from, n-from, done)
		c.busy.Store(false)
	})
}

// passed is how many bytes every claim of r has taken.
func (s *Spool) passed(r *read) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	least := r.size
	for c := range r.claims {
		least = min(least, c.passed)
	}
	return least
}
