package registrytest

import (
	"net"
	"syscall"
	"time"
	"unsafe"
)

// drained waits until the peer's kernel has all that was sent, at most for
// limit: a reset throws away what is still under way, and then the bytes that
// were counted would not be those that arrived.
func (c *conn) drained(limit time.Duration) {
	t, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if queued(raw) == 0 {
			return
		}
	}
}

// queued is the number of bytes that the peer has not acknowledged.
func queued(raw syscall.RawConn) int32 {
	var n int32
	_ = raw.Control(func(fd uintptr) {
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
		if e != 0 {
			n = 0
		}
	})
	return n
}
