package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// Run carries out plans side by side, Options.Width images at a time for each
// target host, and returns once every goroutine it started has ended. An image
// that fails is journaled and stops nothing else. Run itself fails only when ctx
// ends, with its cause, or with [ErrInterrupted] after a soft stop that left
// something undone. Several runs at once share all limits.
func (t *Transfer) Run(ctx context.Context, plans ...plan.Plan) error {
	return t.RunUntil(ctx, nil, plans...)
}

// RunUntil is Run that begins no further image once closing is closed; those under
// way come to their end, however long they take. What is left over is
// ErrInterrupted.
func (t *Transfer) RunUntil(ctx context.Context, closing <-chan struct{}, plans ...plan.Plan) error {
	t.opts.Progress.Begin(plans)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{t: t, ctx: ctx, soft: soft, closing: closing}
	r.together(plans)
	defer r.endSpares()
	var wg sync.WaitGroup
	over := make(chan struct{})
	go func() {
		defer close(over)
		t.graceful(ctx, stop, cancel)
	}()
	for i := range plans {
		wg.Go(func() { r.plan(&plans[i]) })
	}
	wg.Wait()
	err := context.Cause(ctx)
	cancel(nil)
	<-over
	if err == nil && r.interrupted() {
		err = ErrInterrupted
	}
	return err
}

// graceful calls stop at the soft stop, and ends ctx when its grace is over.
func (t *Transfer) graceful(ctx context.Context, stop, cancel context.CancelCauseFunc) {
	select {
	case <-t.opts.Stop: // nil blocks
		stop(ErrInterrupted)
	case <-ctx.Done():
		return
	}
	grace := time.NewTimer(t.opts.Grace)
	defer grace.Stop()
	select {
	case <-grace.C:
		cancel(fmt.Errorf("%w: %v of grace were not enough", ErrInterrupted, t.opts.Grace))
	case <-ctx.Done():
	}
}

// stopping reports whether nothing new may be started.
func (t *Transfer) stopping() bool {
	select {
	case <-t.opts.Stop:
		return true
	default:
		return false
	}
}

// over reports whether no image may be begun any more.
func (r *run) over() bool {
	select {
	case <-r.closing: // nil blocks
		return true
	default:
		return r.t.stopping()
	}
}

// A run is one call of Run.
type run struct {
	t   *Transfer
	ctx context.Context // of this call alone

	soft    context.Context      // ends with ctx, or at the soft stop
	closing <-chan struct{}      // no image is begun any more; may be nil
	also    map[v1.Hash][]string // the hosts to which a blob goes, where those are several

	mu       sync.Mutex
	leftOver bool
	spares   []func() // what ends turns that may have come to no use

	hasty atomic.Bool // another process was waited for, for as long as one waits
}

func (r *run) interrupted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leftOver
}

// plan brings p's images, each in its slot of the target host.
func (r *run) plan(p *plan.Plan) {
	if len(p.Images) == 0 {
		return
	}
	to, err := r.t.target(r.ctx, p.Target)
	if err == nil && p.Create && !r.over() {
		err = to.ensure(r.ctx)
	}
	var images sync.WaitGroup
	defer images.Wait()
	for i := range p.Images {
		w := &work{t: r.t, run: r, plan: p, img: &p.Images[i], to: to}
		if err != nil {
			r.end(w, onSide(Target, err))
			continue
		}
		if err := r.slot(to); err != nil {
			r.end(w, err)
			continue
		}
		images.Go(func() {
			defer func() { <-to.host.slots }()
			r.image(w)
		})
	}
}

// slot waits for one of the host's places for an image.
func (r *run) slot(to *target) error {
	if r.over() {
		return ErrInterrupted
	}
	select {
	case to.host.slots <- struct{}{}:
		return nil
	case <-r.t.opts.Stop:
		return ErrInterrupted
	case <-r.closing:
		return ErrInterrupted
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

func (r *run) image(w *work) {
	r.t.opts.Progress.Start(w.plan.Target, w.img)
	ctx, traced := r.t.opts.Tracer.Image(r.ctx, w.plan.Target, w.img)
	err := w.to.host.trips.check(w.to.repo)
	if err == nil {
		err = w.bring(ctx)
		w.to.host.trips.note(w.to.repo, err)
	}
	w.endTurns()
	if err != nil {
		r.endSpares() // one of them may be for this image, which brings nothing any more
	}
	w.to.host.leave(w)
	traced(r.end(w, err))
}

// end records and journals what w did.
func (r *run) end(w *work, err error) Result {
	if err != nil && r.ctx.Err() != nil && !errors.Is(err, ErrInterrupted) {
		err = fmt.Errorf("%w (%w)", ErrInterrupted, context.Cause(r.ctx))
	}
	if errors.Is(err, ErrInterrupted) {
		r.mu.Lock()
		r.leftOver = true
		r.mu.Unlock()
	}
	ctx, cancel := lasting(r.ctx)
	defer cancel()
	w.record(ctx)
	result := w.result(err)
	r.t.opts.Journal.Image(ctx, result)
	r.t.opts.Progress.End(w.plan.Target, w.img, err)
	return result
}

const (
	tellFor  = 5 * time.Minute  // that state and journal may take for one image
	tellLast = 15 * time.Second // the same once the run has been stopped
)

// lasting is for what is told of an image when it has come to its end, in a run that
// may have been stopped. While the run goes on, a state that is slow slows it down:
// what state is not told is asked for again by the next pass, and a tag that the
// source has moved by then looks as if somebody else had put it. The caller cancels.
func lasting(run context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(run), tellFor)
	var last *time.Timer
	stopped := make(chan struct{})
	unhook := context.AfterFunc(run, func() {
		defer close(stopped)
		last = time.AfterFunc(tellLast, cancel)
	})
	return ctx, func() {
		cancel()
		if !unhook() {
			<-stopped
			last.Stop()
		}
	}
}

// A target is the repository that one plan is about, by the client that the
// policy's name for its registry gives.
type target struct {
	host *host
	reg  providers.Registry
	name string // in the policy
	repo string
	caps providers.Caps
}

func (t *Transfer) target(ctx context.Context, place plan.Place) (*target, error) {
	reg, err := t.opts.Registries(place.Registry)
	if err != nil {
		return nil, fmt.Errorf("registry %q: %w", place.Registry, err)
	}
	h := t.hostOf(reg)
	caps, err := h.learn(ctx, t, reg)
	if err != nil {
		return nil, fmt.Errorf("capabilities of %s: %w", reg.Host(), err)
	}
	return &target{host: h, reg: reg, name: place.Registry, repo: place.Repo, caps: caps}, nil
}

func (to *target) ensure(ctx context.Context) error {
	if err := to.reg.Ensure(ctx, to.repo); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	return nil
}

// sided is an error with the side on which it arose.
type sided struct {
	side string
	err  error
}

func (s *sided) Error() string { return s.side + ": " + s.err.Error() }
func (s *sided) Unwrap() error { return s.err }

// onSide adds the side to err, unless it is nil, has one, or is our own stop.
func onSide(side string, err error) error {
	if _, has := errors.AsType[*sided](err); has || err == nil || errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled) {
		return err
	}
	return &sided{side, err}
}

func sideOf(err error) string {
	if s, ok := errors.AsType[*sided](err); ok {
		return s.side
	}
	return ""
}
