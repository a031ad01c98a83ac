package web

import (
	"net"
	"sync"
)

// maxConns is how many connections are open at once. Each costs some 20 KB, and those
// of clients that neither write nor read end by themselves within a minute.
const maxConns = 256

// A limited listener has as many connections open as it has slots, and closes those
// beyond at once: who waits for nothing learns that soon.
type limited struct {
	net.Listener
	slots chan struct{}
}

func newLimited(l net.Listener, most int) *limited {
	return &limited{l, make(chan struct{}, most)}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &slotted{c, sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			_ = c.Close()
		}
	}
}

// A slotted connection gives its slot back when it is closed.
type slotted struct {
	net.Conn
	free func()
}

func (c *slotted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
