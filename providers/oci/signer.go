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
	pings  flights[challenge]
	tokens tokens

	mu    sync.Mutex
	known bool
	how   challenge
}

// keychainLife is how long what a keychain said is believed; helpers run a process.
const keychainLife = 5 * time.Minute

func newSigner(r *Registry) (*signer, error) {
	s := &signer{r: r, auth: r.opts.Authenticator}
	s.tokens.s = s
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
	s.tokens.fetches.wait()
}

// A pass is what signs one request.
type pass struct {
	header string // Authorization, "" for none
	token  *bearer
}

// pass returns the pass for requests that need want. Its errors are not worth a
// second try: the requests behind it have had theirs.
func (s *signer) pass(ctx context.Context, want scopes) (pass, error) {
	how, err := s.challenge(ctx)
	if err != nil {
		return pass{}, err
	}
	switch how.scheme {
	case "basic":
		cred, err := s.credential(ctx)
		if err != nil {
			return pass{}, err
		}
		return pass{header: basicHeader(cred)}, nil
	case "bearer":
		t, err := s.tokens.get(ctx, how, want)
		if err != nil {
			return pass{}, err
		}
		return pass{header: "Bearer " + t.value, token: t}, nil
	}
	return pass{}, nil
}

// renew answers a 401: it returns a pass that may do better than the one used,
// ok is false if there is none.
func (s *signer) renew(ctx context.Context, want scopes, used pass, h http.Header) (_ pass, ok bool, err error) {
	how, found := findChallenge(h)
	if !found {
		return pass{}, false, nil
	}
	if used.token != nil {
		if len(used.token.asked) == len(want) && used.token.deniedTo(want) {
			return pass{}, false, nil // another one would say the same
		}
		s.tokens.drop(used.token, want)
	}
	s.learn(how)
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

func (s *signer) credential(ctx context.Context) (*authn.AuthConfig, error) {
	cred, err := authn.Authorization(ctx, s.auth)
	if err == nil && cred != nil {
		return cred, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err == nil {
		return &authn.AuthConfig{}, nil
	}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return nil, e
	}
	return nil, &providers.Error{Kind: providers.Denied, Op: "find credentials", Ref: s.r.Host(),
		Hint: s.r.opts.credentialHint(), Err: errors.New(sanitize(err.Error()))}
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
