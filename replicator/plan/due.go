package plan

import (
	"hash/fnv"
	"time"
)

// Due reports whether a fact about key that was last seen at last is to be seen
// again at now. It is due between half of every and every after last, at a part
// of the period that follows from key, so that facts learned together are not
// asked again together; every is never exceeded by more than a pass.
// A zero last is due, an every of zero or less never is.
func Due(key string, last, now time.Time, every time.Duration) bool {
	if every <= 0 {
		return false
	}
	if last.IsZero() {
		return true
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	half := every / 2
	return now.Sub(last) >= half+time.Duration(float64(half)*float64(h.Sum32())/(1<<32))
}
