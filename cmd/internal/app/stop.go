package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// A stopper turns signals into the two steps of stopping: Soft is closed by the
// first, its context is cancelled with [errInterrupted] by the second.
type stopper struct {
	Soft   chan struct{}
	cancel context.CancelCauseFunc
	sigs   chan os.Signal
	done   sync.WaitGroup
	quiet  bool // nothing runs that could finish: the first signal stops at once
	mu     sync.Mutex
}

func newStopper(parent context.Context, stderr io.Writer) (context.Context, *stopper) {
	ctx, cancel := context.WithCancelCause(parent)
	s := &stopper{Soft: make(chan struct{}), cancel: cancel, sigs: make(chan os.Signal, 2), quiet: true}
	signal.Notify(s.sigs, os.Interrupt, syscall.SIGTERM)
	s.done.Go(func() { s.listen(stderr) })
	return ctx, s
}

// graceful says that from now on a first signal lets work in flight finish.
func (s *stopper) graceful() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = false
}

func (s *stopper) listen(stderr io.Writer) {
	first := true
	for range s.sigs {
		s.mu.Lock()
		atOnce := s.quiet || !first
		s.mu.Unlock()
		if first {
			close(s.Soft)
			first = false
		}
		if atOnce {
			s.cancel(errInterrupted)
			continue
		}
		fmt.Fprintln(stderr, "\nstopping: what is in flight may finish; Ctrl-C again stops at once")
	}
}

// stopped reports whether a signal has come.
func (s *stopper) stopped() bool {
	select {
	case <-s.Soft:
		return true
	default:
		return false
	}
}

func (s *stopper) close() {
	signal.Stop(s.sigs)
	close(s.sigs)
	s.done.Wait()
	s.cancel(nil)
}
