package quaytest

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/plane"
)

// Options is how a server is started. The zero value is plain HTTP.
type Options struct {
	// Quirks changes what is on by default; so does Wire on the wire.
	Quirks func(*Quirks)
	Wire   func(*registrytest.Quirks)
	TLS    bool
}

// Quirks is how Quay behaves beyond the wire; those of the wire are registrytest's,
// see [Wire]. They can be changed while the server runs.
type Quirks struct {
	// TokenLife is how long a token is good.
	TokenLife time.Duration
	// UntaggedLife is how long what was pushed by its digest alone stays
	// (PUSH_TEMP_TAG_EXPIRATION_SEC).
	UntaggedLife time.Duration
	// ReadOnly refuses every write, as during maintenance.
	ReadOnly bool
	// Disabled are namespaces that are switched off, Full those whose quota is used up.
	Disabled, Full map[string]bool
	// ReadOnlyRepos are repositories in the state READ_ONLY or MIRROR: nobody gets push.
	ReadOnlyRepos map[string]bool
	// Page is how many repositories the API lists at once.
	Page int
	// Digests are what lists say of tags instead of their digests.
	Digests map[string]string
	// Endless has every page of repositories name another one.
	Endless bool
	// NoAPI answers 404 to all of the API, as behind a proxy that passes /v2/ only.
	NoAPI bool
}

// Defaults are Quay's quirks.
func Defaults() Quirks {
	return Quirks{TokenLife: time.Hour, UntaggedLife: time.Hour, Page: 100}
}

// Wire are the wire quirks that Quay always has.
func Wire() registrytest.Quirks {
	return registrytest.Quirks{
		Listing:   registrytest.Listing{PageDefault: 100, PageMax: 100, AbsoluteLink: true},
		Manifests: registrytest.Manifests{Schema1: true, SparseIndex: true, NoIfMatch: true, Immutable: registrytest.Mutable},
		Blobs:     registrytest.Blobs{Redirect: true},
		Uploads:   registrytest.Uploads{Location: registrytest.Absolute},
	}
}

// A Server is one Quay. It is safe for concurrent use.
type Server struct {
	*registrytest.Server // the data plane, whose content can be loaded and looked at

	issuer registrytest.Issuer
	calls  plane.Calls[registrytest.Refusal]

	mu       sync.Mutex // never held while the data plane is called
	quirks   Quirks
	now      time.Time
	accounts map[string]*account
	apps     map[string]string               // OAuth token -> account
	public   map[string]bool                 // repositories
	tags     map[string]map[string]time.Time // when they were put
	ends     map[string]map[string]time.Time // when they end, of those that do
	puts     map[string]time.Time            // manifests, by repository@digest
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{quirks: Defaults(), now: time.Now(), accounts: map[string]*account{}, apps: map[string]string{}, public: map[string]bool{},
		tags: map[string]map[string]time.Time{}, ends: map[string]map[string]time.Time{}, puts: map[string]time.Time{},
	}
	if o.Quirks != nil {
		o.Quirks(&s.quirks)
	}
	wire := Wire()
	if o.Wire != nil {
		o.Wire(&wire)
	}
	front, err := registrytest.Start(registrytest.Options{TLS: o.TLS, Quirks: wire, Cloud: registrytest.Cloud{
		Admit: s.admit, Mount: s.mount, Stored: s.stored, Serve: s.serve, Answer: s.answerReferrers}})
	if err != nil {
		t.Fatalf("start a Quay: %v", err)
	}
	t.Cleanup(front.Close)
	s.Server = front
	return s
}

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

// Later turns the clock, and drops what has ended by then in every repository.
func (s *Server) Later(d time.Duration) {
	s.mu.Lock()
	s.now = s.now.Add(d)
	now, life, puts := s.now, s.quirks.UntaggedLife, maps.Clone(s.puts)
	s.mu.Unlock()
	for _, repo := range s.Repositories() {
		s.Expire(repo, func(h v1.Hash) bool {
			at, put := puts[repo+"@"+h.String()]
			return put && now.Sub(at) > life
		})
	}
}

// Now is the server's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Publish lets anyone read a repository.
func (s *Server) Publish(repo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.public[repo] = true
}

// EndTag says in lists when a tag ends, and SetTagged when it was put.
func (s *Server) EndTag(repo, tag string, at time.Time) { s.setTime(s.ends, repo, tag, at) }

// SetTagged says in lists when a tag was put.
func (s *Server) SetTagged(repo, tag string, at time.Time) { s.setTime(s.tags, repo, tag, at) }

func (s *Server) setTime(in map[string]map[string]time.Time, repo, tag string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in[repo] == nil {
		in[repo] = map[string]time.Time{}
	}
	in[repo][tag] = at
}

// ExpireTokens ends every token.
func (s *Server) ExpireTokens() { s.issuer.Expire() }

// Calls counts the requests that registries of other kinds do not have, whatever
// the answer: "token", "repositories", "tags".
func (s *Server) Calls() map[string]int64 { return s.calls.Counts() }

// Fail makes the next n calls of an operation fail.
func (s *Server) Fail(n int, op string, f registrytest.Refusal) { s.calls.Fail(n, op, f) }

// stored notes when a manifest and its tag were put.
func (s *Server) stored(p registrytest.Putting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts[p.Repo+"@"+p.Digest] = s.now
	if p.Tag != "" && p.Present != p.Digest {
		if s.tags[p.Repo] == nil {
			s.tags[p.Repo] = map[string]time.Time{}
		}
		s.tags[p.Repo][p.Tag] = s.now
	}
}

func namespaceOf(repo string) string {
	ns, _, _ := strings.Cut(repo, "/")
	return ns
}

func refuse(status int, code, format string, args ...any) *registrytest.Refusal {
	return &registrytest.Refusal{Status: status, Code: code, Message: fmt.Sprintf(format, args...), Detail: map[string]any{}}
}

func header(name, value string) http.Header { return http.Header{name: {value}} }
