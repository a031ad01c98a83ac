package spool

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Claim is a right to the bytes of one digest: they stay until Release, except
// that a party which lags may lose them (ErrLost). It is an [io.ReaderAt] whose
// ReadAt waits until the bytes are there, and fails when the read does, when the
// claim's context ends and after Release.
type Claim struct {
	spool *Spool
	entry *entry
	read  *read
	party string
	stop  func() bool // of the context's AfterFunc

	gone   error // guarded by read.mu: why this claim alone may read no more
	passed int64 // the same: bytes that were taken, from the start
}

// Claim joins the read of desc, or starts it from src. It returns at once; the
// read waits for room on its own, and goes on until it is done or nobody claims
// it any more. Party names whom the bytes are for, a target: a party that lags
// loses its claims first. ErrTooLarge if desc can never fit.
func (s *Spool) Claim(ctx context.Context, desc v1.Descriptor, party string, src Source) (*Claim, error) {
	if !valid(desc.Digest) {
		return nil, fmt.Errorf("spool: %q is no sha256 digest", desc.Digest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // no read is begun for whoever has given up
	}
	if desc.Size > s.opts.Bytes && desc.Size > min(s.opts.Small, s.opts.Memory) {
		return nil, fmt.Errorf("%d bytes are %w of %d", desc.Size, ErrTooLarge, s.opts.Bytes)
	}
	e := s.entryFor(desc)
	s.unpark(e)
	if e.read == nil || e.read.abandoned {
		s.begin(ctx, e, src)
	}
	c := &Claim{spool: s, entry: e, read: e.read, party: party}
	c.read.claims[c] = struct{}{}
	c.stop = context.AfterFunc(ctx, func() { c.leave(context.Cause(ctx)) })
	return c, nil
}

// entryFor finds or makes the entry; one that has more bytes than desc says is
// no use.
func (s *Spool) entryFor(desc v1.Descriptor) *entry {
	e := s.entries[desc.Digest]
	if e != nil && e.read == nil && !e.whole && e.have > desc.Size {
		s.drop(e)
		e = nil
	}
	if e == nil {
		e = &entry{digest: desc.Digest}
		s.entries[desc.Digest] = e
	}
	if e.read == nil {
		e.size = desc.Size
	}
	return e
}

// Begin waits until bytes come, so that an upload takes its slot only then.
func (c *Claim) Begin() error {
	return c.wait(func(r *read) bool { return r.begun })
}

// Whole waits until all bytes are there and right.
func (c *Claim) Whole() error {
	return c.wait(func(r *read) bool { return r.done })
}

// ReadAt implements [io.ReaderAt].
func (c *Claim) ReadAt(p []byte, off int64) (int, error) {
	size := c.read.size
	if off >= size {
		if err := c.Whole(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), size)
	window, err := c.await(off, end)
	if err != nil {
		return 0, err
	}
	n := 0
	if window != nil {
		n = window.readAt(p[:end-off], off)
	}
	if off+int64(n) < end {
		var more int
		more, err = c.read.at.ReadAt(p[n:end-off], off+int64(n))
		n += more
	}
	switch {
	case int64(n) < end-off && c.Err() != nil:
		return n, c.Err() // the file was closed under us
	case int64(n) < end-off:
		return n, diskError(err)
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// await waits until the bytes before end are there. Those before off are done with.
func (c *Claim) await(off, end int64) (*window, error) {
	r := c.read
	r.mu.Lock()
	defer r.mu.Unlock()
	c.passed = max(c.passed, off)
	err := c.waitLocked(func(r *read) bool {
		r.wanted = min(r.wanted, end)
		return r.avail >= end
	})
	return r.window, err
}

// Source is what the read takes its bytes from: that of the claim which started it.
func (c *Claim) Source() Source { return c.read.src }

// Release ends the claim. The last one also ends a read that is still under way,
// and waits for its end; what has been read is kept to go on from. Bytes that the
// source was asked for and that could not be kept yet are waited for, unless the
// claim's context ends: those of a file are the first ones, those in memory all.
func (c *Claim) Release() {
	_ = c.wait(func(r *read) bool { return !r.begun || r.kept })
	c.stop()
	c.leave(ErrClosed)
	s, r := c.spool, c.read
	s.mu.Lock()
	delete(r.claims, c)
	last := len(r.claims) == 0 && !r.abandoned
	if last {
		r.abandoned = true
		r.cancel(ErrClosed)
		if r.settled && c.entry.read == r {
			s.park(c.entry)
		}
	}
	s.mu.Unlock()
	if last {
		<-r.ended
	}
}

// leave makes this claim's waits and reads fail.
func (c *Claim) leave(err error) {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	if c.gone == nil {
		c.gone = err
	}
	c.read.cond.Broadcast()
}

func (c *Claim) wait(ok func(*read) bool) error {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	return c.waitLocked(ok)
}

func (c *Claim) waitLocked(ok func(*read) bool) error {
	r := c.read
	for {
		switch {
		case c.gone != nil:
			return c.gone
		case r.err != nil:
			return r.err
		case ok(r):
			return nil
		}
		r.cond.Wait()
	}
}

// A read is one attempt to have all bytes of an entry.
type read struct {
	src    Source
	size   int64
	cancel context.CancelCauseFunc
	after  <-chan struct{} // end of an earlier read that may still be writing
	ended  chan struct{}

	claims    map[*Claim]struct{} // guarded by Spool.mu, like the next two
	abandoned bool                // its last claim is gone
	settled   bool                // the goroutine no longer touches the entry

	mu    sync.Mutex
	cond  sync.Cond
	at    io.ReaderAt // set before begun
	begun bool
	done  bool
	kept  bool  // a later read can go on from what is there
	avail int64 // bytes that claims may see
	err   error

	wanted int64   // the least number of bytes that a claim waits for
	window *window // the newest bytes, nil for none
}

func (r *read) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.cond.Broadcast()
}

// start tells that bytes come, to be read through at.
func (r *read) start(at io.ReaderAt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.begun = at, true
	r.cond.Broadcast()
}

// holdBack is how near to the end claims come before the digest is right; at
// least the last byte.
const holdBack = 64 << 10

// grown tells that n bytes are there, not yet verified as a whole.
func (r *read) grown(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.avail = max(r.avail, min(n, r.size-holdBack))
	if _, file := r.at.(*os.File); file && n > 0 && !r.kept {
		r.kept = true
		r.cond.Broadcast()
	}
	if r.avail >= r.wanted {
		r.wanted = math.MaxInt64 // those who go on waiting say so again
		r.cond.Broadcast()
	}
}

func (r *read) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done, r.kept, r.avail = true, true, r.size
	r.cond.Broadcast()
}

// Err is why the bytes cannot be had: the read failed, was revoked, or the
// claim has ended. Nil while all is well.
func (c *Claim) Err() error {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	if c.gone != nil {
		return c.gone
	}
	return c.read.err
}

// Slow reports whether bytes are still being read.
func (c *Claim) Slow() bool {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	return !c.read.done && c.read.err == nil
}
