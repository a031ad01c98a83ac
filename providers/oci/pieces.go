package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/transship/transship/providers"
)

// inPieces uploads by PATCH and returns the session after an error, so that the
// next try, or the next process, goes on at the offset that the host reports.
func (u *upload) inPieces(ctx context.Context) (*providers.Session, error) {
	u.piece = u.r.opts.ChunkSize
	for {
		err := u.piecesOnce(ctx)
		switch {
		case err == nil:
			return nil, nil
		case u.lost(err) || u.spoilt(err):
			u.session, u.mended = nil, false
			continue
		case u.tooLarge(err):
			continue
		}
		if err = u.tries.again(ctx, err); err != nil {
			return u.left(err), err
		}
	}
}

// left is the session to go on from after err: none where the host has judged
// what is in it.
func (u *upload) left(err error) *providers.Session {
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Kind == providers.Invalid && e.Status > 0 {
		return nil
	}
	return u.session
}

// spoilt reports, once, that the host refuses what it has of an upload that was
// broken off: somebody else wrote to it, or what was sent before was wrong.
func (u *upload) spoilt(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Invalid || e.Status == 0 || !u.mended || u.anew {
		return false
	}
	u.anew = true
	return true
}

// piecesOnce goes on with the session, or a new one, to the end of the blob.
func (u *upload) piecesOnce(ctx context.Context) error {
	if u.session == nil {
		if err := u.start(ctx); err != nil {
			return err
		}
		u.told()
	} else if !u.session.New {
		if err := u.resume(ctx); err != nil {
			return err
		}
	}
	for u.session.Committed < u.desc.Size {
		before, start := u.session.Committed, time.Now()
		if err := u.patch(ctx); err != nil {
			return err
		}
		if u.session.Committed <= before {
			return u.r.fail(u.call(http.MethodPatch), providers.Unavailable,
				fmt.Errorf("the host takes no byte after the first %d", before), "")
		}
		u.tries.done = 0
		u.grow(time.Since(start))
		u.told()
	}
	if err := u.commit(ctx, u.desc.Size); err != nil {
		return err
	}
	return u.verify(ctx)
}

// told hands the session to whoever keeps it.
func (u *upload) told() {
	if u.keep != nil {
		s := *u.session
		s.New = false // by the time it is needed, bytes have been sent
		u.keep(s)
	}
}

// pieceTime is what a piece should take at most. After each piece the way to the
// host is idle for a round trip and for as long as the host needs to put it away,
// so pieces have to be large; but a host that keeps nothing of a piece that was
// broken off costs all of one. Half a minute makes the one a percent or so of a
// long way, and bounds the other.
const pieceTime = 30 * time.Second

// grow makes the next piece larger while they are quick.
func (u *upload) grow(took time.Duration) {
	if most := u.r.pieceMost.Load(); took < pieceTime/2 && (most == 0 || 2*u.piece <= most) {
		u.piece *= 2
	}
}

// tooLarge reports that a piece was larger than what the host, or a proxy before
// it, takes at once, though smaller ones went: from now on they stay small.
func (u *upload) tooLarge(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Status != http.StatusRequestEntityTooLarge || u.broken <= u.r.opts.ChunkSize {
		return false
	}
	u.r.pieceMost.Store(u.r.opts.ChunkSize)
	return true
}

// settle is how long the host is left alone after a broken request. A host that
// still writes what it got of that one mixes it with what comes next: registries
// built on distribution then take a blob of the wrong length.
const settle = 300 * time.Millisecond

// resume asks how much the host has until it says the same twice.
func (u *upload) resume(ctx context.Context) error {
	u.mended = true
	had := int64(-1)
	for range maxSettles {
		if err := u.status(ctx); err != nil {
			return err
		}
		if u.session.Committed == had {
			return nil
		}
		had = u.session.Committed
		if err := sleep(ctx, settle); err != nil {
			return err
		}
	}
	return u.r.fail(u.call(http.MethodGet), providers.Unavailable,
		errors.New("the host goes on writing an upload that was broken off"), "")
}

const maxSettles = 20

// verify asks for the size of a blob whose upload was broken off and went on.
func (u *upload) verify(ctx context.Context) error {
	if !u.mended {
		return nil
	}
	size, err := u.r.Stat(ctx, u.repo, u.desc.Digest)
	if err == nil && size != u.desc.Size {
		return u.r.fail(u.call(http.MethodHead), providers.Invalid, fmt.Errorf("the host took it with %d bytes, not %d", size, u.desc.Size),
			"delete the blob at this registry, and set its capability chunks to no")
	}
	return err
}

// status asks how much the host has (distribution-spec v1.1, "Resuming an upload").
func (u *upload) status(ctx context.Context) error {
	c := u.call(http.MethodGet)
	at, err := u.at(c)
	if err != nil {
		return err
	}
	c.url, c.good = at, []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}
	return u.r.once(ctx, c, func(resp *http.Response) error {
		end, ok := rangeEnd(resp.Header.Get("Range"))
		if !ok || end > u.desc.Size || u.own && end > u.high {
			e := u.r.fail(c, providers.NotFound, errors.New("the host does not say how much it has of it, or has more than was sent"), "")
			e.Code = "BLOB_UPLOAD_UNKNOWN"
			return e
		}
		u.session.Committed = end
		return u.moveOn(c, resp)
	})
}

// patch sends the next piece (distribution-spec v1.1, "Pushing a blob in chunks").
func (u *upload) patch(ctx context.Context) error {
	c := u.call(http.MethodPatch)
	at, err := u.at(c)
	if err != nil {
		return err
	}
	from := u.session.Committed
	end := min(from+max(u.piece, u.minimum), u.desc.Size)
	u.session.New = false
	c.url, c.good = at, []int{http.StatusAccepted, http.StatusCreated, http.StatusNoContent, http.StatusOK}
	c.header = http.Header{"Content-Type": {"application/octet-stream"},
		"Content-Range": {fmt.Sprintf("%d-%d", from, end-1)}}
	c.wait = u.r.opts.Timeouts.commit(end - from)
	var sent *section
	c.content = func() *section {
		sent = newSection(u.body, from, end)
		return sent
	}
	err = u.r.once(ctx, c, func(resp *http.Response) error {
		u.session.Committed, u.high = end, end
		if has, ok := rangeEnd(resp.Header.Get("Range")); ok && has >= from && has < end {
			u.session.Committed = has // the rest was lost: it goes again
		}
		return u.moveOn(c, resp)
	})
	if err != nil && sent != nil {
		u.high = max(u.high, from+sent.stop())
		u.piece, u.broken = u.r.opts.ChunkSize, end-from
	}
	if err != nil && sent != nil && sent.failure() != nil {
		return fmt.Errorf("%s %s: read its bytes: %w", c.op, u.r.where(c.repo, c.ref), sent.failure())
	}
	return err
}

// moveOn takes the new location, where the host sends one.
func (u *upload) moveOn(c *call, resp *http.Response) error {
	if resp.Header.Get("Location") == "" {
		return nil
	}
	at, err := u.r.location(c, resp)
	if err != nil {
		return err
	}
	u.session.Location = at.String()
	return nil
}

// rangeEnd reads "0-99" or "bytes=0-99" as 100 bytes. "0-0" is what hosts say of
// an upload that has none.
func rangeEnd(s string) (int64, bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	end, err := strconv.ParseInt(last, 10, 64)
	if !found || first != "0" || err != nil || end < 0 || end == 1<<63-1 {
		return 0, false
	}
	if end == 0 {
		return 0, true
	}
	return end + 1, true
}

// minimumChunk is the size in bytes below which the host takes no piece but the last.
func minimumChunk(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("OCI-Chunk-Min-Length"), 10, 64)
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}
