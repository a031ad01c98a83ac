package registrytest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// carry sends n bytes over a flow of l and returns when the first and the last
// arrived, since the connection was made. Time is the bubble's.
func carry(t *testing.T, l *Link, n int) (first, last time.Duration) {
	t.Helper()
	near, a := net.Pipe()
	b, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() { l.Join(ctx, a, b) })
	start := time.Now()
	g.Go(func() {
		if _, err := near.Write(make([]byte, n)); err != nil {
			t.Error(err)
		}
	})
	if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	first = time.Since(start)
	if _, err := io.CopyN(io.Discard, far, int64(n-1)); err != nil {
		t.Error(err)
	}
	last = time.Since(start)
	cancel()
	near.Close()
	far.Close()
	g.Wait()
	return first, last
}

func TestLink(t *testing.T) {
	const rtt, ms = 200 * time.Millisecond, time.Millisecond
	for _, tt := range []struct {
		name        string
		link        *Link
		flows, n    int
		first, last time.Duration // of the slowest flow, within 5 %; a first of 0 is left to chance
	}{
		{"a byte", &Link{Window: 1 << 20}, 1, 1, 300 * ms, 300 * ms},
		{"by its rate", &Link{Window: 64 << 20, BytesPerSecond: 1 << 20}, 1, 4 << 20, 362 * ms, 4300 * ms},
		{"by its window", &Link{Window: 1 << 20}, 1, 16 << 20, 300 * ms, 3300 * ms},
		{"four flows share the rate", &Link{Window: 1 << 20, BytesPerSecond: 8 << 20}, 4, 8 << 20, 0, 4300 * ms},
		{"slow start", &Link{Window: 1 << 20, SlowStart: true}, 1, 10 * 1460 * 15, 300 * ms, 900 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.link.RoundTrip = rtt
				var g sync.WaitGroup
				var mu sync.Mutex
				var first, last time.Duration
				for range tt.flows {
					g.Go(func() {
						f, l := carry(t, tt.link, tt.n)
						mu.Lock()
						defer mu.Unlock()
						first, last = max(first, f), max(last, l)
					})
				}
				g.Wait()
				if tt.first > 0 && !near(first, tt.first) || !near(last, tt.last) {
					t.Errorf("the first byte came after %v and the last after %v, want %v and %v", first, last, tt.first, tt.last)
				}
			})
		})
	}
}

func near(got, want time.Duration) bool { return got >= want-want/20 && got <= want+want/20 }

// A receiver that does not read stops the sender after a window.
func TestLinkStopsItsSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Link{RoundTrip: 200 * time.Millisecond, Window: 1 << 20}
		near, a := net.Pipe()
		b, far := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		var g sync.WaitGroup
		g.Go(func() { l.Join(ctx, a, b) })
		near.SetWriteDeadline(time.Now().Add(time.Hour))
		n, err := near.Write(make([]byte, 10<<20))
		if err == nil || n > 1<<20 {
			t.Errorf("%d bytes were taken, %v", n, err)
		}
		cancel()
		near.Close()
		far.Close()
		g.Wait()
	})
}
