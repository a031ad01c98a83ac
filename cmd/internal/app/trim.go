package app

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// trimEvery is how often memory is given back that is not needed any more.
const trimEvery = time.Minute

// Bytes that were allocated since the last look: with less there is nothing to give
// back, with more there is work to do, and what is free will be needed.
const (
	trimAbove = 1 << 20
	trimBelow = 64 << 20
)

// trim gives memory back that a burst of work has left, until ctx ends. By itself the
// runtime does so minutes later, and keeps a tenth.
func trim(ctx context.Context) {
	var last uint64
	every(ctx, trimEvery, func() {
		now := allocated()
		if n := now - last; trimAbove < n && n < trimBelow {
			runtime.GC() // pools of buffers live through one collection
			debug.FreeOSMemory()
		}
		last = now
	})
}

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
