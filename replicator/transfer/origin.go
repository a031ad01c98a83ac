package transfer

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer/spool"
)

// A reader is a repository that a blob may be read from.
type reader struct {
	reg  providers.Registry
	at   plan.Place
	fact bool // not the source: believed, not known, to have it
}

// An origin is where one blob may be read for one image, the cheapest reader
// first. One that fails is not asked again.
type origin struct {
	w    *work
	desc v1.Descriptor

	mu      sync.Mutex
	readers []reader
	failed  error // why the first that is gone failed, or the source
	again   bool  // the source has given wrong bytes, and is read afresh once
	lied    bool  // it did so twice
	mixed   int   // reads from several places that proved wrong
	strays  int   // failures of reads that were begun for others, which say nothing of ours
}

// origin lists where b may be read.
func (w *work) origin(b plan.Blob) *origin {
	places := append(w.siblings(b), w.elsewhere(b)...)
	places = append(places, w.img.From)
	w.plan.Nearest(w.img, places)
	o := &origin{w: w, desc: b.Descriptor}
	for _, at := range places {
		if at == w.img.From {
			o.readers = append(o.readers, reader{reg: w.from, at: at})
		} else if reg, err := w.t.opts.Registries(at.Registry); err == nil {
			o.readers = append(o.readers, reader{reg: reg, at: at, fact: true})
		}
	}
	if err := w.t.bad.of(w, b.Digest); err != nil {
		o.drop(w.img.From, err)
	}
	return o
}

// siblings are the repositories of the target's registry that b may be read from.
func (w *work) siblings(b plan.Blob) (all []plan.Place) {
	repos := believed(b)
	if l := w.to.host.from(b.Digest, w.to.repo); l != nil && (!w.to.caps.MountNeedsManifest || w.to.host.wasNamed(l)) {
		repos = []string{l.repo}
	}
	for _, repo := range repos[:min(len(repos), tries)] {
		all = append(all, plan.Place{Registry: w.to.name, Repo: repo})
	}
	return all
}

// elsewhere are the repositories of the image's other readers that hold b: where
// this process has seen it land, and those of the plan. None is waited for.
func (w *work) elsewhere(b plan.Blob) (all []plan.Place) {
	for _, r := range w.img.Readers {
		reg, err := w.t.opts.Registries(r.Registry)
		if err != nil {
			continue
		}
		if repo := w.t.landedAt(reg.Host(), b.Digest); repo != "" {
			all = append(all, plan.Place{Registry: r.Registry, Repo: repo})
		}
	}
	for _, at := range b.Readers {
		if !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}

// live returns the reader to ask next: one that is not left alone. If there is
// none, the error is that of one which failed, the source's before others.
func (o *origin) live() (reader, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.readers {
		if !r.fact || !o.w.t.hostOf(r.reg).leftAlone(r.at.Repo, o.w.t.opts.Now()) {
			return r, nil
		}
	}
	return reader{}, cmp.Or(o.failed, errNoReader)
}

var errNoReader = errors.New("no registry is left to read it from")

// verdict is why reading has failed, as far as it has, and whether the source has
// given wrong bytes twice.
func (o *origin) verdict() (why error, lied bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed, o.lied
}

// left is how many readers have not failed.
func (o *origin) left() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.readers)
}

// lose notes that reading at a place has failed, and reports whether that is one of
// ours. The source stays once, if what it gave was wrong: that may have come about
// on the way.
func (o *origin) lose(at plan.Place, err error) bool {
	wrong := at == o.w.img.From && wrongBytes(onSide(Source, err))
	o.mu.Lock()
	again := o.again
	o.again = o.again || wrong
	o.lied = o.lied || wrong && again
	o.mu.Unlock()
	if wrong && !again {
		return true
	}
	return o.drop(at, err)
}

func (o *origin) drop(at plan.Place, err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.readers)
	o.readers = slices.DeleteFunc(o.readers, func(r reader) bool { return r.at == at })
	if len(o.readers) == before {
		return false
	}
	if o.failed == nil || at == o.w.img.From {
		o.failed = err
	}
	return true
}

// goOn reports whether there is a point in reading once more after by has failed
// with err, and whether that says something of our own readers. A read that was
// begun for another image may have failed where we do not read: that is put up
// with a few times.
func (o *origin) goOn(by *attempt, err error) (ours, more bool) {
	mine := by.o == o
	if mine {
		ours = by.faults() > 0
	} else {
		ours = o.share(by)
	}
	if wrong, ok := errors.AsType[*spool.Mismatch](err); ok {
		ours = o.blame(by, wrong, mine) || ours
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !ours && !mine {
		o.strays++
	}
	return ours, len(o.readers) > 0 && (ours || !mine && o.strays <= tries)
}

// share takes over what another image's read found out about our readers.
func (o *origin) share(by *attempt) (ours bool) {
	for _, f := range by.failures() {
		ours = o.lose(f.at, f.err) || ours
	}
	return ours
}

// blame has the one who gave bytes that proved wrong no longer believed. Where they
// came from several places nobody is blamed, a few times: they are read again from
// the start, and who gives all of them then is known.
func (o *origin) blame(by *attempt, wrong *spool.Mismatch, mine bool) bool {
	last, whole := by.last()
	if last.reg == nil {
		return false
	}
	if mine && !whole && o.forgive() {
		return true
	}
	if mine && last.fact {
		o.w.t.leaveAlone(last, wrong)
	}
	return o.lose(last.at, wrong)
}

func (o *origin) forgive() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mixed++
	return o.mixed <= tries
}
