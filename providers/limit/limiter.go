// Package limit bounds what one host is asked: how many requests are in flight
// (a width that adapts to the host's throttling), how many start each second, and
// how many bytes flow each second. It knows nothing of HTTP and starts no
// goroutine.
package limit

import (
	"cmp"
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Class is the direction of a request. Reads and writes have slots of their
// own, so that an upload, which waits for the read that feeds it, can never hold
// the slot which that read needs.
type Class int

const (
	Read Class = iota
	Write
	classes
)

func (c Class) String() string { return [...]string{"read", "write"}[c] }

// Options are the bounds of a host. Zero values take the defaults.
type Options struct {
	Start      int     // width at first, in requests of each class; default 8
	Max        int     // the most the width grows to; default 32
	Requests   float64 // requests a second, both classes together; 0 is no bound
	Burst      float64 // requests that may start at once after a pause; default a quarter of Requests
	ReadBytes  Pace    // of body bytes read from the host; nil is no bound
	WriteBytes Pace    // of body bytes written to the host; nil is no bound

	// What several hosts keep to together, of bytes read and written; may be nil.
	AllReads, AllWrites *Bytes

	// Among are those who have Requests, Burst and a Max that is given together. Bytes
	// are divided by whoever sets their pace.
	Among *Among

	Watch Watch
}

// A Watch is told of what holds requests up. Its functions may be nil, are called from
// many goroutines, and return at once.
type Watch struct {
	Waited    func(why Reason, took time.Duration)
	Throttled func() // the host wants to be asked less
}

// A Reason is what a request, or its body, waits for.
type Reason string

const (
	ForWidth    Reason = "width"    // as many are in flight as the host takes
	ForRequests Reason = "requests" // requests a second
	ForQuota    Reason = "quota"    // what the host publishes for an operation
	ForBytes    Reason = "bytes"    // bytes a second
)

// Since tells of a wait that began at start, if it took longer than a millisecond.
func (w Watch) Since(why Reason, start time.Time) {
	if took := time.Since(start); w.Waited != nil && took > time.Millisecond {
		w.Waited(why, took)
	}
}

// Defaults of [Options].
const (
	DefaultStart = 8
	DefaultMax   = 32
)

// A Limiter bounds the requests to one host. Its methods are safe for
// concurrent use.
type Limiter struct {
	requests *rate.Limiter
	bytes    [classes]*Bytes
	all      [classes]*Bytes // may be nil
	watch    Watch
	among    *Among

	mu    sync.Mutex
	whole Options // of all together
	given bool    // its Max
	parts int     // by how many it is divided now
	width width
	lanes [classes]lane
}

// New returns the limiter for o.
func New(o Options) *Limiter {
	given := o.Max > 0
	o = o.withDefaults()
	parts := o.Among.N()
	l := &Limiter{
		requests: bucket(o.Requests/float64(parts), o.Burst/float64(parts)),
		bytes:    [classes]*Bytes{Read: NewBytes(o.ReadBytes), Write: NewBytes(o.WriteBytes)},
		all:      [classes]*Bytes{Read: o.AllReads, Write: o.AllWrites},
		watch:    o.Watch,
		among:    o.Among,
		whole:    o,
		given:    given,
		parts:    parts,
		width:    newWidth(min(o.Start, o.Max), o.Max),
	}
	l.divide()
	return l
}

// share divides the bounds by those who have them together now.
func (l *Limiter) share() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.among.N(); n != l.parts {
		l.parts = n
		l.divide()
	}
}

// divide has the bounds be those of one of l.parts. It expects mu to be held.
func (l *Limiter) divide() {
	parts := float64(l.parts)
	reset(l.requests, l.whole.Requests/parts, l.whole.Burst/parts)
	l.width.max = l.whole.Max
	if l.given {
		l.width.max = max(1, l.whole.Max/l.parts)
	}
	l.width.now = min(l.width.now, l.width.max)
}

func (o Options) withDefaults() Options {
	o.Max = cmp.Or(max(o.Max, 0), DefaultMax)
	o.Start = cmp.Or(max(o.Start, 0), DefaultStart)
	o.Burst = cmp.Or(o.Burst, math.Ceil(o.Requests/4))
	return o
}

// Set has what follows keep to the requests, the bytes and the most width of o. The
// width stays as it was learned, if it is not above the most. Requests that wait already
// may do so by the old bound.
func (l *Limiter) Set(o Options) {
	l.bytes[Read].Set(o.ReadBytes)
	l.bytes[Write].Set(o.WriteBytes)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given, l.whole = o.Max > 0, o.withDefaults()
	l.divide()
	l.wake()
}

// bucket allows perSecond on average and burst at once; 0 allows everything.
func bucket(perSecond, burst float64) *rate.Limiter { return rate.NewLimiter(bounds(perSecond, burst)) }

func reset(b *rate.Limiter, perSecond, burst float64) {
	limit, most := bounds(perSecond, burst)
	b.SetLimit(limit)
	b.SetBurst(most)
}

func bounds(perSecond, burst float64) (rate.Limit, int) {
	most := max(1, int(min(burst, math.MaxInt32)))
	if perSecond <= 0 {
		return rate.Inf, most
	}
	return rate.Limit(perSecond), most
}

// Width is how many requests of each class may be in flight now.
func (l *Limiter) Width() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.width.now
}

// InFlight is how many slots of c are taken.
func (l *Limiter) InFlight(c Class) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lanes[c].used
}

// take waits for n tokens; the error is the cause of ctx's end, or
// DeadlineExceeded at once when the wait would outlast ctx.
func take(ctx context.Context, b *rate.Limiter, n int) error {
	if err := b.WaitN(ctx, n); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return context.DeadlineExceeded
	}
	return nil
}

// A Ticket stands for one request under way; its outcome moves the width.
type Ticket struct {
	l     *Limiter
	epoch int
}

// Begin waits until the host may be asked once more and returns the ticket of
// that request. The error is the cause of ctx's end.
func (l *Limiter) Begin(ctx context.Context) (Ticket, error) {
	l.share()
	start := time.Now()
	if err := take(ctx, l.requests, 1); err != nil {
		return Ticket{}, err
	}
	l.watch.Since(ForRequests, start)
	l.mu.Lock()
	defer l.mu.Unlock()
	return Ticket{l: l, epoch: l.width.epoch}, nil
}

// Good says that the host answered without throttling.
func (t Ticket) Good() {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	t.l.width.weather.note(false)
	if t.l.busy() {
		t.l.width.good()
	}
	t.l.wake()
}

// Throttled says that the host wants to be asked less: it answered 429, or 503
// with a Retry-After. Requests that began before the width was last halved say
// nothing new and do not halve it again.
func (t Ticket) Throttled() {
	if told := t.l.watch.Throttled; told != nil {
		told()
	}
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	if t.epoch == t.l.width.epoch {
		t.l.width.halve()
	}
}

// Unavailable says that the host answered 503 and nothing more, as one does whose
// backend is being replaced. The width halves when a third of the
// last answers are such, or four in a row.
func (t Ticket) Unavailable() {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	if t.epoch == t.l.width.epoch {
		t.l.width.unavailable()
	}
}

// busy reports whether the width is being used, so that success at it proves something.
func (l *Limiter) busy() bool {
	for i := range l.lanes {
		if 2*l.lanes[i].used >= l.width.now {
			return true
		}
	}
	return false
}
