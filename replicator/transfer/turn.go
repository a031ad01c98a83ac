package transfer

import (
	"context"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// Turns arbitrate between processes that share the work: what one of them brings to a
// registry, others wait for, to mount it from there instead of reading it, too. It is
// asked once for a blob that is about to be read, and not for one that is there.
type Turns interface {
	// Turn answers whether it is our turn to bring a blob. An error is one of state, or
	// ctx's cause; the caller then brings it all the same, unless ctx has ended.
	Turn(ctx context.Context, b state.Bring) (state.Turn, error)
}

const (
	// leastTurn is the size in bytes below which nobody asks: to read it twice costs less.
	leastTurn = 32 << 10

	// How long another process is waited for: some time, and what the blob takes on a
	// slow link; then it is read here, too, and for the rest of the run nobody is waited
	// for any more.
	turnWait  = time.Minute
	turnSpeed = 2 << 20 // bytes a second
	turnMost  = 15 * time.Minute

	// turnSlack is by how much a blob may have landed before a plan that does not know of
	// it: it is in state a little later.
	turnSlack = 10 * time.Minute

	// sessionRests is how long an upload that was opened is sure to be there still.
	sessionRests = 15 * time.Second
)

// bringOnce uploads b unless another process brings it to the host: then it is had
// from there. S is an upload that a refused mount has opened, or nil.
func (w *work) bringOnce(ctx context.Context, b plan.Blob, s *providers.Session) (plan.Have, error) {
	for range tries {
		asked := time.Now()
		turn, err := w.turn(b)
		if err != nil {
			return "", err
		}
		if time.Since(asked) > sessionRests {
			s = nil
		}
		if turn.There == "" {
			err := w.upload(ctx, b, s)
			w.turnOver(b.Digest, turn, err)
			return plan.Upload, err
		}
		how, opened, err := w.fromThere(ctx, b, turn.There)
		if how != "" || err != nil {
			return how, err
		}
		s = opened
		turn.End()
	}
	return plan.Upload, w.upload(ctx, b, s)
}

// asksTurn reports whether others are asked before b is brought: if it is not small,
// or may be not.
func asksTurn(b plan.Blob) bool { return b.Size < 0 || b.Size >= leastTurn }

// turn asks for the turn to bring b.
func (w *work) turn(b plan.Blob) (state.Turn, error) {
	if w.t.opts.Turns == nil || !asksTurn(b) {
		return state.Turn{}, nil
	}
	ask := state.Bring{Digest: b.Digest, Host: w.to.host.name, Also: w.run.also[b.Digest],
		Since: w.t.opts.Now().Sub(w.plan.At) + turnSlack,
		Wait:  min(turnWait+time.Duration(max(b.Size, 0)/turnSpeed)*time.Second, turnMost)}
	if w.run.hasty.Load() {
		ask.Wait = 0
	}
	ctx := w.run.soft // to wait for others is to begin nothing
	turn, err := w.waitTurn(ctx, ask)
	w.run.spare(turn.Spare)
	if ctx.Err() != nil {
		endTurn(turn)
		return state.Turn{}, context.Cause(ctx)
	}
	w.t.warn("ask for a turn", err)
	if turn.Busy {
		w.run.hasty.Store(true)
	}
	return turn, nil
}

// waitTurn asks. Where a turn lasts until a manifest names the blob, an image has
// several of them, and waits for none that could wait for it.
func (w *work) waitTurn(ctx context.Context, ask state.Bring) (state.Turn, error) {
	if !w.to.caps.MountNeedsManifest {
		return w.t.opts.Turns.Turn(ctx, ask)
	}
	wait := ask.Wait
	ask.Wait = 0
	turn, err := w.t.opts.Turns.Turn(ctx, ask)
	if turn.Busy {
		w.turns.wait(ask.Digest)
		ask.Wait = wait
		turn, err = w.t.opts.Turns.Turn(ctx, ask)
		w.turns.waited(ask.Digest)
	}
	if turn.Landed != nil && !w.turns.hold(ask.Digest, turn) {
		endTurn(turn)
		return state.Turn{Spare: turn.Spare}, err
	}
	return turn, err
}

func endTurn(turn state.Turn) {
	if turn.Landed != nil {
		turn.End()
	}
}

// turnOver tells others that the blob has landed, or that they may bring it. Where it
// cannot be mounted before a manifest names it, they are told so only then.
func (w *work) turnOver(blob v1.Hash, turn state.Turn, err error) {
	switch {
	case turn.Landed == nil:
	case err != nil:
		w.turns.drop(blob)
		turn.End()
	case !w.to.caps.MountNeedsManifest:
		turn.Landed(w.to.repo)
	}
}

// fromThere has a blob from the host's repository to which another process has
// brought it. How is "" if it is not there any more; then there may be an upload that
// the refused mount has opened.
func (w *work) fromThere(ctx context.Context, b plan.Blob, repo string) (how plan.Have, s *providers.Session, err error) {
	if repo == w.to.repo {
		_, err := w.to.reg.Stat(ctx, repo, b.Digest)
		switch {
		case err == nil:
			return plan.Here, nil, nil
		case providers.KindOf(err) == providers.NotFound:
			return "", nil, nil
		}
		return "", nil, onSide(Target, err)
	}
	h := w.to.host
	h.foreign(repo, b.Digest)
	if w.mountable() && !w.wasRefused(repo) && !h.lies(spot{w.to.repo, b.Digest}) {
		var mounted bool
		if mounted, s, err = w.mount(ctx, repo, b.Digest); mounted || err != nil {
			return plan.Mount, nil, err
		}
		w.doubt(ctx, repo, b.Digest)
		if h.from(b.Digest, w.to.repo) == nil {
			return "", s, nil
		}
	}
	return plan.Upload, nil, w.upload(ctx, b, s) // which is read from there, if that costs no more
}
