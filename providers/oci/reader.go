package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// Open returns the blob's bytes from offset on (distribution-spec v1.1, "Pulling
// blobs"). The reader lives no longer than ctx, holds one slot until its end,
// its first final error, or Close, and is for one goroutine.
func (r *Registry) Open(ctx context.Context, repo string, desc v1.Descriptor, offset int64) (io.ReadCloser, error) {
	c := r.blobCall(http.MethodGet, "get blob", repo, desc.Digest)
	if err := r.check(c.op, repo, c.ref); err != nil {
		return nil, err
	}
	if err := r.quota.Take(ctx, c.counted(), repo); err != nil {
		return nil, err
	}
	slot, err := r.limit.Acquire(ctx, limit.Read)
	if err != nil {
		return nil, err
	}
	b := &reader{r: r, ctx: ctx, c: c, at: offset, size: desc.Size, slot: slot, tries: r.tries()}
	if offset > 0 && offset == desc.Size {
		b.fail(io.EOF)
		return b, nil
	}
	if err := b.connect(); err != nil {
		b.fail(err)
		if err != io.EOF {
			return nil, err
		}
	}
	return b, nil
}

// A reader reads a blob; when the connection breaks it goes on where it stopped.
// The redirect is asked for anew each time, since signed addresses expire.
type reader struct {
	r     *Registry
	ctx   context.Context
	c     *call
	at    int64 // offset of the next byte
	size  int64 // of the whole blob; negative is not known
	slot  *limit.Slot
	tries *tries
	body  io.ReadCloser
	from  io.Reader // body at the host's rate
	moved int64     // bytes since the connection was made
	whole bool      // the host refuses ranges that it should have
	err   error     // final
}

// progress is how many bytes a connection has to bring for the budget of tries
// to start again.
const progress = 1 << 20

func (b *reader) Read(p []byte) (int, error) {
	for b.err == nil {
		n, err := b.from.Read(p)
		b.at += int64(n)
		b.moved += int64(n)
		if err = b.settle(err); err != nil {
			b.fail(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// settle judges the end of a read: nil goes on, over a new connection if need be.
func (b *reader) settle(err error) error {
	switch {
	case b.size >= 0 && b.at > b.size:
		return b.r.fail(b.c, providers.Invalid, fmt.Errorf("the host sends more than its %d bytes", b.size), hintSize)
	case err == nil:
		return nil
	case err == io.EOF && (b.size < 0 || b.at == b.size):
		return io.EOF
	case err == io.EOF:
		err = b.r.fail(b.c, providers.Unavailable, fmt.Errorf("the body ended after %d bytes of %d", b.at, b.size), "")
	}
	b.body.Close()
	b.body = nil
	if b.moved >= progress {
		b.tries.done = 0
	}
	if err := b.tries.again(b.ctx, err); err != nil {
		return err
	}
	return b.connect()
}

const hintSize = "the blob at this registry is damaged: push the image again at the source"

// connect asks for the bytes from b.at on, within the budget.
func (b *reader) connect() error {
	for {
		err := b.ask()
		if err == nil {
			return nil
		}
		if err = b.tries.again(b.ctx, err); err != nil {
			return err
		}
	}
}

func (b *reader) ask() error {
	b.moved = 0
	b.c.header = nil
	b.c.good = []int{http.StatusOK}
	if b.at > 0 && !b.whole {
		b.c.header = http.Header{"Range": {b.span()}}
		b.c.good = []int{http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable}
	}
	resp, err := b.r.send(b.ctx, b.c)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		resp.Body.Close()
		if err := b.beyond(resp); err != nil {
			return err
		}
		b.whole = true
		return b.ask()
	}
	if err := b.accept(resp); err != nil {
		resp.Body.Close()
		return err
	}
	b.body = resp.Body
	b.from = b.r.limit.Reader(b.ctx, limit.Read, resp.Body)
	return nil
}

// accept checks that resp holds the bytes from b.at on of a blob of the right size.
func (b *reader) accept(resp *http.Response) error {
	start, total := int64(0), resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		var ok bool
		if start, total, ok = contentRange(resp.Header.Get("Content-Range")); !ok || start != b.at {
			return b.r.fail(b.c, providers.Unavailable, errors.New("the host answers with another range than was asked for"), "")
		}
	}
	switch {
	case total >= 0 && b.size < 0:
		b.size = total
	case total >= 0 && total != b.size:
		return b.r.fail(b.c, providers.Invalid, fmt.Errorf("the host has %d bytes of it, not %d", total, b.size), hintSize)
	}
	if start == b.at {
		return nil
	}
	// A host without ranges: read up to where we were.
	_, err := io.CopyN(io.Discard, resp.Body, b.at)
	if err == io.EOF {
		return b.r.fail(b.c, providers.Unavailable, fmt.Errorf("the body ended before byte %d", b.at), "")
	}
	return err
}

// span is the range that is left. It has an end where that is known, as some hosts
// take no other (go-containerregistry's registry).
func (b *reader) span() string {
	if b.size < 0 {
		return fmt.Sprintf("bytes=%d-", b.at)
	}
	return fmt.Sprintf("bytes=%d-%d", b.at, b.size-1)
}

// beyond judges a refused range: that of a blob that ends right there is its end. It
// is nil where the host does not say that the blob is too short for it (RFC 9110,
// 14.4, "unsatisfied-range").
func (b *reader) beyond(resp *http.Response) error {
	total, _ := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes */")
	size, err := strconv.ParseInt(total, 10, 64)
	switch {
	case err != nil || size > b.at:
		return nil
	case size == b.at && b.size < 0:
		return io.EOF
	}
	return b.r.fail(b.c, providers.Invalid, fmt.Errorf("the host has no byte %d of it", b.at), hintSize)
}

// contentRange reads "bytes 5-9/10"; total is -1 if it is "*".
func contentRange(s string) (start, total int64, ok bool) {
	s, found := strings.CutPrefix(s, "bytes ")
	span, size, found2 := strings.Cut(s, "/")
	first, last, found3 := strings.Cut(span, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	total = -1
	var err3 error
	if size != "*" {
		total, err3 = strconv.ParseInt(size, 10, 64)
	}
	ok = found && found2 && found3 && err == nil && err2 == nil && err3 == nil && start >= 0 && end >= start
	return start, total, ok
}

// fail ends the reader with err, which further reads return.
func (b *reader) fail(err error) {
	b.err = err
	if b.body != nil {
		b.body.Close()
		b.body = nil
	}
	b.slot.Release()
}

// Close ends the reader; reads after it fail.
func (b *reader) Close() error {
	if b.err == nil {
		b.fail(errStopped)
	}
	return nil
}
