package transfer

import (
	"cmp"
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer/spool"
)

// A reader is a repository that a blob may be read from.
type reader struct {
	reg     providers.Registry
	at      plan.Place
	price   float64
	sibling bool // at the target: believed, not known, to have it
}

// An origin reads one blob from the cheapest of its readers that has it. It is
// the spool's Source, and counts what has been read.
type origin struct {
	w       *work
	desc    v1.Descriptor
	readers []reader
	lent    bool // its bytes come by a read that was begun for another repository

	got, again atomic.Int64 // bytes read since they were taken

	mu   sync.Mutex
	name string // of the reader in use
}

// origin lists where b may be read: a repository of the target's host before the
// source on equal price, so that nothing leaves the source's cloud twice.
func (w *work) origin(b plan.Blob) *origin {
	source := reader{reg: w.from, at: w.img.From, price: w.price(w.img.From.Registry)}
	var all []reader
	siblings := believed(b)
	if l := w.to.host.from(b.Digest, w.to.repo); l != nil && (!w.to.caps.MountNeedsManifest || w.to.host.wasNamed(l)) {
		siblings = []string{l.repo}
	}
	for _, repo := range siblings[:min(len(siblings), tries)] {
		all = append(all, reader{reg: w.to.reg, sibling: true, price: w.price(w.to.name),
			at: plan.Place{Registry: w.to.name, Repo: repo}})
	}
	all = append(all, source)
	slices.SortStableFunc(all, func(a, b reader) int { return cmp.Compare(a.price, b.price) })
	return &origin{w: w, desc: b.Descriptor, readers: all, name: ref(w.from.Host(), w.img.From.Repo, b.Digest)}
}

// lends reports whether by reads for another repository than o does.
func (o *origin) lends(by spool.Source) bool {
	from, ok := by.(*origin)
	return ok && from.w.img.From != o.w.img.From
}

func (w *work) price(registry string) float64 {
	if w.t.opts.Price == nil {
		return 0
	}
	return w.t.opts.Price(registry)
}

// Open implements [spool.Source]. A sibling that turns out not to have the blob
// is forgotten; any reader that fails is passed over for the next.
func (o *origin) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	var failed error
	for _, r := range o.readers {
		body, err := r.reg.Open(ctx, r.at.Repo, o.desc, offset)
		if err == nil {
			o.use(r)
			return &meter{ReadCloser: body, o: o, at: offset, from: r.at}, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if r.sibling && providers.KindOf(err) == providers.NotFound {
			o.w.to.host.forget(ctx, o.w.t, r.at.Repo, o.desc.Digest)
		}
		if failed == nil || !r.sibling {
			failed = err // the source's word counts more
		}
	}
	return nil, gone(failed)
}

func (o *origin) use(r reader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.name = ref(r.reg.Host(), r.at.Repo, o.desc.Digest)
}

// distrust drops the siblings: one of them may have given wrong bytes.
func (o *origin) distrust() {
	o.readers = slices.DeleteFunc(o.readers, func(r reader) bool { return r.sibling })
}

func (o *origin) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.name
}

// take moves the bytes read since the last call to w's account.
func (o *origin) take(w *work) {
	w.bytesRead.Add(o.got.Swap(0))
	w.reread.Add(o.again.Swap(0))
}

// A meter counts the bytes of one body.
type meter struct {
	io.ReadCloser
	o    *origin
	at   int64
	from plan.Place
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if n > 0 {
		m.o.got.Add(int64(n))
		m.o.again.Add(m.o.w.t.read.note(m.o.desc.Digest, m.at, int64(n)))
		m.at += int64(n)
		m.o.w.t.opts.Progress.Read(m.from, int64(n))
	}
	return n, err
}

// A ledger knows how far each blob has been read in this process.
type ledger struct {
	mu    sync.Mutex
	marks map[v1.Hash]int64
}

const mostMarks = 100_000 // beyond, any of them are forgotten: less is then counted as read again

func newLedger() *ledger { return &ledger{marks: map[v1.Hash]int64{}} }

// note records that n bytes of digest were read at offset, and returns how many
// of them had been read before.
func (l *ledger) note(digest v1.Hash, offset, n int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	mark, known := l.marks[digest]
	if !known && len(l.marks) >= mostMarks {
		for d := range l.marks {
			delete(l.marks, d)
			break
		}
	}
	l.marks[digest] = max(mark, offset+n)
	return max(0, min(mark, offset+n)-offset)
}

// gone says what a blob or manifest that vanished at the source means.
func gone(err error) error {
	if providers.KindOf(err) != providers.NotFound {
		return err
	}
	return hinted(err, "it was moved or deleted during the copy, or is missing at the source; the next pass looks again")
}

// hinted puts a hint before those that err may have.
func hinted(err error, hint string) error {
	e := &providers.Error{Kind: providers.KindOf(err), Op: "copy", Hint: hint, Err: err}
	return &withHint{e}
}

// withHint prints as its cause, so that no word is said twice.
type withHint struct{ e *providers.Error }

func (w *withHint) Error() string { return w.e.Err.Error() }
func (w *withHint) Unwrap() error { return w.e }
