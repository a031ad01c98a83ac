package gar

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// A token is an access token of our identity.
type token struct {
	value          string
	renew, expires time.Time // another is fetched from renew on
	who            providers.Identity
}

// tokens holds the one access token of a registry, for both its planes, and for a
// while that Google does not take us.
type tokens struct {
	turn chan struct{} // one fetches at a time

	mu      sync.Mutex
	have    *token
	given   string // the value that the data plane was given
	refused error
	until   time.Time
}

func newTokens() tokens { return tokens{turn: make(chan struct{}, 1)} }

const (
	refusedFor = time.Minute      // how long a refused identity is not shown again
	aloneFor   = 15 * time.Minute // the same, where the registry has a credential of its own
)

// good returns the token that is at hand, unless it is to be renewed or its value is
// not wanted; or why there is none to be had.
func (t *tokens) good(not string) (*token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused != nil && time.Now().Before(t.until) {
		return nil, t.refused
	}
	if t.have == nil || t.have.value == not || !time.Now().Before(t.have.renew) {
		return nil, nil
	}
	return t.have, nil
}

func (t *tokens) keep(fresh *token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have, t.refused = fresh, nil
}

// stopped notes that Google does not take us, so that it is not asked again at once.
func (t *tokens) stopped(err error, pause time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have, t.refused, t.until = nil, err, time.Now().Add(pause)
}

// isRefused reports whether it is the identity itself that Google does not take.
func (t *tokens) isRefused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused != nil
}

// living is the token at hand as long as it lives, for when no other is to be had.
func (t *tokens) living(not string) *token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have == nil || t.have.value == not || !time.Now().Before(t.have.expires) {
		return nil
	}
	return t.have
}

// token returns an access token other than not, fetched once however many wait.
func (r *Registry) token(ctx context.Context, not string) (*token, error) {
	if t, err := r.tokens.good(not); t != nil || err != nil {
		return t, err
	}
	select {
	case r.tokens.turn <- struct{}{}:
		defer func() { <-r.tokens.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if t, err := r.tokens.good(not); t != nil || err != nil {
		return t, err
	}
	start := time.Now() // its life is counted from before the request
	fresh, err := r.source.fetch(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return nil, cause
	}
	if old := r.tokens.living(not); err != nil && old != nil && providers.KindOf(err).Retryable() {
		return old, nil // who signs us in is away
	}
	if err != nil {
		if providers.KindOf(err) == providers.Denied {
			r.tokens.stopped(err, r.pauseOfRefused())
		}
		return nil, err
	}
	fresh.renew = renewal(start, fresh.expires)
	r.tokens.keep(fresh)
	return fresh, nil
}

// renewal is when a token of this life is renewed: late, as each takes an exchange
// for each account of a chain, and still with five minutes to try again; those that
// have less are renewed at half their life.
func renewal(start, expires time.Time) time.Time {
	life := expires.Sub(start)
	return expires.Add(-min(max(life/5, 5*time.Minute), life/2))
}

// pauseOfRefused is long where the API is an extra: to find nobody can take seconds.
func (r *Registry) pauseOfRefused() time.Duration {
	if r.given {
		return aloneFor
	}
	return refusedFor
}

// signIn gives the data plane the token that the API has, or another if it had
// that already. It is an [oci.SignIn].
func (r *Registry) signIn(ctx context.Context) (oci.Credential, error) {
	r.tokens.mu.Lock()
	had := r.tokens.given
	r.tokens.mu.Unlock()
	t, err := r.token(ctx, had)
	if err != nil {
		return oci.Credential{}, err
	}
	r.tokens.mu.Lock()
	r.tokens.given = t.value
	r.tokens.mu.Unlock()
	return oci.Credential{RegistryToken: t.value, Expires: t.expires, Renew: t.renew, Who: t.who}, nil
}

// stop names who is refused, and stops the registry.
func (r *Registry) stop(op, repo string, why error, hint string) *providers.Error {
	if who := r.who(); who != "" {
		why = fmt.Errorf("as %s: %w", who, why)
	}
	e := r.fail(op, repo, providers.Denied, why, hint)
	r.tokens.stopped(e, r.pauseOfRefused())
	return e
}

// who is our identity, if it is known, or else how it is to be found.
func (r *Registry) who() string {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	if r.tokens.have != nil {
		return r.tokens.have.who.String()
	}
	return r.opts.Identity.describe()
}

var errNobody = errors.New("no credentials were found: neither a file in GOOGLE_APPLICATION_CREDENTIALS, nor gcloud's, nor the instance's metadata")
