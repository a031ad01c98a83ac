package oci

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/transship/transship/providers"
)

// tokens caches one token per set of scopes until half its life. A token is
// fetched once however many wait for it.
type tokens struct {
	s       *signer
	fetches flights[*bearer]
	lots    lots

	mu         sync.Mutex
	byResource map[string][]*bearer // newest last
	sweepAt    int                  // size of byResource at which old tokens are looked for
	froms      []string             // repositories lately mounted from, newest last
	narrow     bool                 // the service, or the host, wants to hear of one thing at a time
}

const (
	maxFroms  = 4       // repositories that push tokens may also read, to mount from
	maxHeader = 6 << 10 // hosts take headers of 8 KiB in all
)

var errMoved = errors.New("the lots of repositories that share a token have changed")

// get returns a token that covers want.
func (t *tokens) get(ctx context.Context, how challenge, want scopes) (*bearer, error) {
	b, shared, err := t.join(ctx, how, want)
	if err == nil && !b.asked.covers(want) { // its lot was refused, and want stands alone now
		b, shared, err = t.join(ctx, how, want)
	}
	if shared && err == nil && (b.deniedTo(want) || !b.asked.covers(want)) { // others of its lot are granted
		b, err = t.fetches.do(ctx, want.key(), func(ctx context.Context) (*bearer, error) {
			return t.fetch(ctx, how, want, want)
		})
	}
	if err != nil && providers.KindOf(err).Retryable() && context.Cause(ctx) == nil {
		if old := t.find(want, func(b *bearer) bool { return time.Now().Before(b.expires) }); old != nil {
			return old, nil // the token service is away, the old token still good
		}
	}
	return b, err
}

// join returns a young token for want, or has one fetched for its lot: then shared
// is true, and it may be for others of the lot only.
func (t *tokens) join(ctx context.Context, how challenge, want scopes) (b *bearer, shared bool, err error) {
	if b := t.find(want, (*bearer).young); b != nil {
		return b, false, nil
	}
	for moved := true; moved; moved = errors.Is(err, errMoved) {
		b, shared, err = t.joinLot(ctx, how, want)
	}
	return b, shared, err
}

// joinLot fetches a token for want's lot. Its error is errMoved if the lots changed
// before it was asked for, or by its answer; they do so a few times.
func (t *tokens) joinLot(ctx context.Context, how challenge, want scopes) (b *bearer, shared bool, err error) {
	base := t.withMore(want)
	lot, shared := t.lots.of(base)
	b, err = t.fetches.do(ctx, lot.key(), func(ctx context.Context) (*bearer, error) {
		if b := t.find(want, (*bearer).young); b != nil {
			return b, nil // somebody else's fetch ended just now
		}
		if now, _ := t.lots.of(base); now.key() != lot.key() {
			return nil, errMoved
		}
		if shared {
			return t.fetchLot(ctx, how, want, lot)
		}
		return t.fetch(ctx, how, want, base)
	})
	return b, shared, err
}

// fetch asks for want and what will be needed next; a service that refuses the
// lot, or gives too little of it, is asked for want alone.
func (t *tokens) fetch(ctx context.Context, how challenge, want, base scopes) (*bearer, error) {
	ask := t.widen(want, base)
	b, err := t.s.r.requestToken(ctx, how, ask)
	wide, kind := len(ask) > len(want), providers.KindOf(err)
	if wide && (kind == providers.Denied || kind == providers.NotFound || err == nil && (len(b.value) > maxHeader || b.deniedTo(want))) {
		t.narrowDown()
		b, err = t.s.r.requestToken(ctx, how, want)
	}
	if err == nil {
		t.store(b)
	}
	return b, err
}

// fetchLot asks for a lot of repositories at once, and for want alone if the
// service gives none. A token that is too long for a header makes all lots smaller.
func (t *tokens) fetchLot(ctx context.Context, how challenge, want, lot scopes) (*bearer, error) {
	b, err := t.s.r.requestToken(ctx, how, lot)
	switch {
	case err == nil && len(b.value) <= maxHeader:
		b.lot = true
		t.store(b)
		return b, nil
	case err == nil:
		t.lots.shrink(len(lot.strings()))
		return nil, errMoved
	case providers.KindOf(err) == providers.Denied:
		t.lots.strike(lot)
	default:
		return nil, err
	}
	return t.fetch(ctx, how, want, t.withMore(want))
}

// withMore adds to what is pulled the actions that will be needed next: push at a
// target, and Options.AlsoAsk.
func (t *tokens) withMore(want scopes) scopes {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.narrow {
		return want
	}
	actions := t.s.r.opts.withPull()
	more := want
	for _, a := range want {
		if a.action != "pull" {
			continue
		}
		for _, action := range actions {
			more = more.with(newScopes(access{a.resource, action}))
		}
	}
	return more
}

// widen adds the repositories that are mounted from to a token for pushing.
func (t *tokens) widen(want, base scopes) scopes {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.narrow {
		return want
	}
	pushes := slices.ContainsFunc(base, func(a access) bool { return a.action == "push" })
	for _, from := range t.froms {
		if pushes {
			base = base.with(pull(from))
		}
	}
	return base
}

// mountsFrom remembers a repository that blobs are mounted from.
func (t *tokens) mountsFrom(repo string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.froms = slices.DeleteFunc(t.froms, func(s string) bool { return s == repo })
	t.froms = append(t.froms, repo)
	if len(t.froms) > maxFroms {
		t.froms = t.froms[1:]
	}
}

func (t *tokens) narrowDown() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.narrow = true
}

// find returns the newest token that covers want and is good.
func (t *tokens) find(want scopes, good func(*bearer) bool) *bearer {
	if len(want) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range slices.Backward(t.byResource[want[0].resource]) {
		if b.asked.covers(want) && good(b) && (len(b.asked) == len(want) || !b.deniedTo(want)) {
			return b
		}
	}
	return nil
}

func (t *tokens) store(b *bearer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byResource == nil {
		t.byResource = map[string][]*bearer{}
	}
	for _, resource := range b.resources() {
		t.byResource[resource] = append(t.live(resource), b)
	}
	if len(t.byResource) > max(t.sweepAt, 256) {
		t.sweep()
	}
}

func (t *tokens) live(resource string) []*bearer {
	now := time.Now()
	return slices.DeleteFunc(t.byResource[resource], func(b *bearer) bool { return now.After(b.expires) })
}

func (t *tokens) sweep() {
	for resource := range t.byResource {
		if live := t.live(resource); len(live) > 0 {
			t.byResource[resource] = live
		} else {
			delete(t.byResource, resource)
		}
	}
	t.sweepAt = 2 * len(t.byResource)
}

// drop forgets a token that was refused. If it was young and wider than needed,
// its width was the reason.
func (t *tokens) drop(b *bearer, want scopes) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(b.asked) > len(want) && time.Now().Before(b.half) && time.Since(b.fetched) < 10*time.Second {
		if b.lot {
			t.lots.strike(want)
		} else {
			t.narrow = true
		}
	}
	for _, resource := range b.resources() {
		t.byResource[resource] = slices.DeleteFunc(t.byResource[resource], func(o *bearer) bool { return o == b })
	}
}
