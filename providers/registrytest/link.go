package registrytest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A Link is a long way between two hosts: bytes arrive half a round trip after they
// have left, all flows share its rate, and one flow has no more bytes under way
// than its window, so that its rate is at most Window for each RoundTrip. It holds
// bytes as TCP does: a receiver that does not read stops its sender. Each direction
// has the whole rate.
type Link struct {
	// RoundTrip is there and back. A new connection takes one before its first byte.
	RoundTrip time.Duration
	// BytesPerSecond bounds all flows together, in each direction; 0 is no bound.
	BytesPerSecond int64
	// Window is how many bytes of one flow are not acknowledged at most.
	Window int64
	// SlowStart lets a flow begin with 10 segments of 1,460 bytes and double with
	// each round trip, and begin again after two of them without a byte.
	SlowStart bool

	there, back pacer
}

const (
	linkSegment  = 64 << 10
	firstFlight  = 10 * 1460
	restartAfter = 2 // round trips without a byte
)

// Listen opens an address on loopback from which the link leads to another one. It
// ends with the test, and all its connections with it.
func (l *Link) Listen(t testing.TB, to string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var flows sync.WaitGroup
	flows.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			flows.Go(func() { l.connect(ctx, near, to) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		cancel()
		flows.Wait()
	})
	return listener.Addr().String()
}

func (l *Link) connect(ctx context.Context, near net.Conn, to string) {
	far, err := net.Dial("tcp", to)
	if err != nil {
		near.Close()
		return
	}
	for _, c := range []net.Conn{near, far} { // what the kernel holds besides is not the link's
		_ = c.(*net.TCPConn).SetReadBuffer(4 * linkSegment)
	}
	l.Join(ctx, near, far)
}

// Join lays the link between two connections, until both directions have ended or
// ctx has, and closes them.
func (l *Link) Join(ctx context.Context, near, far net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
	var g sync.WaitGroup
	g.Go(func() { l.flow(ctx, far, near, &l.there, l.RoundTrip, cancel) })
	g.Go(func() { l.flow(ctx, near, far, &l.back, 0, cancel) })
	g.Wait()
	stop()
	cancel()
	near.Close()
	far.Close()
}

// A segment is under way until at.
type segment struct {
	bytes []byte
	at    time.Time
}

// flow carries src's bytes to dst. fail ends the connection when one side breaks.
func (l *Link) flow(ctx context.Context, dst, src net.Conn, lane *pacer, handshake time.Duration, fail func()) {
	f := &flight{most: l.Window, limit: l.Window, last: time.Now()}
	f.cond.L = &f.mu
	if l.SlowStart {
		f.limit = min(firstFlight, l.Window)
	}
	defer context.AfterFunc(ctx, f.end)()
	sky := make(chan segment, l.Window/firstFlight+l.Window/linkSegment+1000) // as many as a window may hold
	var g sync.WaitGroup
	g.Go(func() { l.land(ctx, dst, sky, f, fail) })
	wait(ctx, handshake)
	for {
		room := f.room(l.SlowStart, restartAfter*l.RoundTrip)
		if room == 0 {
			break
		}
		buf := make([]byte, min(room, linkSegment))
		n, err := src.Read(buf)
		if n > 0 {
			f.sent(n)
			left := time.Now().Add(lane.wait(n, l.BytesPerSecond))
			sky <- segment{buf[:n], left.Add(l.RoundTrip / 2)}
		}
		if err != nil {
			if err != io.EOF {
				fail()
			}
			break
		}
	}
	close(sky)
	g.Wait()
}

// land writes segments when they arrive, and has them acknowledged half a round
// trip later.
func (l *Link) land(ctx context.Context, dst net.Conn, sky <-chan segment, f *flight, fail func()) {
	for s := range sky {
		wait(ctx, time.Until(s.at))
		if _, err := dst.Write(s.bytes); err != nil {
			fail()
			continue // what else is under way is lost
		}
		n := int64(len(s.bytes))
		time.AfterFunc(l.RoundTrip/2, func() { f.acked(n, l.SlowStart) })
	}
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	} else {
		_ = dst.Close()
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// A flight is what one flow has under way.
type flight struct {
	mu    sync.Mutex
	cond  sync.Cond
	bytes int64
	limit int64 // of bytes, now
	most  int64 // that limit grows to
	last  time.Time
	ended bool
}

// room waits until more may be sent and returns how much, 0 at the end.
func (f *flight) room(slow bool, idle time.Duration) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.ended && f.bytes >= f.limit {
		f.cond.Wait()
	}
	if f.ended {
		return 0
	}
	if slow && f.bytes == 0 && time.Since(f.last) > idle {
		f.limit = min(firstFlight, f.most)
	}
	return f.limit - f.bytes
}

func (f *flight) sent(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes += int64(n)
	f.last = time.Now()
}

func (f *flight) acked(n int64, slow bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes -= n
	if slow {
		f.limit = min(f.limit+n, f.most)
	}
	f.cond.Broadcast()
}

func (f *flight) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.cond.Broadcast()
}
