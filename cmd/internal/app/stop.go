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

	mu  sync.Mutex
	say io.Writer // where the first signal is answered; nil while nothing runs that could finish: it then stops at once
}

func newStopper(parent context.Context) (context.Context, *stopper) {
	ctx, cancel := context.WithCancelCause(parent)
	s := &stopper{Soft: make(chan struct{}), cancel: cancel, sigs: make(chan os.Signal, 2)}
	signal.Notify(s.sigs, os.Interrupt, syscall.SIGTERM)
	s.done.Go(s.listen)
	return ctx, s
}

// graceful says that from now on a first signal lets work in flight finish, and
// tells the person so on w.
func (s *stopper) graceful(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say = w
}

func (s *stopper) listen() {
	first := true
	for range s.sigs {
		s.mu.Lock()
		say, atOnce := s.say, s.say == nil || !first
		s.mu.Unlock()
		if first {
			close(s.Soft)
			first = false
		}
		if atOnce {
			s.cancel(errInterrupted)
			continue
		}
		fmt.Fprintln(say, "stopping: what is in flight may finish; Ctrl-C again stops at once")
	}
}

func (s *stopper) close() {
	signal.Stop(s.sigs)
	close(s.sigs)
	s.done.Wait()
	s.cancel(nil)
}
