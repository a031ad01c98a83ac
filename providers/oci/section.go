package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// A section is the body of one request: the bytes from..end of a source. Once
// it is stopped it reads no more, even if the transport still asks.
type section struct {
	src       io.ReaderAt
	from, end int64

	portion int // bytes that are asked for at once

	mu      sync.Mutex
	at      int64
	stopped bool
	err     error // of the source, not of the way to the host
}

func newSection(src io.ReaderAt, from, end int64) *section {
	return &section{src: src, from: from, end: end, at: from, portion: firstPortion}
}

var errStopped = errors.New("the request has ended")

func (s *section) Read(p []byte) (int, error) {
	at, err := s.position()
	if err != nil {
		return 0, err
	}
	asked := time.Now()
	n, err := s.src.ReadAt(p[:min(int64(len(p)), int64(s.portion), s.end-at)], at)
	s.adapt(time.Since(asked))
	return s.moved(n, err)
}

const (
	firstPortion = 32 << 10
	leastPortion = 4 << 10
)

// adapt asks for more at once from a source that is quick, and for less from one
// that is slow: a host sees every portion as soon as it is there, before it thinks
// that nothing comes any more.
func (s *section) adapt(took time.Duration) {
	switch {
	case took < 50*time.Millisecond:
		s.portion = min(2*s.portion, bodyBuffer)
	case took > time.Second:
		s.portion = max(s.portion/2, leastPortion)
	}
}

func (s *section) position() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return 0, errStopped
	case s.err != nil:
		return 0, s.err
	case s.at >= s.end:
		return 0, io.EOF
	}
	return s.at, nil
}

// moved notes n bytes read. A source that ends early is an error of its own.
func (s *section) moved(n int, err error) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at += int64(n)
	switch {
	case s.at >= s.end:
		return n, nil
	case err == io.EOF:
		s.err = &providers.Error{Kind: providers.Invalid, Op: "upload blob", Ref: "body",
			Err: fmt.Errorf("it ends after %d bytes of %d", s.at, s.end)}
	case err != nil:
		s.err = err
	}
	return n, s.err
}

// stop ends all reading and returns how many bytes were read. A ReadAt that has
// begun may still return later; nothing follows it.
func (s *section) stop() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	return s.at - s.from
}

// failure is the source's own error, nil if the source is fine.
func (s *section) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// all reports whether every byte was handed to the transport.
func (s *section) all() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at >= s.end
}

// watched returns s for one request, at the host's rate. The dog sleeps while the
// source is read, which may take as long as it likes; it allows idle for the host
// to take what was read, and wait for its answer after the last byte.
func (s *section) watched(ctx context.Context, l *limit.Limiter, dog *time.Timer, idle, wait time.Duration) io.ReadCloser {
	return &watchedBody{s: s, r: l.Reader(ctx, limit.Write, s), dog: dog, idle: idle, wait: wait}
}

type watchedBody struct {
	s          *section
	r          io.Reader
	dog        *time.Timer
	idle, wait time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.dog.Stop()
	n, err := b.r.Read(p)
	switch {
	case err == errStopped:
	case b.s.all():
		b.dog.Reset(b.wait)
	default:
		b.dog.Reset(b.idle)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.s.stop()
	return nil
}
