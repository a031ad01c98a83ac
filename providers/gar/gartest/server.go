package gartest

import (
	"cmp"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/plane"
)

// Options is how a server is started. The zero value is europe-west1, with an IAM
// of its own.
type Options struct {
	Location string
	// GCR makes the server one of the gcr.io hosts, by its name: "gcr.io",
	// "us.gcr.io", "eu.gcr.io" or "asia.gcr.io". Paths are project/image then, and
	// the repository has the host's name.
	GCR string
	IAM *IAM // shared with other servers; nil for one of its own
	// Quirks changes what is on by default; so does Wire on the wire.
	Quirks func(*Quirks)
	Wire   func(*registrytest.Quirks)
	// Dir and TLS are registrytest's; the API is plain HTTP.
	Dir string
	TLS bool
}

// A Server is Artifact Registry in one location, on loopback. It is safe for
// concurrent use.
type Server struct {
	*registrytest.Server // the data plane, whose content can be loaded and looked at

	location, gcr string
	iam           *IAM
	api           *plane.API
	calls         plane.Calls[Fault]

	mu       sync.Mutex // never held while the data plane is called
	quirks   Quirks
	buckets  map[string]*bucket
	repos    map[string]*repository // by project/repository
	making   map[string]*operation
	links    map[string]link // addresses of uploads and downloads
	attached string          // the instance's account, "" for none
}

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start an Artifact Registry: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{location: cmp.Or(o.Location, gcrLocations[o.GCR], "europe-west1"), gcr: o.GCR, iam: o.IAM,
		quirks: Defaults(), buckets: map[string]*bucket{}, repos: map[string]*repository{}, making: map[string]*operation{},
		links: map[string]link{}}
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
	front, err := registrytest.Start(registrytest.Options{Dir: o.Dir, TLS: o.TLS, Quirks: wire, Cloud: registrytest.Cloud{
		Admit: s.admit, Put: s.put, Mount: s.mount, Route: s.route, Locate: s.locate, Answer: s.serveData}})
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

// gcrLocations are where the gcr.io hosts keep their repositories.
var gcrLocations = map[string]string{"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}

// Close ends all listeners and connections. It may be called twice.
func (s *Server) Close() {
	s.api.Close()
	s.Server.Close()
}

// Endpoint is the URL of the Admin API, of IAM credentials, and of the Security
// Token Service.
func (s *Server) Endpoint() string { return s.api.URL() }

// MetadataHost is the instance's metadata service, for GCE_METADATA_HOST.
func (s *Server) MetadataHost() string { return s.api.Host() }

// TokenURI is where service accounts and users get tokens.
func (s *Server) TokenURI() string { return s.api.URL() + "/token" }

// Location is the location's name.
func (s *Server) Location() string { return s.location }

// IAM is who there is.
func (s *Server) IAM() *IAM { return s.iam }

// Attach makes an account the instance's; "" is none.
func (s *Server) Attach(email string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached = email
}

// Configure changes the quirks for requests that arrive from now on.
func (s *Server) Configure(change func(*Quirks)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.quirks)
	s.buckets = map[string]*bucket{}
}

func (s *Server) config() Quirks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quirks
}

// Load puts a manifest with everything below it into a repository, which is made if
// it is not there, and tags it. No request is made or counted.
func (s *Server) Load(repo string, m *content.Manifest, tags ...string) error {
	if at := s.place(repo); at.repository != "" {
		s.ensure(at.key())
	}
	return s.Server.Load(repo, m, tags...)
}

// Calls counts the calls to the API by method, whatever the answer: "ListPackages",
// "GetRepository" and so on; "Token" are exchanges of a key or refresh token,
// "Exchange" those of the Security Token Service, "GenerateAccessToken" those of IAM
// credentials, "GenerateIDToken" its ID tokens,
// "Metadata" tokens of the instance and "Identity" its ID tokens.
func (s *Server) Calls() map[string]int64 { return s.calls.Counts() }

// ResetCalls begins those counts anew.
func (s *Server) ResetCalls() { s.calls.Reset() }

// A Fault is one way in which a call to the API fails.
type Fault struct {
	Code     int    // HTTP status
	Status   string // "RESOURCE_EXHAUSTED" and so on
	Message  string
	Reason   string // of an ErrorInfo, "" for none
	Metadata map[string]string
	Raw      string // the body instead of all that
	// RetryAfter is the header of that name: seconds or a date.
	RetryAfter string
}

// Fail makes the next n calls of a method fail.
func (s *Server) Fail(n int, method string, f Fault) { s.calls.Fail(n, method, f) }

// A bucket holds at most a minute's worth of requests.
type bucket struct {
	left float64
	at   time.Time
}

// throttled reports whether a request of a project comes too fast.
func (s *Server) throttled(project string, write bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.take("requests "+project, s.quirks.Requests) || write && !s.take("writes "+project, s.quirks.Writes)
}

// take wants the mutex to be held.
func (s *Server) take(key string, perMinute float64) bool {
	if perMinute <= 0 {
		return true
	}
	now := time.Now()
	b := s.buckets[key]
	if b == nil {
		b = &bucket{perMinute, now}
		s.buckets[key] = b
	}
	b.left = min(perMinute, b.left+perMinute*now.Sub(b.at).Minutes())
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// ControlPlane serves what Endpoint does, for clients without a socket.
func (s *Server) ControlPlane() http.Handler { return http.HandlerFunc(s.serve) }
