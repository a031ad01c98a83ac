package limit

import (
	"context"
	"io"
	"time"
)

// Reader returns r with its bytes counted against the rate of class c: a body
// read from the host, or one that is written to it. A read's error may be the cause
// of ctx's end.
func (l *Limiter) Reader(ctx context.Context, c Class, r io.Reader) io.Reader {
	p := &paced{ctx: ctx, watch: l.watch, r: r, within: []*Bytes{l.bytes[c]}}
	if all := l.all[c]; all != nil {
		p.within = append(p.within, all)
	}
	return p
}

// paced lives as long as the one request whose context it holds.
type paced struct {
	ctx    context.Context
	watch  Watch
	within []*Bytes
	r      io.Reader
}

func (p *paced) Read(b []byte) (int, error) {
	for _, bound := range p.within {
		if most := bound.Most(); most > 0 && len(b) > most {
			b = b[:most]
		}
	}
	n, err := p.r.Read(b)
	if n == 0 {
		return n, err
	}
	start := time.Now()
	for _, bound := range p.within {
		if wait := bound.Take(p.ctx, n); wait != nil && err == nil {
			err = wait
		}
	}
	p.watch.Since(ForBytes, start)
	return n, err
}
