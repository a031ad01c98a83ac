package registrytest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
)

// pretend answers a write as if it had been done.
func (x *exchange) pretend() {
	h, digest := x.Header(), x.digest
	raw, err := io.ReadAll(x.r.Body)
	if err != nil {
		x.reset()
	}
	if x.class == ManifestPut {
		digest = content.Hash(raw).String()
		h.Set("Location", x.s.api.url+"/v2/"+x.repo+"/manifests/"+digest)
	} else {
		h.Set("Location", x.s.api.url+"/v2/"+x.repo+"/blobs/"+digest)
	}
	h.Set("Docker-Content-Digest", digest)
	h.Set("Content-Length", "0")
	x.WriteHeader(http.StatusCreated)
}

// compress sends p as a gzip member of its own.
func (x *exchange) compress(p []byte) (int, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(p)
	if err = errors.Join(err, w.Close()); err != nil {
		return 0, err
	}
	if _, err := x.send(packed.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// drip sends p, from where the fault is, one byte at a time.
func (x *exchange) drip(p []byte) (int, error) {
	n, err := x.send(p[:min(max(x.brk.At-x.out, 0), int64(len(p)))])
	flush := http.NewResponseController(x.ResponseWriter)
	for err == nil && n < len(p) {
		if err = errors.Join(flush.Flush(), x.s.sleep(x.r.Context(), x.brk.For)); err == nil {
			_, err = x.send(p[n : n+1])
			n++
		}
	}
	x.broken = x.broken || err != nil
	return n, err
}

// goOn sends more after an answer that is to have no end, until the client has
// had enough.
func (x *exchange) goOn() {
	if x.brk.Break != Endless {
		return
	}
	x.broken = true
	more := bytes.Repeat([]byte(" "), 32<<10)
	for x.r.Context().Err() == nil {
		if _, err := x.send(more); err != nil {
			return
		}
	}
}

// dripHeader answers with a header that has no end.
func (x *exchange) dripHeader() {
	x.broken = true
	conn, _, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	ticks := time.NewTicker(x.brk.For)
	defer ticks.Stop()
	for _, b := range slices.Concat([]byte("HTTP/1.1 200 OK\r\nX-Slow: "), bytes.Repeat([]byte("a"), 1<<20)) {
		select {
		case <-ticks.C:
		case <-x.s.done:
			return
		}
		if _, err := conn.Write([]byte{b}); err != nil {
			return
		}
	}
}
