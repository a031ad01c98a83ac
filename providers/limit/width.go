package limit

// A width adapts to what a host takes. It doubles with each window's worth of
// good answers until the first throttle, and halves on each throttle, at most
// once for the requests of one window.
//
// What follows depends on what came before the throttle. If the width had just
// grown, the host's limit is found: it doubles back to three quarters of that, and
// goes on one by one, the more patiently the more often the limit was found near
// the same place. If the host had taken this width for longer, the throttle is
// one of a quota or of chance: it doubles back to where it was.
type width struct {
	now, max  int
	answered  int // good answers in this window
	slowStart bool
	grown     bool // since the last window
	epoch     int  // counts the halvings

	back     int // where it doubles back to
	limit    int // as it was last found, 0 for never
	patience int // windows for one more
	windows  int // of them
	weather  weather
}

func newWidth(start, most int) width {
	return width{now: start, max: most, slowStart: true, grown: true, patience: 1}
}

// mostPatience bounds how long a width stays where it is: one window in so many
// finds out whether the host takes more by now.
const mostPatience = 16

func (w *width) good() {
	if w.answered++; w.answered < w.now {
		return
	}
	w.answered = 0
	before := w.now
	w.grow()
	w.grown = w.now > before
}

// grow is what a window of good answers does.
func (w *width) grow() {
	switch {
	case w.slowStart:
		w.now *= 2
	case w.now < w.back:
		w.now = min(2*w.now, w.back)
	default:
		if w.windows++; w.windows < w.patience {
			return
		}
		w.now++
	}
	w.windows = 0
	w.now = min(w.now, w.max)
	if !w.near() {
		w.patience = 1
	}
}

// near reports whether the width is where the limit was found.
func (w *width) near() bool { return 4*max(w.now-w.limit, w.limit-w.now) <= w.limit }

func (w *width) halve() {
	w.back = w.now
	if w.grown {
		w.found()
	}
	w.now = max(1, w.now/2)
	w.answered, w.windows, w.slowStart, w.grown = 0, 0, false, false
	w.epoch++
}

// found notes that the host takes less than this.
func (w *width) found() {
	if w.patience = min(2*w.patience, mostPatience); !w.near() {
		w.patience = 1
	}
	w.limit, w.back = w.now, w.now-max(1, w.now/4)
}

// unavailable counts an answer that says no more than that something failed, and
// halves if those are many.
func (w *width) unavailable() {
	if w.weather.note(true); w.weather.storm() {
		w.weather = weather{}
		w.halve()
	}
}

// weather is the last answers: which of them were a 503 that says nothing more.
// One in twenty of these is a backend that is being replaced, and a narrower
// width would meet as many; when they are a third, or four in a row, the host
// has too much to do.
type weather struct {
	answers [32]bool
	next    int
	bad     int // of answers
	row     int // bad ones without a good one between
}

func (w *weather) note(bad bool) {
	if w.answers[w.next] {
		w.bad--
	}
	w.row++
	if bad {
		w.bad++
	} else {
		w.row = 0
	}
	w.answers[w.next] = bad
	w.next = (w.next + 1) % len(w.answers)
}

func (w *weather) storm() bool { return 3*w.bad >= len(w.answers) || w.row >= 4 }
