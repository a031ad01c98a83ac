package spool

import "sync"

const (
	// portion is how many bytes a read takes at once, at most.
	portion = 256 << 10
	// A window has so many portions, and a spool so many windows: 8 MiB in all.
	windowSlots = 4
	mostWindows = 8
	// windowFrom is the size of an entry that is worth one: where many smaller ones are
	// on their way, the windows would be most of the memory in use.
	windowFrom = 32 << 20
)

// A window holds the newest bytes of a read in memory, so that who follows close
// behind the writer does not read them from the file. One goroutine writes; any
// number read what they know to be written, and where they come too late get
// nothing.
type window struct{ slots [windowSlots]slot }

// A slot is a portion of the window. Bytes are added to it without its lock, which
// only guards what it holds: readers know from the read how far it is written.
type slot struct {
	mu    sync.RWMutex
	start int64 // offset of buf's first byte, -1 for none
	from  int64 // of the first byte that was written
	buf   []byte
}

func newWindow() *window {
	w := &window{}
	for i := range w.slots {
		w.slots[i] = slot{start: -1, buf: make([]byte, portion)}
	}
	return w
}

func (w *window) slot(at int64) (s *slot, start int64) {
	return &w.slots[at/portion%windowSlots], at - at%portion
}

// room is where the bytes from at on go, at least one. What was there is given up.
func (w *window) room(at int64) []byte {
	s, start := w.slot(at)
	if s.start != start {
		s.mu.Lock()
		s.start, s.from = start, at
		s.mu.Unlock()
	}
	return s.buf[at-start:]
}

// readAt copies bytes from off on as far as it holds them, all of which have to be
// written, and returns how many.
func (w *window) readAt(p []byte, off int64) int {
	n := 0
	for n < len(p) {
		s, start := w.slot(off + int64(n))
		s.mu.RLock()
		if s.start != start || off+int64(n) < s.from {
			s.mu.RUnlock()
			break
		}
		n += copy(p[n:], s.buf[off+int64(n)-start:])
		s.mu.RUnlock()
	}
	return n
}

// openWindow gives r a window, if it is worth one and there is one left.
func (s *Spool) openWindow(e *entry, r *read) *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.mem != nil || e.size < windowFrom || s.windows >= mostWindows {
		return nil
	}
	s.windows++
	w := newWindow()
	r.mu.Lock()
	r.window = w
	r.mu.Unlock()
	return w
}

// closeWindow takes r's window back; Spool.mu is held. Late readers go to the file.
func (s *Spool) closeWindow(r *read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.window != nil {
		r.window = nil
		s.windows--
	}
}
