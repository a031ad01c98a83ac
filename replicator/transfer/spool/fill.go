package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"sync"
)

// begin starts a read of e, whose goroutine ends with its last claim. Spool.mu is held.
func (s *Spool) begin(ctx context.Context, e *entry, src Source) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &read{src: src, size: e.size, cancel: cancel, ended: make(chan struct{}), claims: map[*Claim]struct{}{}}
	r.cond.L = &r.mu
	if e.read != nil {
		r.after = e.read.ended
	}
	e.read = r
	if e.whole && s.serve(e, r) == nil {
		return
	}
	s.reads.Go(func() {
		defer close(r.ended)
		defer cancel(nil)
		s.settle(e, r, s.fill(ctx, e, r))
	})
}

// serve lets claims read an entry that is whole, without a goroutine.
func (s *Spool) serve(e *entry, r *read) error {
	if r.after != nil && !r.closedAfter() {
		return errBusy
	}
	at, err := s.sink(e)
	if err != nil {
		s.discard(e)
		return err
	}
	r.start(at)
	r.finish()
	r.settled = true
	close(r.ended)
	return nil
}

var errBusy = errors.New("an earlier read has not ended")

func (r *read) closedAfter() bool {
	select {
	case <-r.after:
		return true
	default:
		return false
	}
}

// A sink is where an entry's bytes are written and read.
type sink interface {
	io.ReaderAt
	io.WriterAt
}

type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error)  { return bytes.NewReader(m).ReadAt(p, off) }
func (m memory) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

// sink opens e's place. Spool.mu is held, or the entry is the caller's alone.
func (s *Spool) sink(e *entry) (sink, error) {
	if e.mem != nil {
		return memory(e.mem), nil
	}
	e.closeFile()
	f, err := s.openFile(e)
	e.file = f
	return f, err
}

// bufferSize is how many bytes a read without a window takes at once, at most.
const bufferSize = 128 << 10

// buffers are those of reads that have ended: a registry of small blobs would
// otherwise be gigabytes of garbage.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// fill gets all bytes of e: what is there already, then the rest from r's source.
func (s *Spool) fill(ctx context.Context, e *entry, r *read) error {
	if r.after != nil {
		<-r.after
	}
	if err := s.reserve(ctx, e, r); err != nil {
		return err
	}
	s.mu.Lock()
	to, err := s.sink(e)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	kept := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(kept)
	buf := kept[:]
	h := sha256.New()
	if err := s.trust(e, r, to, h, buf); err != nil || e.whole {
		return err
	}
	if err := s.pull(ctx, e, r, to, h, buf); err != nil {
		return err
	}
	return s.verified(e)
}

// trust hashes what is there from before; if it is all, and wrong, it is thrown
// away and e starts from nothing.
func (s *Spool) trust(e *entry, r *read, to sink, h hash.Hash, buf []byte) error {
	if e.have == 0 {
		return nil
	}
	if err := rehash(to, e.have, h, buf); err != nil {
		return diskError(err)
	}
	if e.have < e.size {
		return nil
	}
	if sum(h) == e.digest {
		r.start(to)
		return s.verified(e)
	}
	h.Reset()
	e.have = 0
	return nil
}

// pull reads the rest of e from its source and checks size and digest. What a read
// brings is in the file before the next one: a process that is killed loses nothing
// that it had.
func (s *Spool) pull(ctx context.Context, e *entry, r *read, to sink, h hash.Hash, buf []byte) error {
	body, err := r.src.Open(ctx, e.have)
	if err != nil {
		return cause(ctx, err)
	}
	defer body.Close()
	window, cache := s.openWindow(e, r), s.newCache(e, r, to)
	r.start(to)
	r.grown(e.have)
	for e.have < e.size {
		if window != nil {
			buf = window.room(e.have)
		}
		n, err := body.Read(buf[:min(int64(len(buf)), e.size-e.have)])
		h.Write(buf[:n])
		if _, err := to.WriteAt(buf[:n], e.have); err != nil {
			return diskError(err)
		}
		e.have += int64(n)
		r.grown(e.have)
		cache.grown(e.have)
		if err == io.EOF {
			break
		}
		if err != nil {
			return cause(ctx, err)
		}
	}
	return check(ctx, e, r, body, h)
}

// check tells whether body ended where it should and the digest is right.
func check(ctx context.Context, e *entry, r *read, body io.Reader, h hash.Hash) error {
	wrong := &Mismatch{From: r.src.String(), Want: e.digest, Size: e.size, GotSize: e.have}
	if e.have < e.size {
		return wrong
	}
	switch n, err := io.ReadFull(body, make([]byte, 1)); {
	case n > 0:
		wrong.GotLonger, wrong.GotSize = true, e.have+1
		return wrong
	case err != io.EOF:
		return cause(ctx, err)
	}
	if wrong.Got = sum(h); wrong.Got != e.digest {
		return wrong
	}
	return nil
}

func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// verified marks e whole; on disk it gets its final name.
func (s *Spool) verified(e *entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.mem == nil && !e.named {
		if err := os.Rename(s.name(e), s.path(e.digest)); err != nil {
			return diskError(err)
		}
		e.named = true
	}
	e.whole = true
	return nil
}

// settle ends a read: claims learn of its result, and the entry is kept as far
// as it is good for anything.
func (s *Spool) settle(e *entry, r *read, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unqueue(e)
	s.closeWindow(r)
	r.settled = true
	if err == nil {
		r.finish()
	} else {
		r.fail(err)
		s.salvage(e, err)
	}
	switch {
	case e.read != r: // a newer read has it, and waits for us
	case err != nil || len(r.claims) == 0:
		s.park(e)
	}
}

// salvage keeps what a failed read has brought, unless it is wrong or the disk is full.
func (s *Spool) salvage(e *entry, err error) {
	_, wrong := errors.AsType[*Mismatch](err)
	if wrong || errors.Is(err, ErrNoRoom) || errors.Is(err, ErrDisk) || e.mem != nil {
		s.discard(e)
	}
}
