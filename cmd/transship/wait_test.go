package main

import (
	"context"
	"time"
)

// comes is how long scripts wait for what is to come: then it will not any more.
const comes = time.Minute

const soon = 5 * time.Millisecond // between two looks at what costs little

// within looks every so often until holds says nothing, and returns its last error
// once bound has passed or ctx has ended.
func within(ctx context.Context, bound, every time.Duration, holds func() error) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		err := holds()
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, every)
	}
}

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
