package limit

// A width adapts like TCP's congestion window: it doubles with each window's
// worth of good answers until the first throttle, then grows by one a window,
// and halves on each throttle, at most once for the requests of one window.
type width struct {
	now, max  int
	answered  int // good answers in this window
	slowStart bool
	epoch     int // counts the halvings
}

func (w *width) good() {
	if w.answered++; w.answered < w.now {
		return
	}
	w.answered = 0
	if w.slowStart {
		w.now *= 2
	} else {
		w.now++
	}
	w.now = min(w.now, w.max)
}

func (w *width) halve() {
	w.now = max(1, w.now/2)
	w.answered, w.slowStart = 0, false
	w.epoch++
}
