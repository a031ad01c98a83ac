package gitlabtest

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/plane"
)

// Options is how a server is started. The zero value is plain HTTP.
type Options struct {
	// Quirks changes what is on by default; so does Wire on the wire.
	Quirks func(*Quirks)
	Wire   func(*registrytest.Quirks)
}

// A Server is one GitLab with its container registry. It is safe for concurrent use.
type Server struct {
	*registrytest.Server // the registry, whose content can be loaded and looked at

	api   *plane.API
	jwt   *httputil.ReverseProxy // to the front's token service
	began time.Time
	calls plane.Calls[Fault]

	mu       sync.Mutex // never held while the data plane is called
	quirks   Quirks
	projects []string // in the order of their ids, which begin with 1
	public   map[string]bool
	tokens   map[string]token // by their text
	tagged   map[string]stamps
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start a GitLab: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{quirks: Defaults(), began: time.Now(), public: map[string]bool{}, tokens: map[string]token{},
		tagged: map[string]stamps{}}
	if o.Quirks != nil {
		o.Quirks(&s.quirks)
	}
	wire := Wire()
	if o.Wire != nil {
		o.Wire(&wire)
	}
	front, err := registrytest.Start(registrytest.Options{Quirks: wire, Cloud: registrytest.Cloud{
		Put: s.put, Stored: s.stored, Route: route, Answer: s.answer, Serve: serveOther}})
	if err != nil {
		return nil, err
	}
	s.Server = front
	if err := s.open(); err != nil {
		front.Close()
		return nil, err
	}
	s.grant()
	return s, nil
}

// open opens GitLab itself, where the registry sends clients for their tokens.
func (s *Server) open() error {
	service, err := url.Parse(s.TokenURL())
	if err != nil {
		return err
	}
	s.jwt = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path = service.Scheme, service.Host, service.Path
	}}
	if s.api, err = plane.Serve(s.Server, s.serve); err != nil {
		return err
	}
	s.Set(func(q *registrytest.Quirks) { q.Realm = s.api.URL() + tokenPath })
	return nil
}

// Close ends all listeners and connections. It may be called twice.
func (s *Server) Close() {
	s.api.Close()
	s.Server.Close()
}

// GitLab is GitLab's own host:port: that of the REST API and of the token service.
func (s *Server) GitLab() string { return s.api.Host() }

// Configure changes the quirks for requests that arrive from now on.
func (s *Server) Configure(change func(*Quirks)) {
	s.mu.Lock()
	change(&s.quirks)
	s.mu.Unlock()
	s.grant()
}

func (s *Server) config() Quirks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quirks
}

// Calls counts the requests that other registries do not have, whatever the answer:
// "token", "group", "project" at GitLab, "tags" and "check" of the registry's own API.
func (s *Server) Calls() map[string]int64 { return s.calls.Counts() }

// ResetCalls begins those counts anew.
func (s *Server) ResetCalls() { s.calls.Reset() }

// A Fault is one way in which a call fails.
type Fault struct {
	Status     int
	JSON       string // the answer's body
	RetryAfter string
}

// Fail makes the next n calls of a kind fail.
func (s *Server) Fail(n int, op string, f Fault) { s.calls.Fail(n, op, f) }

// called counts a call, answers it with its fault, if it is to have one, and
// reports whether it did.
func (s *Server) called(w http.ResponseWriter, op string) bool {
	f := s.calls.Called(op)
	if f == nil {
		return false
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	send(w, f.Status, f.JSON)
	return true
}

func send(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that went away is its own business
}
