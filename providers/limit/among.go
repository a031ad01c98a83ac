package limit

import "sync/atomic"

// Among is how many processes ask a host and have its bounds together: each keeps to
// an equal part of them. The zero value and nil are one process alone. It is safe for
// concurrent use.
type Among struct{ n atomic.Int64 }

// Set says how many they are from now on.
func (a *Among) Set(n int) { a.n.Store(int64(n)) }

// N is how many they are, at least one.
func (a *Among) N() int {
	if a == nil {
		return 1
	}
	return int(max(1, a.n.Load()))
}
