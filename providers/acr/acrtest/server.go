package acrtest

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/plane"
)

// Options is how a server is started. The zero value is plain HTTP, with an Entra
// of its own.
type Options struct {
	Entra *Entra // shared with other servers; nil for one of its own
	// Tenant is the tenant of the registry; "" is [Tenant].
	Tenant string
	// Quirks changes what is on by default; so does Wire on the wire.
	Quirks func(*Quirks)
	Wire   func(*registrytest.Quirks)
	// Dir and TLS are registrytest's.
	Dir string
	TLS bool
}

// A Server is one registry on loopback. It is safe for concurrent use.
type Server struct {
	*registrytest.Server // the data plane, whose content can be loaded and looked at

	entra    *Entra
	ownEntra bool
	tenant   string
	once     sync.Once
	calls    plane.Calls[Fault]

	mu      sync.Mutex // never held while the data plane is called
	quirks  Quirks
	roles   map[string][]assignment // by the client's id
	refresh map[string]session
	access  map[string]session
	windows map[string]*window
	repos   map[string]*attributes
	geo     geo

	manager manager
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start an ACR: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{entra: o.Entra, tenant: o.Tenant, quirks: Defaults(), roles: map[string][]assignment{},
		refresh: map[string]session{}, access: map[string]session{}, windows: map[string]*window{},
		repos: map[string]*attributes{}, geo: newGeo()}
	if s.entra == nil {
		s.entra, s.ownEntra = StartEntra(), true
	}
	if s.tenant == "" {
		s.tenant = Tenant
	}
	if o.Quirks != nil {
		o.Quirks(&s.quirks)
	}
	wire := Wire()
	if o.Wire != nil {
		o.Wire(&wire)
	}
	front, err := registrytest.Start(registrytest.Options{Dir: o.Dir, TLS: o.TLS, Quirks: wire, Cloud: registrytest.Cloud{
		Admit: s.admit, Put: s.put, Stored: s.stored, Mount: s.mount, Serve: s.serve}})
	if err != nil {
		return nil, err
	}
	s.Server = front
	return s, nil
}

// Close ends all listeners and connections. It may be called twice.
func (s *Server) Close() {
	s.once.Do(func() {
		s.Server.Close()
		s.manager.close()
		if s.ownEntra {
			s.entra.Close()
		}
	})
}

// Entra is who there is.
func (s *Server) Entra() *Entra { return s.entra }

// Tenant is the tenant that the registry trusts.
func (s *Server) Tenant() string { return s.tenant }

// Configure changes the quirks for requests that arrive from now on, and begins
// all windows of rates anew.
func (s *Server) Configure(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.quirks)
	clear(s.windows)
}

func (s *Server) config() Quirks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quirks
}

// Calls counts the requests that registries of other kinds do not have, whatever
// the answer: "exchange", "token", "catalog", "tags", "manifests", "repository",
// "attributes", "delete".
func (s *Server) Calls() map[string]int64 { return s.calls.Counts() }

// ResetCalls begins those counts anew.
func (s *Server) ResetCalls() { s.calls.Reset() }

// A Fault is one way in which a call fails.
type Fault struct {
	Status        int
	Code, Message string
	RetryAfter    string
}

// Fail makes the next n calls of an operation fail.
func (s *Server) Fail(n int, op string, f Fault) { s.calls.Fail(n, op, f) }

// called counts a call, and returns the fault that it is to have.
func (s *Server) called(op string) *registrytest.Refusal {
	planned := s.calls.Called(op)
	if planned == nil {
		return nil
	}
	f := refuse(planned.Status, planned.Code, planned.Message, nil)
	if planned.RetryAfter != "" {
		f.Header = http.Header{"Retry-After": {planned.RetryAfter}}
	}
	return f
}

// ExpireTokens ends the registry's tokens, as if their time were over: access
// tokens, and with all of them refresh tokens, too.
func (s *Server) ExpireTokens(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
	if all {
		clear(s.refresh)
	}
}

func refuse(status int, code, message string, detail any) *registrytest.Refusal {
	return &registrytest.Refusal{Status: status, Code: code, Message: message, Detail: detail}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

func nameUnknown(repo string) *registrytest.Refusal {
	return refuse(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry",
		map[string]string{"name": fmt.Sprint(repo)})
}
