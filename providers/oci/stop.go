package oci

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/transship/transship/providers"
)

const (
	stopFirst = time.Minute      // how long an identity that was refused is not tried
	stopMost  = 15 * time.Minute // after it was refused again and again
	pauseFor  = 5 * time.Second  // how long nobody is asked who could not be reached, if they ask for no longer
)

// A stopper keeps an identity that is refused from knocking for every request:
// all of them fail with one error for a minute, and for longer each time that
// the identity is then refused again.
type stopper struct {
	mu    sync.Mutex
	err   error
	by    any // the credential that was refused; another one is tried at once
	until time.Time
	wait  time.Duration
}

// check returns the error for which nothing is asked now, nil to go on. by is the
// credential at hand, nil where it is yet to be fetched.
func (s *stopper) check(by any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil || !time.Now().Before(s.until) || by != nil && s.by != nil && by != s.by {
		return nil
	}
	return s.err
}

// stop keeps err for a while and returns it as those will see it who come now.
// Those who were on their way when it was refused get the first one's.
func (s *stopper) stop(err *providers.Error, by any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil && time.Now().Before(s.until) && s.by == by {
		return s.err
	}
	s.wait = min(max(2*s.wait, stopFirst), stopMost)
	wait := s.wait
	if err.Kind != providers.Denied {
		wait, s.wait = min(max(pauseFor, err.After), stopMost), 0
	}
	s.err, s.by, s.until = err, by, time.Now().Add(wait)
	return s.err
}

// good forgets: the identity was taken.
func (s *stopper) good() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.by, s.wait = nil, nil, 0
}

// refusesIdentity reports whether err says that the credential itself is wrong,
// whatever it was asked for.
func refusesIdentity(err error) (*providers.Error, bool) {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Denied {
		return e, false
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return e, true
	case http.StatusBadRequest:
		return e, e.Op == opToken
	case http.StatusForbidden:
		return e, e.Op == opToken && saysOver(e.Err.Error())
	}
	return e, false
}

// saysOver recognizes how ECR, at its registry, and ECR Public, at its token service,
// say that a credential is over: by 403.
func saysOver(message string) bool {
	return strings.Contains(strings.ToLower(message), "token has expired")
}
