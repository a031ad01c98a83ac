package oci

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// An exchange is one HTTP request under way, from its first byte until the
// answer's body is closed. A watchdog ends it when the host falls silent.
type exchange struct {
	r      *Registry
	c      *call
	op     string
	parent context.Context // of the call; the exchange lives no longer than it
	ctx    context.Context
	cancel context.CancelCauseFunc
	start  time.Time
	dog    *time.Timer
	body   *section // what is sent, nil for none
	status int
	got    int64
	once   sync.Once
}

var (
	errSilent  = errors.New("the host did not answer in time")
	errStalled = errors.New("no byte moved for too long")
	errSlow    = errors.New("the host sends so slowly that it would never end")
)

func newExchange(ctx context.Context, r *Registry, c *call, op string) *exchange {
	x := &exchange{r: r, c: c, op: op, parent: ctx, start: time.Now()}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	if c.content != nil {
		x.body = c.content()
	}
	return x
}

// request builds the HTTP request and sets the watchdog on.
func (x *exchange) request(u *url.URL, authorization string) *http.Request {
	req := &http.Request{Method: x.c.method, URL: u, Host: u.Host, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	for k, v := range x.c.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", x.r.opts.UserAgent)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	wait := x.c.wait
	def(&wait, x.r.opts.Timeouts.Header)
	x.dog = time.AfterFunc(wait, func() { x.cancel(errSilent) })
	if x.body != nil {
		req.ContentLength = x.body.end - x.body.from
		req.Body = x.body.watched(x.ctx, x.r.limit, x.dog, x.r.opts.Timeouts.Idle, wait)
		if req.ContentLength == 0 {
			req.Body = http.NoBody
		}
	}
	return req.WithContext(x.ctx)
}

// failed is the error of an exchange that got no answer, or broke.
func (x *exchange) failed(err error) error {
	err = x.explain(err)
	x.end(err)
	return err
}

func (x *exchange) explain(err error) error {
	if cause := context.Cause(x.parent); cause != nil {
		return cause
	}
	if cause := context.Cause(x.ctx); cause != nil {
		err = cause
	}
	if x.body != nil && x.body.failure() != nil {
		return x.body.failure()
	}
	return x.r.transportError(x.c, err)
}

func (x *exchange) end(err error) {
	x.once.Do(func() {
		x.dog.Stop()
		x.cancel(nil)
		var sent int64
		if x.body != nil {
			sent = x.body.stop()
		}
		q := Request{Op: x.op, Class: x.c.class, Status: x.status, Sent: sent, Got: x.got, Took: time.Since(x.start), Err: err}
		x.r.opts.Observe(q)
		x.log(q)
	})
}

// log tells of the request without its address, which may hold a secret.
func (x *exchange) log(q Request) {
	attrs := []slog.Attr{slog.String("op", q.Op), slog.String("host", x.r.Host()), slog.String("repo", x.c.repo), slog.String("ref", x.c.ref),
		slog.Int("status", q.Status), slog.Int64("sent", q.Sent), slog.Int64("bytes", q.Got), slog.Duration("took", q.Took)}
	if q.Err != nil {
		attrs = append(attrs, slog.Any("err", q.Err))
	}
	x.r.log.LogAttrs(x.parent, slog.LevelDebug, "request", attrs...)
}

// open turns the watchdog to the answer's body. A blob's may take as long as it
// moves, all others have to come to their end.
func (x *exchange) open(resp *http.Response) io.ReadCloser {
	x.dog.Stop()
	x.status = resp.StatusCode
	if !x.c.long {
		x.dog = time.AfterFunc(x.r.opts.Timeouts.answer(), func() { x.cancel(errSlow) })
	}
	return &answerBody{x: x, body: resp.Body}
}

// maxDrain is how much of a body is read on closing so that its connection may
// be used again; a longer rest costs less by a new connection.
const maxDrain = 64 << 10

// slowest is how many bytes a second an answer has to bring while it is waited for.
const slowest = 1 << 10

type answerBody struct {
	x      *exchange
	body   io.ReadCloser
	eof    bool
	waited time.Duration // for the last moved bytes
	moved  int64
}

func (b *answerBody) Read(p []byte) (int, error) {
	idle := time.AfterFunc(b.x.r.opts.Timeouts.Idle, func() { b.x.cancel(errStalled) })
	began := time.Now()
	n, err := b.body.Read(p)
	idle.Stop()
	b.x.got += int64(n)
	switch {
	case err == io.EOF:
		b.eof = true
	case err == nil && b.drips(n, time.Since(began)):
		b.x.cancel(errSlow)
		err = b.x.explain(errSlow)
	case err != nil:
		err = b.x.explain(err)
	}
	return n, err
}

// drips notes n bytes that were waited for, and reports whether the host has sent
// next to nothing for as long as it may send nothing.
func (b *answerBody) drips(n int, waited time.Duration) bool {
	idle := b.x.r.opts.Timeouts.Idle
	b.moved += int64(n)
	b.waited += waited
	if float64(b.moved) >= slowest*idle.Seconds() {
		b.moved, b.waited = 0, 0
	}
	return b.waited > idle
}

func (b *answerBody) Close() error {
	if !b.eof && context.Cause(b.x.ctx) == nil {
		io.CopyN(io.Discard, b, maxDrain)
	}
	err := b.body.Close()
	b.x.end(nil)
	return err
}
