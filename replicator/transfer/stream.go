package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/transfer/spool"
)

// stream uploads past the spool, straight from the source. One at a time for
// each target host: the stream may have to open its source again while it holds
// a write slot there, and only with one of them is that never a circle.
func (w *work) stream(ctx context.Context, o *origin, s *providers.Session) (*attempt, *providers.Session, error) {
	select {
	case w.to.host.streams <- struct{}{}:
	case <-ctx.Done():
		return nil, s, context.Cause(ctx)
	}
	defer func() { <-w.to.host.streams }()
	by := o.attempt()
	defer by.take(w)
	s, err := w.streamFrom(ctx, by, s)
	return by, s, err
}

func (w *work) streamFrom(ctx context.Context, by *attempt, s *providers.Session) (*providers.Session, error) {
	reading, cancel := context.WithCancel(ctx)
	body := &streamBody{ctx: reading, from: by, desc: by.o.desc, h: sha256.New()}
	defer body.close()
	defer cancel() // first: a late reader of the body must not keep close waiting
	if s != nil {
		body.at = s.Committed
	}
	if err := body.begin(); err != nil {
		return s, w.readError(ctx, err)
	}
	s, err := w.to.reg.Put(ctx, w.to.repo, body.desc, w.sentBody(ctx, body), w.uploadFrom(ctx, s, body.desc.Digest))
	switch bad := body.failure(); {
	case err == nil:
		return nil, nil
	case bad != nil:
		return s, w.readError(ctx, bad)
	}
	return s, onSide(Target, err)
}

// A streamBody is an [io.ReaderAt] over a source that is read in order. A read
// from elsewhere, after an upload was broken off, opens the source again there:
// with a target that takes chunks, at most one chunk (64 MiB) is read again.
//
// The last bytes are handed out only when size and digest are right. If the
// upload began in the middle, from an earlier run's session, there is nothing to
// compute the digest from, and the target's own check must do.
type streamBody struct {
	ctx  context.Context
	from *attempt
	desc v1.Descriptor

	mu     sync.Mutex
	body   io.ReadCloser
	at     int64 // offset of the next byte of body
	h      hash.Hash
	hashed int64  // bytes hashed, from the start
	tail   []byte // the end, verified
	err    error
}

const tailSize = 64 << 10

func (b *streamBody) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open(b.at)
}

func (b *streamBody) open(offset int64) error {
	if b.body != nil {
		b.body.Close()
	}
	b.body, b.err = b.from.Open(b.ctx, offset)
	b.at = offset
	return b.err
}

// ReadAt implements [io.ReaderAt]; calls are served one after another.
func (b *streamBody) ReadAt(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for n < len(p) && b.err == nil {
		from := off + int64(n)
		if from >= b.desc.Size {
			return n, io.EOF
		}
		n += b.some(p[n:], from)
	}
	return n, b.err
}

// some reads a piece of what p asks for, at offset from.
func (b *streamBody) some(p []byte, from int64) int {
	end := max(0, b.desc.Size-tailSize)
	if from >= end && b.tail != nil {
		return copy(p, b.tail[from-end:])
	}
	want := min(from, end) // the tail is read as a whole
	if b.at != want && b.open(want) != nil {
		return 0
	}
	if from >= end {
		b.finish(end)
		return 0
	}
	n, err := io.ReadFull(b.body, p[:min(int64(len(p)), end-from)])
	b.passed(p[:n])
	b.err = b.short(err)
	return n
}

// passed takes note of bytes that were read at b.at.
func (b *streamBody) passed(p []byte) {
	if next := b.at + int64(len(p)); b.at <= b.hashed && b.hashed < next {
		b.h.Write(p[b.hashed-b.at:])
		b.hashed = next
	}
	b.at += int64(len(p))
}

// finish reads the tail and one byte more, and verifies the whole.
func (b *streamBody) finish(end int64) {
	size := b.desc.Size
	buf := make([]byte, size-end+1)
	n, err := io.ReadFull(b.body, buf)
	if err == nil {
		b.err = &spool.Mismatch{From: b.from.String(), Want: b.desc.Digest, Size: size, GotSize: size + 1, GotLonger: true}
		return
	}
	if n < len(buf)-1 || err != io.ErrUnexpectedEOF && err != io.EOF {
		b.at += int64(n)
		b.err = b.short(err)
		return
	}
	b.passed(buf[:n])
	if got := sum(b.h); b.hashed == size && got != b.desc.Digest {
		b.err = &spool.Mismatch{From: b.from.String(), Want: b.desc.Digest, Size: size, GotSize: size, Got: got}
		return
	}
	b.tail = buf[:n]
}

// short makes of a body's early end a mismatch.
func (b *streamBody) short(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &spool.Mismatch{From: b.from.String(), Want: b.desc.Digest, Size: b.desc.Size, GotSize: b.at}
	}
	return err
}

func (b *streamBody) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *streamBody) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.body != nil {
		b.body.Close()
		b.body = nil
	}
	b.err = io.ErrClosedPipe
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
