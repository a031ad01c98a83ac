package dockerhubtest

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/plane"
)

// Options is how a server is started. The zero value is plain HTTP.
type Options struct {
	Quirks func(*Quirks)              // changes what is on by default
	Wire   func(*registrytest.Quirks) // so does this on the wire
	Dir    string                     // registrytest's
}

// Quirks is how Docker Hub behaves beyond the wire, as data. They can be changed
// while the server runs.
type Quirks struct {
	// PageMax is the largest page of the API.
	PageMax int
	// Pulls is how many manifests somebody may get in Window; 0 is no bound, and
	// then no answer tells of one.
	Pulls  int
	Window time.Duration
	// RetryAfter is sent with the 429 of somebody who has no pull left.
	RetryAfter string
	// Digestless are tags that the API lists without a digest, as it does old ones.
	Digestless map[string]bool
	// NextHost has the API's next lead to another host, which Docker's never does.
	NextHost string
	// Closed are the namespaces of which the API tells nothing.
	Closed map[string]bool
	// NoLogin has the API refuse every login.
	NoLogin bool
}

// Defaults are Docker's, for somebody who has not paid.
func Defaults() Quirks { return Quirks{PageMax: 100, Pulls: 200, Window: 6 * time.Hour} }

// Wire are the wire quirks that Docker Hub always has.
func Wire() registrytest.Quirks {
	return registrytest.Quirks{
		Auth: registrytest.Auth{Mode: registrytest.Bearer, AnonymousPull: true,
			Users: map[string]string{}, Grants: map[string][]registrytest.Grant{}},
		Listing:   registrytest.Listing{NoCatalog: true, CatalogStatus: http.StatusUnauthorized},
		Manifests: registrytest.Manifests{NoIfMatch: true},
		Blobs:     registrytest.Blobs{Redirect: true},
	}
}

// A Server is registry-1.docker.io and hub.docker.com. It is safe for concurrent use.
type Server struct {
	*registrytest.Server // the registry, whose content can be loaded and looked at

	api   *plane.API
	calls plane.Calls[struct{}]

	mu       sync.Mutex // never held while the front is called
	quirks   Quirks
	accounts map[string]account
	tokens   map[string]login // of the API, by their text
	pulls    map[string]*window
	n        int // of logins
}

// A window is what somebody has pulled since its begin.
type window struct {
	begun time.Time
	used  int
}

type account struct{ password, namespace string }

type login struct {
	user string
	ends time.Time
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start a Docker Hub: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{quirks: Defaults(), accounts: map[string]account{}, tokens: map[string]login{}, pulls: map[string]*window{}}
	if o.Quirks != nil {
		o.Quirks(&s.quirks)
	}
	wire := Wire()
	if o.Wire != nil {
		o.Wire(&wire)
	}
	front, err := registrytest.Start(registrytest.Options{Dir: o.Dir, Quirks: wire,
		Cloud: registrytest.Cloud{Admit: s.admit, Answer: s.answer}})
	if err != nil {
		return nil, err
	}
	s.Server = front
	if s.api, err = plane.Serve(front, s.serveAPI); err != nil {
		front.Close()
		return nil, err
	}
	return s, nil
}

// Close ends all listeners and connections. It may be called twice.
func (s *Server) Close() {
	s.api.Close()
	s.Server.Close()
}

// API is the host:port of the Hub API.
func (s *Server) API() string { return s.api.Host() }

// Configure changes the quirks for requests that arrive from now on.
func (s *Server) Configure(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.quirks)
}

func (s *Server) config() Quirks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quirks
}

// Calls counts the API's requests, whatever the answer: "login", "repositories", "tags".
func (s *Server) Calls() map[string]int64 { return s.calls.Counts() }

// Account lets somebody in, who may pull and push in a namespace, or only pull.
// The password is an access token; it is returned.
func (s *Server) Account(user, namespace string, push bool) (password string) {
	password = "dckr_pat_" + strings.Repeat("x", 20) + user
	actions := []string{"pull"}
	if push {
		actions = append(actions, "push")
	}
	s.mu.Lock()
	s.accounts[user] = account{password, namespace}
	s.mu.Unlock()
	s.Set(func(q *registrytest.Quirks) {
		users, grants := maps.Clone(q.Users), maps.Clone(q.Grants)
		users[user], grants[user] = password, []registrytest.Grant{{Repositories: namespace + "/*", Actions: actions}}
		q.Users, q.Grants = users, grants
	})
	return password
}

// Spend has somebody else of an account, or of the address where user is "", pull
// n manifests.
func (s *Server) Spend(user string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window(user).used += n
}

// Pulled is how many manifests somebody has pulled in this window.
func (s *Server) Pulled(user string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window(user).used
}

// PassTime has d gone by for everybody's windows.
func (s *Server) PassTime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.pulls {
		w.begun = w.begun.Add(-d)
	}
}

// window is the one in which user pulls now. The lock is held.
func (s *Server) window(user string) *window {
	w := s.pulls[user]
	if now := time.Now(); w == nil || now.Sub(w.begun) >= s.quirks.Window {
		w = &window{begun: now}
		s.pulls[user] = w
	}
	return w
}
