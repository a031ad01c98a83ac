package registrytest

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// An exchange is one request on its way through the front: what it asks for,
// the quirks it is served under, and what became of it. It is the ResponseWriter
// and, through body, the request body of its handlers, so that it can count them,
// hold them back and break them.
type exchange struct {
	http.ResponseWriter
	route
	s     *Server
	q     *Quirks
	r     *http.Request
	conn  *conn
	side  Side
	n     int64 // in the log
	began time.Time

	brk  Fault // what breaks in the bodies, see Fault.Break
	user string

	status   int
	out      int64 // bytes of the answer's body
	blob     bool  // the answer's body is a blob or a part of one
	in       int64 // bytes of the request's body
	received int64 // by the whole upload, once it is committed
	broken   bool
	fault    bool // the answer was made up
}

// Unwrap lets http.ResponseController flush.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader sends the header, with the length that the fault wants.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 {
		return
	}
	if x.brk.Break == LoseResponse {
		x.reset()
	}
	x.status = status
	x.s.counts.answered(x)
	x.s.log.answered(x)
	x.tamper()
	x.ResponseWriter.WriteHeader(status)
}

// tamper changes the header for the faults that lie about it.
func (x *exchange) tamper() {
	if x.brk.Location != "" {
		x.Header().Set("Location", x.brk.Location)
	}
	switch x.brk.Break {
	case Gzip:
		x.broken = true
		x.Header().Set("Content-Encoding", "gzip")
		x.Header().Del("Content-Length")
	case Endless:
		x.Header().Del("Content-Length")
	}
	length, err := strconv.ParseInt(x.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		return
	}
	switch x.brk.Break {
	case Short:
		length = min(length, x.brk.At)
	case Long:
		length += x.brk.At
	default:
		return
	}
	x.Header().Set("Content-Length", strconv.FormatInt(length, 10))
}

// Write sends p, counting and at the pace of the wire, up to where the fault is.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	switch x.brk.Break {
	case Gzip:
		return x.compress(p)
	case Drip:
		return x.drip(p)
	}
	at := x.brk.At - x.out // where in p the fault is
	if x.brk.Break == Whole || at < 0 || at >= int64(len(p)) {
		return x.send(p)
	}
	switch x.brk.Break {
	case Reset, Truncate, Stall:
		n, err := x.send(p[:at])
		if err != nil {
			return n, err
		}
		x.interrupt()
		more, err := x.send(p[at:])
		return n + more, err
	case Flip:
		p = append([]byte(nil), p...)
		p[at] ^= 1
		x.broken = true
	case Short:
		_, err := x.send(p[:at])
		x.broken = true
		x.brk = Fault{Break: drop}
		return len(p), err
	}
	return x.send(p)
}

// drop swallows what comes after a Short body.
const drop Break = "drop"

// interrupt does at the middle of an answer what the fault says.
func (x *exchange) interrupt() {
	released := x.s.nextRelease()                            // before the client can see that it is to release
	_ = http.NewResponseController(x.ResponseWriter).Flush() // the peer may be gone already
	switch x.brk.Break {
	case Reset:
		x.conn.drained(10 * time.Second)
		x.reset()
	case Truncate:
		x.broken = true
		panic(http.ErrAbortHandler) // closes the connection in order
	case Stall:
		x.broken = true
		x.s.stall(x.r.Context(), x.brk.For, released)
		x.brk = Fault{}
	}
}

// reset ends the connection at once, so that the peer reads "connection reset".
func (x *exchange) reset() {
	x.broken = true
	x.conn.reset()
	panic(http.ErrAbortHandler)
}

func (x *exchange) send(p []byte) (int, error) {
	if x.brk.Break == drop {
		return len(p), nil
	}
	if err := x.s.pace(x, len(p), x.s.outPace); err != nil {
		return 0, err
	}
	blob := x.blob && x.status < 300
	if blob {
		x.s.counts.sent(x, len(p))
	}
	n, err := x.ResponseWriter.Write(p)
	x.out += int64(n)
	if blob && n < len(p) {
		x.s.counts.sent(x, n-len(p))
	}
	if err != nil {
		x.broken = true
	}
	return n, err
}

// uploading reports whether the request's body is a blob or a part of one.
func (x *exchange) uploading() bool {
	return x.class == UploadPatch || x.class == UploadPut || x.class == UploadPost
}

// A body is a request's body.
type body struct {
	io.ReadCloser
	x *exchange
}

func (b body) Read(p []byte) (int, error) {
	x := b.x
	left := x.brk.At - x.in
	upload := x.brk.Break == ResetUpload || x.brk.Break == StallUpload
	if upload && left <= 0 {
		b.interrupt()
	} else if upload && left < int64(len(p)) {
		p = p[:left]
	}
	n, err := b.ReadCloser.Read(p)
	x.in += int64(n)
	if n > 0 && x.uploading() {
		x.s.counts.took(x, n)
	}
	if wait := x.s.pace(x, n, x.s.inPace); wait != nil {
		return n, wait
	}
	return n, err
}

func (b body) interrupt() {
	if b.x.brk.Break == ResetUpload {
		b.x.reset()
	}
	b.x.broken = true
	b.x.s.stall(b.x.r.Context(), b.x.brk.For, b.x.s.nextRelease())
	b.x.brk = Fault{}
}
