package registrytest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is one accepted connection.
type conn struct {
	net.Conn
	used    atomic.Bool
	out, in pacer
}

type connKey struct{}

// withConn is an http.Server's ConnContext; opened counts.
func withConn(opened *atomic.Int64) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		opened.Add(1)
		if t, ok := c.(*tls.Conn); ok {
			c = t.NetConn()
		}
		return context.WithValue(ctx, connKey{}, &conn{Conn: c})
	}
}

func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// reset makes the close that follows a reset.
func (c *conn) reset() {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}

// A pacer lets bytes pass at a rate. The zero value is ready. Safe for concurrent use.
type pacer struct {
	mu   sync.Mutex
	free time.Time // when all that passed is through
}

// wait returns how long n more bytes have to wait at this rate.
func (p *pacer) wait(n int, perSecond int64) time.Duration {
	if perSecond <= 0 || n == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(perSecond) * float64(time.Second)))
	return p.free.Sub(now)
}

// direction picks the pacer of a connection.
type direction struct {
	all *pacer
	one func(*conn) *pacer
}

// pace holds n bytes of x back as long as the wire takes for them.
func (s *Server) pace(x *exchange, n int, d direction) error {
	wait := d.all.wait(n, x.q.BytesPerSecond)
	wait = max(wait, d.one(x.conn).wait(n, x.q.ConnBytesPerSecond))
	return s.sleep(x.r.Context(), wait)
}

// sleep returns after d, or early with an error if ctx or the server ends.
func (s *Server) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.done:
		return net.ErrClosed
	}
}

// nextRelease is closed by the Release that comes next.
func (s *Server) nextRelease() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.released
}

// stall waits for d, or with 0 until released. Where the client or the server end
// meanwhile, nothing goes on: the connection is closed.
func (s *Server) stall(ctx context.Context, d time.Duration, released <-chan struct{}) {
	if d > 0 {
		if err := s.sleep(ctx, d); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	select {
	case <-released:
		return
	case <-ctx.Done():
	case <-s.done:
	}
	panic(http.ErrAbortHandler)
}
