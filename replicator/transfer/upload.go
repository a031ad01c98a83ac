package transfer

import (
	"context"
	"errors"
	"io"
	"log/slog"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer/spool"
)

// upload sends b, going on from s or from a session that an earlier run left. What
// cannot be read at one place is read at the next, wrong bytes from the source once
// more; bytes that had to make room in the spool, or never fit, go past it.
func (w *work) upload(ctx context.Context, b plan.Blob, s *providers.Session) error {
	o := w.origin(b)
	if err, _ := o.verdict(); o.left() == 0 {
		return err
	}
	if b.Size < 0 {
		size, err := w.from.Stat(ctx, w.img.From.Repo, b.Digest)
		if err != nil {
			return onSide(Source, gone(err))
		}
		o.desc.Size = size
	}
	if left := w.resumable(b.Digest); left != nil {
		s = left // better than one that a refused mount has opened
	}
	s, err := w.readAndSend(ctx, o, s)
	w.settle(ctx, b.Digest, s, err)
	if why, lied := o.verdict(); lied {
		w.t.bad.note(w, b.Digest, onSide(Source, named(why)))
	}
	return named(err)
}

// readAndSend sends o through the spool or past it, from one reader after another.
func (w *work) readAndSend(ctx context.Context, o *origin, s *providers.Session) (*providers.Session, error) {
	move, streaming := w.send, false
	for {
		by, next, err := move(ctx, o, s)
		if s = next; past(err) && !streaming {
			w.explain(o.desc, err)
			move, streaming = w.stream, true
			continue
		}
		if sideOf(err) != Source || ctx.Err() != nil {
			return s, err
		}
		ours, more := o.goOn(by, err)
		if !more {
			return s, err
		}
		if ours {
			w.t.opts.Progress.Retry(w.plan.Target, "what was read is wrong or not whole")
		}
		if wrongBytes(err) {
			s = nil // a part of them may be there
		}
	}
}

// send uploads through the spool. It returns who read the bytes, and the session to
// go on from.
func (w *work) send(ctx context.Context, o *origin, s *providers.Session) (*attempt, *providers.Session, error) {
	claim, err := w.t.spool.Claim(ctx, o.desc, w.to.host.name, o.attempt())
	if err != nil {
		return nil, s, err
	}
	by := claim.Source().(*attempt)
	defer func() {
		claim.Release()
		by.take(w)
	}()
	s, err = w.sendClaim(ctx, o, claim, s)
	return by, s, err
}

func (w *work) sendClaim(ctx context.Context, o *origin, claim *spool.Claim, s *providers.Session) (*providers.Session, error) {
	ready := claim.Begin
	if w.late() {
		ready = claim.Whole
	}
	if err := ready(); err != nil {
		return s, w.readError(ctx, err)
	}
	s, err := w.to.reg.Put(ctx, w.to.repo, o.desc, w.sentBody(ctx, claim), w.uploadFrom(ctx, s, o.desc.Digest))
	if err == nil {
		return nil, nil
	}
	if bad := claim.Err(); bad != nil {
		return s, w.readError(ctx, bad)
	}
	if claim.Slow() && providers.KindOf(err).Retryable() && ctx.Err() == nil {
		return w.sendWhole(ctx, o, claim, s) // the source may have kept the target waiting
	}
	return s, onSide(Target, err)
}

// sendWhole tries once more, when the spool has it all.
func (w *work) sendWhole(ctx context.Context, o *origin, claim *spool.Claim, s *providers.Session) (*providers.Session, error) {
	if err := claim.Whole(); err != nil {
		return s, w.readError(ctx, err)
	}
	w.t.opts.Progress.Retry(w.plan.Target, "upload broke while the source was read")
	s, err := w.to.reg.Put(ctx, w.to.repo, o.desc, w.sentBody(ctx, claim), w.uploadFrom(ctx, s, o.desc.Digest))
	if err == nil {
		return nil, nil
	}
	if bad := claim.Err(); bad != nil {
		return s, w.readError(ctx, bad)
	}
	return s, onSide(Target, err)
}

// readError tells the source's failures from the spool's and from our own stop.
func (w *work) readError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if past(err) {
		return err
	}
	return onSide(Source, err)
}

// past reports whether a blob has to go past the spool.
func past(err error) bool {
	for _, why := range []error{spool.ErrLost, spool.ErrTooLarge, spool.ErrNoRoom, spool.ErrDisk} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// explain says why a blob will be read once for each target.
func (w *work) explain(desc v1.Descriptor, err error) {
	level := slog.LevelDebug
	if errors.Is(err, spool.ErrNoRoom) || errors.Is(err, spool.ErrDisk) {
		level = slog.LevelWarn // a person can do something about it
	}
	w.t.opts.Logger.Log(context.Background(), level, "a blob goes past the spool and may be read more than once",
		"host", w.to.host.name, "repo", w.to.repo, "digest", desc.Digest.String(), "bytes", desc.Size, "spool", w.t.spool.Dir(), "err", err)
}

// named makes of a mismatch what people can act on.
func named(err error) error {
	wrong, ok := errors.AsType[*spool.Mismatch](err)
	if !ok {
		return err
	}
	return &sided{Source, &providers.Error{Kind: providers.Invalid, Op: "read blob", Ref: wrong.From,
		Hint: "the source holds damaged content: push the image again there, or exclude its tag", Err: wrong}}
}

// wrongBytes reports whether the source gave something else than the digest names.
func wrongBytes(err error) bool {
	_, wrong := errors.AsType[*spool.Mismatch](err)
	return wrong || sideOf(err) == Source && providers.KindOf(err) == providers.Invalid
}

// sentBody counts what an upload takes, and keeps it within what its link may carry.
type sentBody struct {
	io.ReaderAt
	ctx  context.Context
	w    *work
	link Flow // may be nil
}

func (w *work) sentBody(ctx context.Context, r io.ReaderAt) *sentBody {
	b := &sentBody{ReaderAt: r, ctx: ctx, w: w}
	if w.t.opts.Link != nil {
		b.link = w.t.opts.Link(w.img.From.Registry, w.plan.Target.Registry)
	}
	return b
}

func (b *sentBody) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.ReaderAt.ReadAt(p, off)
	if n == 0 {
		return n, err
	}
	b.w.bytesSent.Add(int64(n))
	b.w.t.opts.Progress.Sent(b.w.plan.Target, int64(n))
	if b.link != nil {
		if wait := b.link.Take(b.ctx, n); wait != nil && err == nil {
			err = wait
		}
	}
	return n, err
}
