package transfer

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// A tally counts what one image costs.
type tally struct {
	manifests, sent, mounted, present        atomic.Int64
	bytesRead, reread, bytesSent, bytesSaved atomic.Int64
	bytesMounted, imported, bytesImported    atomic.Int64
}

func (t *tally) figures() state.Figures {
	return state.Figures{
		Manifests: t.manifests.Load(), BlobsSent: t.sent.Load(), Mounted: t.mounted.Load(),
		Present: t.present.Load(), BytesRead: t.bytesRead.Load(), BytesRead2: t.reread.Load(),
		BytesSent: t.bytesSent.Load(), BytesSaved: t.bytesSaved.Load(), BytesMounted: t.bytesMounted.Load(),
		Imported: t.imported.Load(), BytesImported: t.bytesImported.Load(),
	}
}

const (
	flushRows  = 500
	flushBytes = 32 << 20
	flushAfter = 2 * time.Second
)

// have notes that the target repository holds digest. What is noted is given to
// state in batches, so that after a crash little is looked for again.
func (w *work) have(digest v1.Hash, size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.present = append(w.present, state.Present{Digest: digest, Size: max(size, 0)})
	w.unsaved += max(size, 0)
}

// flush gives state what is noted, if it is much or old enough.
func (w *work) flush(ctx context.Context) {
	now := w.t.opts.Now()
	w.mu.Lock()
	if w.flushed.IsZero() {
		w.flushed = now
	}
	due := len(w.present) >= flushRows || w.unsaved >= flushBytes || now.Sub(w.flushed) >= flushAfter
	var rows []state.Present
	if due {
		rows, w.present, w.flushed, w.unsaved = w.present, nil, now, 0
	}
	w.mu.Unlock()
	if len(rows) > 0 {
		w.t.warn("record content", w.t.opts.State.Put(context.WithoutCancel(ctx), state.Record{Repo: w.target(), Present: rows}))
	}
}

func (w *work) target() state.Repo {
	return state.Repo{Host: w.to.host.name, Name: w.to.repo}
}

// tagged notes that the root has been put under tag.
func (w *work) tagged(tag plan.Tag) {
	now := w.t.opts.Now()
	rec := w.row(tag, now)
	rec.PutAt = now
	if tag.Why == plan.Restore {
		rec.RestoredAt, rec.Restored = now, rec.Digest
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put = append(w.put, rec)
}

func (w *work) row(tag plan.Tag, now time.Time) state.TargetTag {
	root := w.img.Root
	rec := state.TargetTag{Name: tag.Name, Rule: w.img.Rule, Selection: w.img.Selection,
		Source: root.Source, Digest: root.Digest, VerifiedAt: now}
	if rec.Source.Hex == "" {
		rec.Source = root.Digest
	}
	return rec
}

// right notes a tag that names the root already: one that state knows so has been
// verified, any other is news.
func (w *work) right(tag plan.Tag) {
	rec := w.row(tag, w.t.opts.Now())
	rec.PutAt = tag.PutAt
	w.mu.Lock()
	defer w.mu.Unlock()
	if tag.Known {
		w.seen = append(w.seen, tag.Name)
		return
	}
	w.news = append(w.news, rec)
}

// record gives state, in one transaction, the tags and what is not yet flushed.
func (w *work) record(ctx context.Context) {
	if w.to == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if tags := slices.Concat(w.put, w.news); len(tags) > 0 || len(w.present) > 0 {
		w.t.warn("record image", w.t.opts.State.Put(ctx, state.Record{Repo: w.target(), Tags: tags, Present: w.present}))
		w.present = nil
	}
	if len(w.seen) > 0 {
		w.t.warn("record verification", w.t.opts.State.Verified(ctx, w.target(), w.t.opts.Now(), w.seen))
	}
}

func (w *work) result(err error) Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.figures()
	f.Copied = int64(len(w.put))
	if err != nil && !errors.Is(err, ErrInterrupted) && providers.KindOf(err) != providers.Waiting {
		f.Failed = 1
	}
	return Result{Target: w.plan.Target, Image: *w.img, Figures: f, Put: w.put, Err: err, Side: sideOf(err)}
}
