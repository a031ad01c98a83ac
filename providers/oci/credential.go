package oci

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
)

// A shown credential is what is sent, and where it was fetched.
type shown struct {
	config authn.AuthConfig
	held   *held // of a SignIn, nil for what was given
}

// credential is the one to sign with now. While the identity is refused it is
// the error of that.
func (s *signer) credential(ctx context.Context) (shown, error) {
	if err := s.stop.check(nil); err != nil && s.keep != nil {
		return shown{}, err
	}
	c, err := s.fetch(ctx)
	if err == nil {
		return c, s.stop.check(c.config)
	}
	if cause := context.Cause(ctx); cause != nil {
		return shown{}, cause
	}
	e := s.unfound(err)
	if s.keep == nil {
		return shown{}, e
	}
	return shown{}, s.stop.stop(e, nil)
}

// unfound is the error of a credential that cannot be had.
func (s *signer) unfound(err error) *providers.Error {
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e
	}
	return &providers.Error{Kind: providers.Denied, Op: "find credentials", Ref: s.r.Host(),
		Hint: s.r.opts.credentialHint(), Err: errors.New(sanitize(err.Error()))}
}

// signIn asks the cloud, unless it has refused the identity: those who come while
// others wait for that answer are to find it.
func (s *signer) signIn(ctx context.Context) (Credential, error) {
	if err := s.stop.check(nil); err != nil {
		return Credential{}, err
	}
	c, err := s.r.opts.SignIn(ctx)
	if err == nil || context.Cause(ctx) != nil {
		return c, err
	}
	if e := s.unfound(err); e.Kind == providers.Denied {
		return Credential{}, s.stop.stop(e, nil)
	}
	return Credential{}, err
}

func (s *signer) fetch(ctx context.Context) (shown, error) {
	if s.keep != nil {
		h, err := s.keep.get(ctx)
		if err != nil {
			return shown{}, err
		}
		return shown{*h.config(), h}, nil
	}
	config, err := authn.Authorization(ctx, s.auth)
	if err != nil || config == nil {
		return shown{}, err
	}
	return shown{config: *config}, nil
}

// took reports whether the host is known to have taken c.
func (s *signer) took(c shown) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.at.IsZero() && s.taken == c.config
}

// take notes that the host has taken c.
func (s *signer) take(c shown) {
	s.mu.Lock()
	s.taken, s.at = c.config, time.Now()
	s.mu.Unlock()
	if c.held != nil {
		c.held.accepted.Store(true)
	}
	s.stop.good()
}

// prove shows the registry p before anything is asked with it, once however many
// wait, so that an identity that is refused is refused once.
func (s *signer) prove(ctx context.Context, p pass) error {
	_, err := s.proofs.do(ctx, p.header, func(ctx context.Context) (struct{}, error) {
		if s.took(p.direct) {
			return struct{}{}, nil
		}
		if err := s.stop.check(p.direct.config); err != nil {
			return struct{}{}, err
		}
		err := s.r.present(ctx, p)
		if e, ok := refusesIdentity(err); ok {
			if h := p.direct.held; h != nil && s.keep.refused(h) {
				return struct{}{}, nil // it is over, and renewed when the request itself is refused
			}
			return struct{}{}, s.refuse(p.direct, e)
		}
		if err == nil || providers.KindOf(err) == providers.Denied {
			s.take(p.direct)
		}
		return struct{}{}, nil // whatever else is wrong the request itself will tell
	})
	return err
}

// doubtAfter is how long it is believed that the host takes a credential, when it
// answers 401 to some requests.
const doubtAfter = time.Minute

// doubt asks again whether the registry takes the credential that it has taken.
func (s *signer) doubt(ctx context.Context, p pass) error {
	if !s.doubtful(p.direct) {
		return nil
	}
	return s.prove(ctx, p)
}

// doubtful reports whether c was not seen to be taken for a while, and forgets
// then that it was.
func (s *signer) doubtful(c shown) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == c.config && time.Since(s.at) < doubtAfter {
		return false
	}
	if s.taken == c.config {
		s.at = time.Time{}
	}
	return true
}

// over shows the registry once more what it has taken before, and reports whether
// it does not take it now.
func (s *signer) over(ctx context.Context, p pass) bool {
	_, err := s.proofs.do(ctx, "over "+p.header, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.r.present(ctx, p)
	})
	return providers.KindOf(err) == providers.Denied
}

// refuse stops asking as c, which the host refused.
func (s *signer) refuse(c shown, e *providers.Error) error {
	if isAnonymous(&c.config) {
		return e
	}
	named := *e
	named.Err = fmt.Errorf("as %s: %w", s.who(c), e.Err)
	return s.stop.stop(&named, c.config)
}

// who is whom c is for.
func (s *signer) who(c shown) providers.Identity {
	if c.held != nil && c.held.Who.Name != "" {
		return c.held.Who
	}
	who := providers.Identity{Name: c.config.Username, From: "the docker configuration"}
	switch {
	case isAnonymous(&c.config):
		who = providers.Identity{Name: providers.Anonymous, From: "no credential is known"}
	case c.held != nil:
		who.From = "the cloud's own sign-in"
	case s.r.opts.Authenticator != nil:
		who.From = "auth in the policy"
	}
	if who.Name == "" {
		who.Name = "the bearer of its token"
	}
	return who
}

func isAnonymous(config *authn.AuthConfig) bool { return *config == authn.AuthConfig{} }

// first lets one ask the token service at a time until it has taken a credential,
// so that a wrong one is shown once and not for every repository, and a service that
// is away is waited for once (see unreached).
func (s *signer) first(ctx context.Context) (release func(), err error) {
	free := func() {}
	if s.tookAny() {
		return free, nil
	}
	select {
	case s.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.tookAny() {
		<-s.gate
		return free, nil
	}
	return func() { <-s.gate }, nil
}

// unreached has those who wait for their turn fail with err, too, if it says that
// the token service is away: each would spend a budget of tries of its own.
func (s *signer) unreached(ctx context.Context, err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || !e.Kind.Retryable() || s.tookAny() || context.Cause(ctx) != nil {
		return err
	}
	return s.stop.stop(e, nil)
}

func (s *signer) tookAny() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.at.IsZero()
}
