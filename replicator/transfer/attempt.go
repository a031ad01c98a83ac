package transfer

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// An attempt is one read of a blob from its origin. It is the spool's Source, and
// counts what has been read.
type attempt struct {
	o *origin

	got, again atomic.Int64 // bytes read since they were taken

	mu     sync.Mutex
	used   reader // that gave bytes last
	whole  bool   // it gave all of them, from the start
	failed []failure
}

// A failure is a reader that was asked and failed.
type failure struct {
	at  plan.Place
	err error
}

func (o *origin) attempt() *attempt { return &attempt{o: o} }

// Open implements [spool.Source]. A reader that turns out not to have the blob is
// forgotten; any that fails is passed over for the next.
func (a *attempt) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	for {
		r, err := a.o.live()
		if err != nil {
			return nil, gone(err)
		}
		body, err := r.reg.Open(ctx, r.at.Repo, a.o.desc, offset)
		if err == nil {
			a.use(r, offset)
			return &meter{ReadCloser: body, a: a, at: offset, from: r, stopped: func() bool { return ctx.Err() != nil }}, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if r.fact && providers.KindOf(err) == providers.NotFound {
			a.o.w.t.hostOf(r.reg).forget(ctx, a.o.w.t, r.at.Repo, a.o.desc.Digest)
		}
		if r.fact {
			a.o.w.t.opts.Progress.Retry(a.o.w.plan.Target, "a registry nearer than the source could not be read")
		}
		a.fail(r, err)
	}
}

// fail notes that r has failed, at once or in the middle.
func (a *attempt) fail(r reader, err error) {
	a.mu.Lock()
	a.failed = append(a.failed, failure{r.at, err})
	a.mu.Unlock()
	a.o.lose(r.at, err)
	if r.fact && providers.KindOf(err) != providers.NotFound {
		a.o.w.t.leaveAlone(r, err)
	}
}

func (a *attempt) use(r reader, offset int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used, a.whole = r, offset == 0 || a.whole && r.at == a.used.at
}

// last returns the reader that gave bytes last, and whether it gave them all.
func (a *attempt) last() (r reader, whole bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used, a.whole
}

func (a *attempt) failures() []failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// faults is how many readers have failed.
func (a *attempt) faults() int { return len(a.failures()) }

func (a *attempt) String() string {
	r, _ := a.last()
	if r.reg == nil {
		return ref(a.o.w.from.Host(), a.o.w.img.From.Repo, a.o.desc.Digest)
	}
	return ref(r.reg.Host(), r.at.Repo, a.o.desc.Digest)
}

// take moves the bytes read since the last call to w's account.
func (a *attempt) take(w *work) {
	w.bytesRead.Add(a.got.Swap(0))
	w.reread.Add(a.again.Swap(0))
}

// A meter counts the bytes of one body.
type meter struct {
	io.ReadCloser
	a       *attempt
	at      int64
	from    reader
	stopped func() bool // we have ended the read ourselves
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if n > 0 {
		t := m.a.o.w.t
		m.a.got.Add(int64(n))
		m.a.again.Add(t.read.note(m.a.o.desc.Digest, m.at, int64(n)))
		m.at += int64(n)
		t.opts.Progress.Read(m.from.at, int64(n))
	}
	if err != nil && err != io.EOF && !m.stopped() {
		m.a.fail(m.from, err)
	}
	return n, err
}
