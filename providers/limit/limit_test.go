package limit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestWidth(t *testing.T) {
	for _, tt := range []struct {
		name, say string // g: a window of good answers, t: a throttle
		want      []int
	}{
		{"doubles to the limit", "ggg", []int{16, 32, 32}},
		{"halves, goes back to three quarters, then grows by one", "gtggg", []int{16, 8, 12, 13, 14}},
		{"never below one", "tttttgg", []int{4, 2, 1, 1, 1, 2, 3}},
		{"goes back to a width that was taken for a while", "gggtgg", []int{16, 32, 32, 16, 32, 32}},
		{"finds a limit that has fallen", "gggttgtgg", []int{16, 32, 32, 16, 8, 16, 8, 12, 13}},
		{"grows more patiently where the limit was found before", "tggtgggg", []int{4, 6, 7, 3, 6, 6, 7, 7}},
		{"and without patience where there is more", "tggtggggggg", []int{4, 6, 7, 3, 6, 6, 7, 7, 8, 8, 9}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWidth(8, 32)
			for i, s := range tt.say {
				if s == 't' {
					w.halve()
				} else {
					for range w.now {
						w.good()
					}
				}
				if w.now != tt.want[i] {
					t.Errorf("after %q the width is %d, want %d", tt.say[:i+1], w.now, tt.want[i])
				}
			}
		})
	}
}

// A host that takes so many requests at a time, and refuses the rest, refuses few
// once the width knows it, and is used well.
func TestWidthSettles(t *testing.T) {
	for _, takes := range []int{3, 5, 10, 20} {
		w := newWidth(8, 32)
		asked, refused, used := 0, 0, 0
		for n := range 20_000 {
			if n == 2_000 {
				asked, refused, used = 0, 0, 0
			}
			asked++
			used += w.now
			if w.now > takes {
				refused += w.now - takes // all that are in flight beyond it
				w.halve()
				continue
			}
			w.good()
		}
		if share := float64(refused) / float64(asked); share > 0.02 {
			t.Errorf("a host that takes %d refuses %.1f %%", takes, 100*share)
		}
		if mean := float64(used) / float64(asked); mean < 0.7*float64(takes) {
			t.Errorf("a host that takes %d is asked %.1f at a time", takes, mean)
		}
	}
}

// One 503 in twenty, spread at random, is no reason to ask less; one in two is.
func TestUnavailable(t *testing.T) {
	for _, tt := range []struct {
		rate        float64
		least, most int
	}{{0.05, 32, 32}, {0.5, 1, 2}} {
		l := New(Options{Start: 32})
		chance := rand.New(rand.NewPCG(3, 4))
		for range 2000 {
			ticket, err := l.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if chance.Float64() < tt.rate {
				ticket.Unavailable()
			} else {
				ticket.Good()
			}
		}
		if got := l.Width(); got < tt.least || got > tt.most {
			t.Errorf("with %.0f %% of 503 the width is %d", 100*tt.rate, got)
		}
	}
}

func TestThrottlesOfOneWindowHalveOnce(t *testing.T) {
	l := New(Options{})
	var tickets []Ticket
	for range 8 {
		ticket, err := l.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	for _, ticket := range tickets {
		ticket.Throttled()
	}
	if l.Width() != 4 {
		t.Errorf("eight throttles of one window left the width at %d, want 4", l.Width())
	}
}

func TestIdleHostKeepsItsWidth(t *testing.T) {
	l := New(Options{})
	for range 100 {
		slot := acquire(t, l, Read)
		ticket, _ := l.Begin(t.Context())
		ticket.Good()
		slot.Release()
	}
	if l.Width() != DefaultStart {
		t.Errorf("one request at a time moved the width to %d", l.Width())
	}
}

func TestClassesDoNotShareSlots(t *testing.T) {
	l := New(Options{Start: 1, Max: 1})
	acquire(t, l, Write)
	acquire(t, l, Read).Release()
	if l.InFlight(Write) != 1 || l.InFlight(Read) != 0 {
		t.Errorf("in flight: %d writes, %d reads", l.InFlight(Write), l.InFlight(Read))
	}
}

func TestSlotsAreGrantedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Start: 1, Max: 1})
		held := acquire(t, l, Read)
		order := make(chan int, 5) // all of them
		for i := range 5 {
			go func() {
				slot := acquire(t, l, Read)
				order <- i
				slot.Release()
			}()
			synctest.Wait() // it is in the queue
		}
		held.Release()
		for want := range 5 {
			if got := <-order; got != want {
				t.Fatalf("slot went to %d, want %d", got, want)
			}
		}
	})
}

func TestSlotIsNotLostToACancelledWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Start: 1, Max: 1})
		held := acquire(t, l, Read)
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error, 1)
		go func() { _, err := l.Acquire(ctx, Read); failed <- err }()
		synctest.Wait()
		cancel(stop)
		if err := <-failed; !errors.Is(err, stop) {
			t.Errorf("error %v, want the cause", err)
		}
		held.Release()
		held.Release() // counts once
		acquire(t, l, Read)
		if n := l.InFlight(Read); n != 1 {
			t.Errorf("%d in flight, want 1", n)
		}
	})
}

func TestNarrowedWidthWaitsForThoseInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Start: 2, Max: 2})
		ticket, _ := l.Begin(t.Context())
		a, b := acquire(t, l, Read), acquire(t, l, Read)
		ticket.Throttled() // the width is 1 now
		got := make(chan *Slot)
		go func() { got <- acquire(t, l, Read) }()
		a.Release()
		synctest.Wait()
		select {
		case <-got:
			t.Error("a second slot was granted at width 1")
		default:
		}
		b.Release()
		(<-got).Release()
	})
}

func TestRequestsPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Requests: 4}) // a burst of one
		start := time.Now()
		for range 9 {
			if _, err := l.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("nine requests at 4/s took %v, want 2s", took)
		}
	})
}

func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Requests: 1.0 / 3600, Burst: 5}) // 5 at once, then one an hour
		start := time.Now()
		for i, want := range []time.Duration{0, 0, 0, 0, 0, time.Hour, 2 * time.Hour} {
			if _, err := l.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start).Round(time.Second); took != want {
				t.Errorf("request %d began after %v, want %v", i, took, want)
			}
		}
	})
}

func TestRequestsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Requests: 0.1})
		l.Begin(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Begin(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want a deadline", err)
		}
		stop := errors.New("stop")
		ctx2, cancel2 := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel2(stop) })
		if _, err := l.Begin(ctx2); !errors.Is(err, stop) {
			t.Errorf("error %v, want the cause", err)
		}
	})
}

func TestBytesPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{ReadBytes: Steady(1000)})
		start := time.Now()
		n, err := io.Copy(io.Discard, l.Reader(t.Context(), Read, bytes.NewReader(make([]byte, 10_250))))
		if n != 10_250 || err != nil {
			t.Fatal(n, err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("10 kB at 1 kB/s took %v, want 10s", took)
		}
		if n, err := io.Copy(io.Discard, l.Reader(t.Context(), Write, bytes.NewReader(make([]byte, 10_250)))); n != 10_250 || err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("writes are paced without a rate: %d bytes, %v", n, err)
		}
	})
}

func acquire(t *testing.T, l *Limiter, c Class) *Slot {
	t.Helper()
	slot, err := l.Acquire(t.Context(), c)
	if err != nil {
		t.Errorf("acquire: %v", err)
	}
	return slot
}
