package ecrtest

import (
	"cmp"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/plane"
)

// Options is how a server is started. The zero value is account 123456789012 in
// eu-west-1, with an IAM of its own.
type Options struct {
	Account string
	Region  string
	IAM     *IAM // shared with other servers; nil for one of its own
	// Quirks changes what is on by default; so does Wire on the wire.
	Quirks func(*Quirks)
	Wire   func(*registrytest.Quirks)
	// Dir and TLS are registrytest's; the control plane is plain HTTP.
	Dir string
	TLS bool
}

// A Server is one account's ECR in one region, on loopback. It is safe for
// concurrent use.
type Server struct {
	*registrytest.Server // the data plane, whose content can be loaded and looked at

	account, region string
	iam             *IAM
	api             *plane.API
	beside          []Service
	calls           plane.Calls[Fault]

	mu        sync.Mutex // never held while the data plane is called
	quirks    Quirks
	buckets   map[string]*bucket
	repos     map[string]*repository
	templates map[string]template
	settings  map[string]string // of the account
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start an ECR: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{account: cmp.Or(o.Account, "123456789012"), region: cmp.Or(o.Region, "eu-west-1"), iam: o.IAM,
		quirks: Defaults(), buckets: map[string]*bucket{}, repos: map[string]*repository{}, templates: map[string]template{},
		settings: map[string]string{blobMounting: "DISABLED"}}
	if s.iam == nil {
		s.iam = NewIAM()
	}
	if o.Quirks != nil {
		o.Quirks(&s.quirks)
	}
	wire := Wire()
	if o.Wire != nil {
		o.Wire(&wire)
	}
	front, err := registrytest.Start(registrytest.Options{Dir: o.Dir, TLS: o.TLS, Quirks: wire,
		Cloud: registrytest.Cloud{Admit: s.admit, Put: s.put, Mount: s.mount}})
	if err != nil {
		return nil, err
	}
	s.Server = front
	if s.api, err = plane.Serve(front, s.serve); err != nil {
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

// Endpoint is the URL of the control plane: ECR's, STS's, and that of Pod
// Identity at [Server.PodIdentityURL].
func (s *Server) Endpoint() string { return s.api.URL() }

// ControlPlane serves what Endpoint does, for clients without a socket.
func (s *Server) ControlPlane() http.Handler { return http.HandlerFunc(s.serve) }

// Account is the account's number, Region its region.
func (s *Server) Account() string { return s.account }

// Region is the region's name.
func (s *Server) Region() string { return s.region }

// IAM is who there is.
func (s *Server) IAM() *IAM { return s.iam }

// Configure changes the quirks for requests that arrive from now on.
func (s *Server) Configure(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.quirks
	q.Rates = maps.Clone(q.Rates)
	change(&q)
	s.quirks, s.buckets = q, map[string]*bucket{}
}

func (s *Server) config() Quirks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quirks
}

func (s *Server) now() time.Time { return time.Now().Add(s.config().ClockOffset) }

// Calls counts the calls to the control plane by operation, whatever the answer:
// "DescribeImages", "GetAuthorizationToken", "AssumeRole" and so on;
// "PodIdentity" is the credential endpoint.
func (s *Server) Calls() map[string]int64 { return s.calls.Counts() }

// ResetCalls begins those counts anew.
func (s *Server) ResetCalls() { s.calls.Reset() }

// A Fault is one way in which a call to the control plane fails.
type Fault struct {
	Status  int // 400 if 0
	Code    string
	Message string
	Header  bool // the code is in X-Amzn-ErrorType only, with a suffix
	Prefix  bool // the code has a namespace
}

// Fail makes the next n calls of an operation fail.
func (s *Server) Fail(n int, op string, f Fault) { s.calls.Fail(n, op, f) }
