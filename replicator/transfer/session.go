package transfer

import (
	"context"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// saveEvery is how often at most an upload's progress goes to state. What is
// saved need not be the newest: the registry is asked how much it has.
const saveEvery = time.Second

// resumable returns the session that an earlier run, or an earlier process, left
// open for digest.
func (w *work) resumable(digest v1.Hash) *providers.Session {
	h, most := w.to.host, sessionLife
	if d := w.to.caps.UploadDeadline; d > 0 {
		most = d
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.uploads[spot{w.to.repo, digest}]
	if s == nil || w.to.caps.Chunks != providers.Yes || w.t.opts.Now().Sub(s.Started) > most {
		return nil
	}
	return s
}

// uploadFrom goes on from s, and has what the registry tells of the upload kept in
// state while it runs: after kill -9 the next process goes on with it.
func (w *work) uploadFrom(ctx context.Context, s *providers.Session, digest v1.Hash) providers.UploadOptions {
	var saved time.Time
	return providers.UploadOptions{From: s, Keep: func(s providers.Session) {
		if now := time.Now(); now.Sub(saved) >= saveEvery {
			saved = now
			w.keep(ctx, digest, &s)
		}
	}}
}

// keep remembers an upload that is open.
func (w *work) keep(ctx context.Context, digest v1.Hash, s *providers.Session) {
	h := w.to.host
	h.mu.Lock()
	h.uploads[spot{w.to.repo, digest}] = s
	h.mu.Unlock()
	w.t.warn("record open upload", w.t.opts.State.SaveUpload(ctx, state.Upload{
		Repo: w.target(), Digest: digest, Location: s.Location, Committed: s.Committed, Started: s.Started}))
}

// settle keeps the session of an upload that broke off, and drops that of one
// which is done or cannot be gone on with.
func (w *work) settle(ctx context.Context, digest v1.Hash, s *providers.Session, err error) {
	if w.to.caps.Chunks != providers.Yes {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if err != nil && s != nil && !s.New && !wrongBytes(err) {
		w.keep(ctx, digest, s)
		return
	}
	h, at := w.to.host, spot{w.to.repo, digest}
	h.mu.Lock()
	had := h.uploads[at] != nil
	delete(h.uploads, at)
	h.mu.Unlock()
	if had {
		w.t.warn("drop open upload", w.t.opts.State.DropUpload(ctx, w.target(), digest))
	}
}
