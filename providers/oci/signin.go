package oci

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
)

// A SignIn fetches the credential of a cloud's identity for one registry. It is
// called once however many requests wait, again from [Credential.Renew] on, and
// when the host no longer takes it, in the middle of a long copy too. Its errors
// are providers.Errors that name the identity: Denied stops the registry for a
// while, as [Options.SignIn] says; Unavailable keeps the credential at hand as long
// as it lives. It should give up within seconds, not minutes, where a metadata
// server is not there.
//
// What the three clouds make of it:
//
//   - ECR: GetAuthorizationToken. Username AWS and Password, which go to the
//     registry as Basic; Expires is expiresAt. One that is over is answered 401,
//     or 403 DENIED "Your authorization token has expired": both renew it.
//   - Artifact Registry: an access token as RegistryToken, which goes to the
//     registry as Bearer, without a token service between; Expires is its expiry.
//   - ACR: the refresh token of /oauth2/exchange as IdentityToken, which oci gives
//     to the registry's token service for one access token a few repositories (see
//     [Options.TokenRepositories]); Expires is its exp claim.
type SignIn func(ctx context.Context) (Credential, error)

// A Credential is what signs requests until Expires. One of Password (with
// Username), IdentityToken and RegistryToken is set. It prints as [redacted].
type Credential struct {
	Username      string
	Password      string
	IdentityToken string // for the token service (OAuth 2 refresh token)
	RegistryToken string // for the registry itself, as Bearer

	Expires time.Time          // zero: fetched anew every five minutes
	Renew   time.Time          // from when on another is fetched; zero: at half its life
	Who     providers.Identity // whom it is for; its name is in errors
}

// String keeps credentials out of logs.
func (c Credential) String() string { return "[redacted]" }

// Format keeps credentials out of every verb of fmt.
func (c Credential) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

// LogValue keeps credentials out of slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON keeps credentials out of JSON.
func (c Credential) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

func (c Credential) config() *authn.AuthConfig {
	return &authn.AuthConfig{Username: c.Username, Password: c.Password,
		IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken}
}

// A held credential is one that was fetched.
type held struct {
	Credential
	fetched  time.Time
	half     time.Time   // from here on it is renewed
	accepted atomic.Bool // the host has taken it
}

func (h *held) live(now time.Time) bool { return h.Expires.IsZero() || now.Before(h.Expires) }

const (
	unknownLife = 10 * time.Minute // of a credential that does not say: renewed at half of it
	renewPause  = 30 * time.Second // between tries to renew what still lives
	freshFor    = 10 * time.Second // a credential as young as this is not renewed for a refusal
	maxRenewals = 5                // for refusals, within renewalsPer
	renewalsPer = 10 * time.Minute
)

// A keeper holds the credential of a SignIn.
type keeper struct {
	fetch   SignIn
	fetches flights[*held]

	mu       sync.Mutex
	have     *held
	renewals []time.Time // that refusals asked for, within renewalsPer
}

// get returns a credential that lives.
func (k *keeper) get(ctx context.Context) (*held, error) {
	have, fresh := k.fresh()
	if fresh {
		return have, nil
	}
	got, err := k.fetches.do(ctx, "", k.renew)
	if err != nil && have != nil && providers.KindOf(err).Retryable() && context.Cause(ctx) == nil && have.live(time.Now()) {
		k.later(have)
		return have, nil // who signs us in is away, the old one still good
	}
	return got, err
}

// fresh returns the credential at hand, and whether it is young enough.
func (k *keeper) fresh() (*held, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.have, k.have != nil && time.Now().Before(k.have.half)
}

func (k *keeper) renew(ctx context.Context) (*held, error) {
	if have, fresh := k.fresh(); fresh {
		return have, nil // somebody else's renewal ended just now
	}
	start := time.Now() // its life is counted from before the request
	c, err := k.fetch(ctx)
	if err != nil {
		return nil, err
	}
	h := &held{Credential: c, fetched: start, half: start.Add(unknownLife / 2)}
	switch {
	case !c.Renew.IsZero():
		h.half = c.Renew
	case !c.Expires.IsZero():
		h.half = start.Add(c.Expires.Sub(start) / 2)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.have = h
	return h, nil
}

// later puts off the renewal of what cannot be renewed now.
func (k *keeper) later(h *held) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pause := renewPause
	if !h.Expires.IsZero() {
		pause = min(pause, time.Until(h.Expires)/2)
	}
	if k.have == h {
		fresh := &held{Credential: h.Credential, fetched: h.fetched, half: time.Now().Add(pause)}
		fresh.accepted.Store(h.accepted.Load())
		k.have = fresh
	}
}

// refused drops h, which the host does not take (any more), and reports whether
// another may do better. It does so a few times in ten minutes only.
func (k *keeper) refused(h *held) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.have != nil && k.have.Credential != h.Credential {
		return true // it was renewed meanwhile
	}
	if k.have == nil {
		return true // it is being renewed
	}
	now := time.Now()
	if !h.accepted.Load() && now.Sub(h.fetched) < freshFor {
		return false
	}
	for len(k.renewals) > 0 && now.Sub(k.renewals[0]) > renewalsPer {
		k.renewals = k.renewals[1:]
	}
	if len(k.renewals) >= maxRenewals {
		return false
	}
	k.renewals = append(k.renewals, now)
	k.have = nil
	return true
}
