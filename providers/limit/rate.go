package limit

import (
	"context"
	"io"
)

// Reader returns r with its bytes counted against the rate of class c: a body
// read from the host, or one that is written to it. Where no rate is set it
// returns r itself. A read's error may be the cause of ctx's end.
func (l *Limiter) Reader(ctx context.Context, c Class, r io.Reader) io.Reader {
	if l.bytes[c] == nil {
		return r
	}
	return &paced{ctx: ctx, l: l, c: c, r: r}
}

// paced lives as long as the one request whose context it holds.
type paced struct {
	ctx context.Context
	l   *Limiter
	c   Class
	r   io.Reader
}

func (p *paced) Read(b []byte) (int, error) {
	bucket := p.l.bytes[p.c]
	if len(b) > bucket.Burst() {
		b = b[:bucket.Burst()]
	}
	n, err := p.r.Read(b)
	if n > 0 {
		if wait := take(p.ctx, bucket, n); wait != nil && err == nil {
			err = wait
		}
	}
	return n, err
}
