package transfer

import (
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

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
