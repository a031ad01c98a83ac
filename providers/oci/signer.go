package oci

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// A signer knows how the host wants its requests signed, and signs them.
type signer struct {
	r      *Registry
	auth   authn.Authenticator
	keep   *keeper // of Options.SignIn, nil without
	stop   stopper
	pings  flights[challenge]
	proofs flights[struct{}]
	tokens tokens
	gate   chan struct{} // holds one while no credential has been taken yet
	bare   bool          // an API's: no challenge, no token service, no proof

	mu    sync.Mutex
	known bool
	how   challenge
	taken authn.AuthConfig // the credential that the host has taken
	at    time.Time        // when it was last seen to
}

// keychainLife is how long what a keychain said is believed; helpers run a process.
const keychainLife = 5 * time.Minute

func newSigner(r *Registry) (*signer, error) {
	s := &signer{r: r, auth: r.opts.Authenticator, gate: make(chan struct{}, 1)}
	s.tokens.s = s
	s.tokens.lots.most, s.tokens.lots.entry = r.opts.TokenRepositories, entryOf(append(r.opts.withPull(), "pull")...)
	if r.opts.SignIn != nil {
		s.keep = &keeper{fetch: s.signIn}
	}
	if s.auth == nil && r.opts.Keychain != nil {
		var err error
		s.auth, err = authn.RefreshingKeychain(r.opts.Keychain, keychainLife).Resolve(r.reg)
		if err != nil {
			return nil, err
		}
	}
	if s.auth == nil {
		s.auth = authn.Anonymous
	}
	return s, nil
}

func (s *signer) close() {
	s.pings.wait()
	s.proofs.wait()
	s.tokens.fetches.wait()
	if s.keep != nil {
		s.keep.fetches.wait()
	}
}

// A pass is what signs one request.
type pass struct {
	header string // Authorization, "" for none
	token  *bearer
	direct shown // the credential, where header is made of nothing else
}

// pass returns the pass for requests that need want. Its errors are not worth a
// second try: the requests behind it have had theirs.
func (s *signer) pass(ctx context.Context, want scopes) (pass, error) {
	if s.bare {
		return s.asItIs(ctx)
	}
	how, err := s.challenge(ctx)
	if err != nil || how.scheme == "" {
		return pass{}, err
	}
	c, err := s.credential(ctx)
	if err != nil {
		return pass{}, err
	}
	switch {
	case how.scheme == "basic":
		return s.direct(ctx, c, basicHeader(&c.config))
	case c.config.RegistryToken != "":
		return s.direct(ctx, c, "Bearer "+c.config.RegistryToken)
	}
	t, err := s.tokens.get(ctx, how, want)
	if err != nil {
		return pass{}, err
	}
	return pass{header: "Bearer " + t.value, token: t}, nil
}

// asItIs is a pass of the credential itself, which nobody has asked for.
func (s *signer) asItIs(ctx context.Context) (pass, error) {
	c, err := s.credential(ctx)
	if err != nil {
		return pass{}, err
	}
	if c.config.RegistryToken != "" {
		return pass{header: "Bearer " + c.config.RegistryToken, direct: c}, nil
	}
	return pass{header: basicHeader(&c.config), direct: c}, nil
}

// accepted notes that an API has taken a credential that it was shown without being
// asked before: it is renewed once it is refused, however young it is.
func (s *signer) accepted(p pass) {
	if h := p.direct.held; s.bare && h != nil {
		h.accepted.Store(true)
	}
}

// direct is a pass of the credential itself, which the host has seen once before
// anything else is asked.
func (s *signer) direct(ctx context.Context, c shown, header string) (pass, error) {
	p := pass{header: header, direct: c}
	if header == "" || s.took(c) || c.held == nil && c.config.RegistryToken != "" {
		return p, nil
	}
	return p, s.prove(ctx, p)
}

// renew answers a refusal of used: it returns a pass that may do better, ok is
// false if there is none.
func (s *signer) renew(ctx context.Context, want scopes, used pass, h http.Header) (_ pass, ok bool, err error) {
	how, found := findChallenge(h)
	switch {
	case used.token != nil && !found:
		return pass{}, false, nil
	case used.token != nil:
		if len(used.token.asked) == len(want) && used.token.deniedTo(want) {
			return pass{}, false, nil // another one would say the same
		}
		s.tokens.drop(used.token, want)
	case used.direct.held != nil:
		if !s.keep.refused(used.direct.held) {
			return pass{}, false, nil
		}
	case used.header != "":
		if err := s.doubt(ctx, used); err != nil {
			return pass{}, false, err
		}
	}
	if found {
		s.learn(how)
	}
	if more := parseScopes(how.params["scope"]); len(more) <= maxChallengeScopes {
		want = want.with(more)
	}
	again, err := s.pass(ctx, want)
	return again, again.header != "" && again.header != used.header, err
}

// maxChallengeScopes bounds the accesses that a host can make us ask for.
const maxChallengeScopes = 8

func (s *signer) learn(how challenge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.how, s.known = how, true
}

// challenge asks the host once how it wants to be asked.
func (s *signer) challenge(ctx context.Context) (challenge, error) {
	s.mu.Lock()
	how, known := s.how, s.known
	s.mu.Unlock()
	if known {
		return how, nil
	}
	return s.pings.do(ctx, "", func(ctx context.Context) (challenge, error) {
		how, err := s.r.ping(ctx)
		if err == nil {
			s.learn(how)
		}
		return how, err
	})
}

// ping is GET /v2/ (distribution-spec v1.1, "Determining Support").
func (r *Registry) ping(ctx context.Context) (how challenge, err error) {
	c := &call{op: "reach registry", class: limit.Read, method: http.MethodGet, url: r.url("", nil),
		unsigned: true, trace: "ping", good: []int{http.StatusOK, http.StatusUnauthorized,
			http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed}}
	err = r.retry(ctx, func() error {
		resp, err := r.send(ctx, c)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized && r.isOwn(resp.Request.URL) {
			how, _ = findChallenge(resp.Header)
			def(&how.scheme, "basic")
		}
		return nil
	})
	return how, err
}

func basicHeader(cred *authn.AuthConfig) string {
	switch {
	case cred.Auth != "":
		return "Basic " + cred.Auth
	case cred.Username == "" && cred.Password == "":
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(cred.Username+":"+cred.Password))
}

// unsignable is the error of a call for which there is no pass.
func (r *Registry) unsignable(c *call, err error) error {
	inner, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return err // the end of a context
	}
	e := *inner
	e.Op, e.Ref = c.op, r.where(c.repo, c.ref)
	e.Err = &final{fmt.Errorf("%s: %w", inner.Op, inner.Err)}
	return &e
}
