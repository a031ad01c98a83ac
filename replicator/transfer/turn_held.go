package transfer

import (
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

// heldTurns are the turns that an image has at a host which mounts nothing that no
// manifest names: they last until the manifest is put. Images of several processes
// could so wait for each other. None does, because one that waits for a blob
// holds only such as come before that, in the order of digests. What it does not hold
// is brought all the same, and twice if another image wants it, too.
type heldTurns struct {
	mu      sync.Mutex
	held    map[v1.Hash]state.Turn
	waiting map[v1.Hash]bool
}

// wait notes that blob is waited for, until waited is called.
func (t *heldTurns) wait(blob v1.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for has, turn := range t.held {
		if has.Hex > blob.Hex {
			delete(t.held, has)
			turn.End()
		}
	}
	if t.waiting == nil {
		t.waiting = map[v1.Hash]bool{}
	}
	t.waiting[blob] = true
}

func (t *heldTurns) waited(blob v1.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, blob)
}

// hold keeps a turn, unless the image waits for one that comes before it.
func (t *heldTurns) hold(blob v1.Hash, turn state.Turn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range t.waiting {
		if other.Hex < blob.Hex {
			return false
		}
	}
	if t.held == nil {
		t.held = map[v1.Hash]state.Turn{}
	}
	t.held[blob] = turn
	return true
}

func (t *heldTurns) drop(blob v1.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, blob)
}

// named ends the turns of blobs that a manifest in repo names by now.
func (t *heldTurns) named(repo string, blobs []v1.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, blob := range blobs {
		if turn, has := t.held[blob]; has {
			delete(t.held, blob)
			turn.Landed(repo)
		}
	}
}

// endTurns ends those that w still has: the image has come to its end, and perhaps
// another one's manifest names their blobs.
func (w *work) endTurns() {
	w.turns.mu.Lock()
	defer w.turns.mu.Unlock()
	for blob, turn := range w.turns.held {
		if l := w.to.host.from(blob, ""); l != nil && w.to.host.wasNamed(l) {
			turn.Landed(l.repo)
		} else {
			turn.End()
		}
	}
	w.turns.held = nil
}
