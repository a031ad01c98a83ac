package ghcrtest

import (
	"maps"
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

// Quirks is how GitHub behaves beyond the wire, as data. They can be changed while
// the server runs.
type Quirks struct {
	// PageMax is the largest page of the API.
	PageMax int
	// Hourly is how many requests to the API one user has in an hour; 0 is no bound.
	Hourly int
	// Secondary has the API ask for fewer requests at once, by a 403 as for a token that
	// may not.
	Secondary bool
	// ChunkMost is the largest body in bytes with a Content-Range that is taken.
	ChunkMost int64
	// NextHost has the API's Link lead to another host, which GitHub never does.
	NextHost string
}

// Defaults are GitHub's.
func Defaults() Quirks { return Quirks{PageMax: 100, Hourly: 5000, ChunkMost: 4 << 20} }

// Wire are the wire quirks that ghcr.io always has.
func Wire() registrytest.Quirks {
	return registrytest.Quirks{
		Auth:      registrytest.Auth{Mode: registrytest.Bearer, Users: map[string]string{}, Grants: map[string][]registrytest.Grant{}},
		Listing:   registrytest.Listing{NoCatalog: true, PageDefault: 100, PageMax: 1000},
		Manifests: registrytest.Manifests{NoReferrers: true, NoIfMatch: true},
		Blobs:     registrytest.Blobs{Redirect: true, AzureStorage: true},
		Uploads:   registrytest.Uploads{Location: registrytest.Relative, Deadline: 10 * time.Minute},
	}
}

// A Server is ghcr.io and api.github.com. It is safe for concurrent use.
type Server struct {
	*registrytest.Server // ghcr.io, whose content can be loaded and looked at

	api   *plane.API
	calls plane.Calls[struct{}]

	mu     sync.Mutex // never held while the front is called
	quirks Quirks
	tokens map[string]Token  // by their text
	owners map[string]string // "orgs" or "users"
	spent  map[string]int    // requests to the API, by user
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start a GHCR: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{quirks: Defaults(), tokens: map[string]Token{}, owners: map[string]string{}, spent: map[string]int{}}
	if o.Quirks != nil {
		o.Quirks(&s.quirks)
	}
	wire := Wire()
	if o.Wire != nil {
		o.Wire(&wire)
	}
	front, err := registrytest.Start(registrytest.Options{Dir: o.Dir, Quirks: wire, Cloud: registrytest.Cloud{Admit: s.admit, Token: s.token}})
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

// API is the host:port of the packages API. As a GitHub of one's own it has it below
// /api/v3.
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

// Calls counts the API's requests, whatever the answer: "packages", "versions".
func (s *Server) Calls() map[string]int64 { return s.calls.Counts() }

// Organization says that an owner is one; others are users.
func (s *Server) Organization(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[owner] = "orgs"
}

// A Token is what somebody has to show.
type Token struct {
	User string
	Text string // ghp_…, ghs_…, github_pat_…
	// Scopes are read:packages, write:packages, delete:packages.
	Scopes []string
	// NoAPI has the packages API answer 404, as it does to a GITHUB_TOKEN for
	// packages that its repository does not own.
	NoAPI bool
}

func (t Token) may(scope string) bool {
	for _, have := range t.Scopes {
		if have == scope || scope == "read:packages" && have == "write:packages" {
			return true
		}
	}
	return false
}

// Add lets a token be used from now on.
func (s *Server) Add(t Token) Token {
	s.mu.Lock()
	s.tokens[t.Text] = t
	s.mu.Unlock()
	var actions []string
	if t.may("read:packages") {
		actions = append(actions, "pull")
	}
	if t.may("write:packages") {
		actions = append(actions, "push")
	}
	s.Set(func(q *registrytest.Quirks) {
		users, grants := maps.Clone(q.Users), maps.Clone(q.Grants)
		users[t.User], grants[t.User] = t.Text, []registrytest.Grant{{Repositories: "**", Actions: actions}}
		q.Users, q.Grants = users, grants
	})
	return t
}

// Classic adds a personal access token (classic) with these scopes.
func (s *Server) Classic(user string, scopes ...string) Token {
	return s.Add(Token{User: user, Text: "ghp_" + strings.Repeat("x", 30) + user, Scopes: scopes})
}
