package limit

import (
	"context"
	"io"
)

// Reader returns r with its bytes counted against the rate of class c: a body
// read from the host, or one that is written to it. A read's error may be the cause
// of ctx's end.
func (l *Limiter) Reader(ctx context.Context, c Class, r io.Reader) io.Reader {
	return &paced{ctx: ctx, within: l.bytes[c], r: r}
}

// paced lives as long as the one request whose context it holds.
type paced struct {
	ctx    context.Context
	within *Bytes
	r      io.Reader
}

func (p *paced) Read(b []byte) (int, error) {
	if most := p.within.Most(); most > 0 && len(b) > most {
		b = b[:most]
	}
	n, err := p.r.Read(b)
	if n > 0 {
		if wait := p.within.Take(p.ctx, n); wait != nil && err == nil {
			err = wait
		}
	}
	return n, err
}
