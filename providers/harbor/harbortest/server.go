package harbortest

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers"
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

// Quirks is how Harbor behaves beyond the wire; those of the wire are
// registrytest's, see [Wire]. They can be changed while the server runs.
type Quirks struct {
	// TokenLife is how long a token is good.
	TokenLife time.Duration
	// TokensMiss has the token service answer 404 to a scope in a project that is not
	// there, instead of granting nothing (UNVERIFIED which versions do).
	TokensMiss bool
	// ReadOnly refuses every write.
	ReadOnly bool
	// Unknown answers UNKNOWN and status 500 for a manifest that is not there: 2.10.2.
	Unknown bool
	// Version is told to whoever has an account.
	Version string
	// PageMost is the largest page of the API.
	PageMost int
	// NoLink leaves Link and X-Total-Count out, as a proxy may.
	NoLink bool
	// NoAPI answers 404 to all of the API, as behind a proxy that passes /v2/ only.
	NoAPI bool
}

// Defaults are Harbor's quirks.
func Defaults() Quirks {
	return Quirks{TokenLife: 30 * time.Minute, PageMost: 100, Version: "v2.13.1-9f3b4c1e"}
}

// Wire are the wire quirks that Harbor always has.
func Wire() registrytest.Quirks {
	return registrytest.Quirks{
		Manifests: registrytest.Manifests{NoIfMatch: true},
		Uploads:   registrytest.Uploads{Location: registrytest.Absolute},
	}
}

// A Project is where repositories are.
type Project struct {
	Public       bool
	Proxy        bool // a proxy cache of another registry
	Full         bool // its quota is used up
	HoldsBack    bool // its policy lets nobody pull what is vulnerable: everything
	StorageLimit int64
}

// A Server is one Harbor. It is safe for concurrent use.
type Server struct {
	*registrytest.Server // the data plane, whose content can be loaded and looked at

	issuer registrytest.Issuer
	calls  plane.Calls[registrytest.Refusal]

	mu          sync.Mutex // never held while the data plane is called
	quirks      Quirks
	projects    map[string]Project
	accounts    map[string]*account
	tagged      map[string]time.Time // by repository:tag
	accessories map[string][]accessory
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{quirks: Defaults(), projects: map[string]Project{}, accounts: map[string]*account{}, tagged: map[string]time.Time{},
		accessories: map[string][]accessory{}}
	if o.Quirks != nil {
		o.Quirks(&s.quirks)
	}
	wire := Wire()
	if o.Wire != nil {
		o.Wire(&wire)
	}
	front, err := registrytest.Start(registrytest.Options{TLS: o.TLS, Quirks: wire, Cloud: registrytest.Cloud{
		Admit: s.admit, Stored: s.stored, Serve: s.serve, Answer: s.answer}})
	if err != nil {
		t.Fatalf("start a Harbor: %v", err)
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

// Project makes a project, or changes it.
func (s *Server) Project(name string, p Project) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.projects[name] = p
}

// Delete deletes a project, with what is in it as far as anybody is shown.
func (s *Server) Delete(project string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.projects, project)
}

// Projects are those that there are.
func (s *Server) Projects() map[string]Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.projects)
}

func (s *Server) project(name string) (Project, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.projects[name]
	return p, ok
}

func (s *Server) there(project string) bool {
	_, ok := s.project(project)
	return ok
}

func projectOf(repo string) string {
	name, _, _ := strings.Cut(repo, "/")
	return name
}

// ExpireTokens ends every token.
func (s *Server) ExpireTokens() { s.issuer.Expire() }

// SetTagged says in lists when a tag was put.
func (s *Server) SetTagged(repo, tag string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tagged[repo+":"+tag] = at
}

// Calls counts the requests that registries of other kinds do not have, whatever
// the answer: "token", "artifacts", "repositories", "project", "find project",
// "make project", "system info".
func (s *Server) Calls() map[string]int64 { return s.calls.Counts() }

// Fail makes the next n calls of an operation fail.
func (s *Server) Fail(n int, op string, f registrytest.Refusal) { s.calls.Fail(n, op, f) }

// An accessory is a manifest that refers to another, as Harbor keeps it.
type accessory struct {
	Digest  string `json:"digest"`
	Subject string `json:"-"`
	Type    string `json:"type"`
	Size    int64  `json:"size"`
}

// Attach makes what refers to something an accessory of it, as a push does: for
// content that was loaded. It is called by pushes, too.
func (s *Server) Attach(repo string) {
	var all []accessory
	for _, digest := range s.Manifests(repo) {
		if a, ok := s.accessoryOf(repo, digest); ok {
			all = append(all, a)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessories[repo] = all
}

// accessoryOf tells what a manifest is an accessory of: of its subject, or of what
// cosign's tag names. Harbor looks for the subject of such a tag when it is pushed.
func (s *Server) accessoryOf(repo, digest string) (accessory, bool) {
	image, ok := s.Image(repo, digest)
	if !ok {
		return accessory{}, false
	}
	a := accessory{Digest: digest, Type: "subject.accessory", Size: int64(len(image.Raw))}
	if image.Content.Subject != nil {
		a.Subject = image.Content.Subject.Digest.String()
		if strings.Contains(image.Content.ArtifactType, "cosign") {
			a.Type = "signature.cosign"
		}
		return a, true
	}
	for _, tag := range image.Tags {
		if subject, suffix, ok := providers.ReferrerTag(tag); ok && suffix == ".sig" {
			if _, there := s.Image(repo, subject.String()); there {
				a.Subject, a.Type = subject.String(), "signature.cosign"
				return a, true
			}
		}
	}
	return accessory{}, false
}

func (s *Server) stored(p registrytest.Putting) {
	s.mu.Lock()
	if p.Tag != "" && p.Present != p.Digest {
		s.tagged[p.Repo+":"+p.Tag] = time.Now()
	}
	s.mu.Unlock()
	a, ok := s.accessoryOf(p.Repo, p.Digest)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.accessories[p.Repo] {
		if have.Digest == a.Digest {
			return
		}
	}
	s.accessories[p.Repo] = append(s.accessories[p.Repo], a)
}

func refuse(status int, code, format string, args ...any) *registrytest.Refusal {
	return &registrytest.Refusal{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func challenge(f *registrytest.Refusal, value string) *registrytest.Refusal {
	f.Header = http.Header{"Www-Authenticate": {value}}
	return f
}
