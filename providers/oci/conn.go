package oci

import (
	"context"
	"io"
	"net"
	"sync"
)

// bodyBuffer is how many bytes of a request's body go to the connection at once.
// net/http takes 32 KiB; each turn costs two system calls and some locks.
const bodyBuffer = 256 << 10

// bodyBuffers are lent to requests while they send.
var bodyBuffers = sync.Pool{New: func() any { return new([bodyBuffer]byte) }}

// A bodyConn sends bodies in larger portions. net/http gives it a body by ReadFrom,
// unless TLS is in between.
type bodyConn struct{ net.Conn }

// dialBodies makes of dial's connections such that send large bodies cheaply.
func dialBodies(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return bodyConn{c}, nil
	}
}

// ReadFrom sends r to its end.
func (c bodyConn) ReadFrom(r io.Reader) (int64, error) {
	buf := bodyBuffers.Get().(*[bodyBuffer]byte)
	defer bodyBuffers.Put(buf)
	// Without their other methods, since io.Copy would come back here.
	return io.CopyBuffer(struct{ io.Writer }{c.Conn}, struct{ io.Reader }{r}, buf[:])
}
