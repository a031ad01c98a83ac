package transfer

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// place makes the target repository hold b: it is there already, or another
// image is bringing it there (wait), or this one brings it.
func (w *work) place(ctx context.Context, b plan.Blob) error {
	h, at := w.to.host, spot{w.to.repo, b.Digest}
	for {
		f, lead := join(&h.mu, h.bringing, at, w, func() bool { return b.Have == plan.Here || h.holds(w, b.Digest) })
		if f == nil {
			w.found(b)
			return nil
		}
		if lead {
			err := w.bringBlob(ctx, b)
			land(&h.mu, h.bringing, at, f)
			return err
		}
		by := f.by
		if !w.to.caps.MountNeedsManifest {
			by = nil // whoever brings a blob then waits for no image: no circle
		}
		waited, err := w.await(ctx, by, f.done)
		if err != nil {
			return err
		}
		if !waited {
			return w.bringBlob(ctx, b)
		}
	}
}

// found counts a blob that did not have to move.
func (w *work) found(b plan.Blob) {
	w.tally.present.Add(1)
	w.saved(b)
	w.have(b.Digest, b.Size)
}

func (w *work) saved(b plan.Blob) {
	w.bytesSaved.Add(max(b.Size, 0))
	w.t.opts.Progress.Saved(w.plan.Target, max(b.Size, 0))
}

// bringBlob mounts or uploads b. Where several repositories of the host want it,
// one brings it there and the others mount it from that one.
func (w *work) bringBlob(ctx context.Context, b plan.Blob) error {
	if w.t.stopping() {
		return ErrInterrupted
	}
	ctx, traced := w.t.opts.Tracer.Blob(ctx, w.plan.Target, b)
	how, err := w.mountOrUpload(ctx, b)
	traced(how, err)
	if err != nil {
		return err
	}
	w.arrive(ctx, b, how)
	return nil
}

// arrive counts a blob that has come, and remembers it.
func (w *work) arrive(ctx context.Context, b plan.Blob, how plan.Have) {
	switch how {
	case plan.Here:
		w.found(b)
	case plan.Mount:
		w.mounted.Add(1)
		w.bytesMounted.Add(max(b.Size, 0))
		w.saved(b)
		w.have(b.Digest, b.Size)
	default:
		w.sent.Add(1)
		w.have(b.Digest, b.Size)
	}
	w.to.host.landed(w, b.Digest, how)
	w.flush(ctx)
}

func (w *work) mountOrUpload(ctx context.Context, b plan.Blob) (plan.Have, error) {
	h := w.to.host
	if !w.mountable() || h.lies(spot{w.to.repo, b.Digest}) {
		return w.bringOnce(ctx, b, nil)
	}
	for {
		var l *landing
		f, lead := join(&h.mu, h.sending, b.Digest, w, func() bool {
			l = h.elsewhere(b.Digest, w.to.repo)
			return l != nil
		})
		if f == nil {
			return w.mountLanded(ctx, b, l)
		}
		if lead {
			how, err := w.mountKnown(ctx, b)
			if err == nil {
				h.landed(w, b.Digest, how)
			}
			land(&h.mu, h.sending, b.Digest, f)
			return how, err
		}
		// Whoever sends waits for no image: this wait can close no circle.
		if _, err := w.await(ctx, nil, f.done); err != nil {
			return "", err
		}
	}
}

// mountLanded mounts b from where this process has seen it arrive. Where the host
// hides a blob until a manifest names it, that is waited for, unless the two
// images would wait for each other.
func (w *work) mountLanded(ctx context.Context, b plan.Blob, l *landing) (plan.Have, error) {
	if w.to.caps.MountNeedsManifest {
		waited, err := w.awaitName(ctx, l)
		if err != nil {
			return "", err
		}
		if !waited {
			return plan.Upload, w.upload(ctx, b, nil)
		}
	}
	mounted, s, err := w.mount(ctx, l.repo, b.Digest)
	if mounted || err != nil {
		return plan.Mount, err
	}
	switch {
	case l.at.Before(w.plan.At):
		w.doubt(ctx, l.repo, b.Digest) // it may have gone since
	case w.to.host.wasNamed(l) || !w.to.caps.MountNeedsManifest:
		w.refuse(ctx, l.repo)
	}
	return plan.Upload, w.upload(ctx, b, s)
}

func (w *work) awaitName(ctx context.Context, l *landing) (bool, error) {
	w.to.host.mu.Lock()
	by, shut := l.by, l.shut
	w.to.host.mu.Unlock()
	if shut {
		return true, nil
	}
	return w.await(ctx, by, l.open)
}

func (h *host) wasNamed(l *landing) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return l.named
}

const tries = 2 // repositories from which a mount is tried before the upload

// mountKnown mounts b from where the plan believes it to be, or uploads it.
func (w *work) mountKnown(ctx context.Context, b plan.Blob) (plan.Have, error) {
	var s *providers.Session
	left := tries
	for _, from := range believed(b) {
		if left == 0 || from == w.to.repo || w.wasRefused(from) {
			continue
		}
		left--
		mounted, session, err := w.mount(ctx, from, b.Digest)
		if mounted || err != nil {
			return plan.Mount, err
		}
		s = session
		w.doubt(ctx, from, b.Digest)
	}
	return w.bringOnce(ctx, b, s)
}

// believed returns the repositories that are said to hold b already. What another
// image of the run is to bring ([plan.Shared]) is nowhere until it was seen to land.
func believed(b plan.Blob) []string {
	if b.Have == plan.Shared {
		return nil
	}
	return b.From
}

// mount asks for the blob; a host that takes no such question refuses.
func (w *work) mount(ctx context.Context, from string, blob v1.Hash) (bool, *providers.Session, error) {
	mounted, s, err := w.to.reg.Mount(ctx, w.to.repo, from, blob)
	if err != nil {
		switch providers.KindOf(err) {
		case providers.NotFound, providers.Unsupported, providers.Invalid:
			return false, nil, nil
		}
		return false, nil, onSide(Target, err)
	}
	if mounted {
		h := w.to.host
		h.mu.Lock()
		news := !h.mounted
		h.mounted = true
		h.mu.Unlock()
		if news {
			h.tell(ctx, w.t, providers.CapMount, true)
		}
	}
	return mounted, s, nil
}

// doubt finds out why a mount from where state believed the blob to be was
// refused: a fact that is stale is forgotten, otherwise the pair is remembered.
func (w *work) doubt(ctx context.Context, from string, blob v1.Hash) {
	_, err := w.to.reg.Stat(ctx, from, blob)
	switch {
	case err == nil:
		w.refuse(ctx, from)
	case providers.KindOf(err) == providers.NotFound:
		w.to.host.forget(ctx, w.t, from, blob)
	}
}

// refuse remembers that the host does not mount from there to here, and after
// enough such pairs without a success that it does not mount at all.
func (w *work) refuse(ctx context.Context, from string) {
	h, p := w.to.host, pair{from, w.to.repo}
	until := w.t.opts.Now().Add(refusedFor)
	h.mu.Lock()
	h.refused[p] = until
	if !h.mounted {
		h.misses[p] = true
	}
	now := w.t.opts.Now()
	news := len(h.misses) >= enough && !h.mounted && !h.mountless.After(now)
	if news {
		h.mountless = now.Add(learnedFor)
		clear(h.misses)
	}
	h.mu.Unlock()
	w.t.warn("record refused mount", w.t.opts.State.Refuse(ctx, h.name, state.Refusal{From: p.from, To: p.to, Until: until}))
	if news {
		h.tell(ctx, w.t, providers.CapMount, false)
	}
}

func (w *work) wasRefused(from string) bool {
	h := w.to.host
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused[pair{from, w.to.repo}].After(w.t.opts.Now())
}

// mountable reports whether it is worth asking the host for mounts at all.
func (w *work) mountable() bool {
	h := w.to.host
	h.mu.Lock()
	defer h.mu.Unlock()
	return w.to.caps.Mount != providers.No && !h.mountless.After(w.t.opts.Now())
}

// late reports whether an upload has to be begun only when all bytes are here,
// because the host cuts off one that takes long.
func (w *work) late() bool { return w.to.caps.UploadDeadline > time.Duration(0) }

func ref(host, repo string, digest v1.Hash) string {
	return fmt.Sprintf("%s/%s@%s", host, repo, digest)
}
