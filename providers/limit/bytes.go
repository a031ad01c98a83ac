package limit

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Pace says how many bytes a second may flow at a time, 0 for as many as will, and
// until when that holds; a zero until is for ever. It is asked from several goroutines.
type Pace func(at time.Time) (perSecond float64, until time.Time)

// Steady is the pace that is the same at all times.
func Steady(perSecond float64) Pace {
	return func(time.Time) (float64, time.Time) { return perSecond, time.Time{} }
}

// Bytes keep a flow within a pace, a quarter of a second's worth at once. Who waits is
// served in turn, so that a change of the pace reaches all who wait in a quarter of a
// second. Methods are safe for concurrent use; several limiters may share one.
type Bytes struct {
	turn chan struct{} // held by the one who waits for the bucket

	mu     sync.Mutex
	pace   Pace
	until  time.Time // when the pace is asked again; zero is never
	bucket *rate.Limiter
}

// NewBytes returns the bound that keeps to p; nil is no bound.
func NewBytes(p Pace) *Bytes {
	b := &Bytes{turn: make(chan struct{}, 1), pace: p.orNone()}
	perSecond, until := b.pace(time.Now())
	b.until, b.bucket = until, bucket(perSecond, perSecond/4)
	return b
}

func (p Pace) orNone() Pace {
	if p == nil {
		return Steady(0)
	}
	return p
}

// Set has the bytes that follow keep to p; nil is no bound.
func (b *Bytes) Set(p Pace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pace = p.orNone()
	b.ask(time.Now())
}

// ask sets the bucket to the pace at now. The caller holds b.mu.
func (b *Bytes) ask(now time.Time) {
	var perSecond float64
	perSecond, b.until = b.pace(now)
	reset(b.bucket, perSecond, perSecond/4)
}

// Most is how many bytes may be taken at once by now; 0 is any number.
func (b *Bytes) Most() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); !b.until.IsZero() && !now.Before(b.until) {
		b.ask(now)
	}
	if b.bucket.Limit() == rate.Inf {
		return 0
	}
	return b.bucket.Burst()
}

// Take waits until n bytes more may have flowed. The error is the cause of ctx's end,
// or DeadlineExceeded at once when the wait would outlast ctx.
func (b *Bytes) Take(ctx context.Context, n int) error {
	if b.Most() == 0 {
		return context.Cause(ctx)
	}
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for n > 0 {
		most := b.Most()
		if most == 0 {
			break
		}
		part := min(n, most)
		if err := take(ctx, b.bucket, part); err != nil {
			return err
		}
		n -= part
	}
	return context.Cause(ctx)
}
