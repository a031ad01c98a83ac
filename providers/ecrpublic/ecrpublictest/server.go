package ecrpublictest

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/registrytest"
)

// Region is where the API is.
const Region = "us-east-1"

// Quirks is how ECR Public behaves beyond the wire, as data. They can be changed
// while the server runs.
type Quirks struct {
	// TagsList answers tags/list; without it that is 404 (UNVERIFIED since 2022).
	TagsList bool
	// Mounts takes mounts between repositories of one account (UNVERIFIED).
	Mounts bool
	// TokenLife is how long what GetAuthorizationToken gives is good; 12 hours.
	TokenLife time.Duration
	// ExpiredStatus is the status in answer to one that has expired (UNVERIFIED).
	ExpiredStatus int
}

// Defaults are ECR Public's quirks.
func Defaults() Quirks { return Quirks{TokenLife: 12 * time.Hour, ExpiredStatus: 403} }

// Wire are the wire quirks that ECR Public always has: those of ECR, whose layers
// cannot be read before a manifest names them.
func Wire() registrytest.Quirks {
	q := ecrtest.Wire()
	q.Schema1 = false
	return q
}

// Options is how a server is started. Account 123456789012 owns the alias "acme".
type Options struct {
	IAM *ecrtest.IAM // shared with other servers; nil for one of its own
	// Quirks changes what is on by default; so does Wire on the wire.
	Quirks func(*Quirks)
	Wire   func(*registrytest.Quirks)
}

// A Server is ECR Public. It is safe for concurrent use.
type Server struct {
	*registrytest.Server // the data plane, whose content can be loaded and looked at

	aws  *ecrtest.Server
	once sync.Once

	mu      sync.Mutex // never held while the data plane is called
	quirks  Quirks
	aliases map[string][]string // of an account, the primary one first
	logins  map[string]login    // what GetAuthorizationToken gave, by password
	bearers map[string]bearer   // what the token service gave
}

// A login is the password of user AWS.
type login struct {
	key     string
	expires time.Time
}

// A bearer is a token of the token service, for the holder of a key or for nobody.
type bearer struct{ key string }

// New starts a server that ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("start an ECR Public: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{quirks: Defaults(), aliases: map[string][]string{"123456789012": {"acme"}}, logins: map[string]login{}, bearers: map[string]bearer{}}
	if o.Quirks != nil {
		o.Quirks(&s.quirks)
	}
	wire := Wire()
	if o.Wire != nil {
		o.Wire(&wire)
	}
	aws, err := ecrtest.Start(ecrtest.Options{Region: Region, IAM: o.IAM, Quirks: func(q *ecrtest.Quirks) { q.Rates = map[string]float64{} }})
	if err != nil {
		return nil, err
	}
	s.aws = aws
	aws.Beside(ecrtest.Service{Target: "SpencerFrontendService.", Name: "ecr-public", Do: s.do})
	s.Server, err = registrytest.Start(registrytest.Options{Quirks: wire,
		Cloud: registrytest.Cloud{Serve: s.serveToken, Admit: s.admit, Mount: s.mount}})
	if err != nil {
		aws.Close()
		return nil, err
	}
	return s, nil
}

// Close ends all listeners and connections. It may be called twice.
func (s *Server) Close() {
	s.once.Do(func() {
		s.Server.Close()
		s.aws.Close()
	})
}

// AWS is the account's side: IAM, STS, calls and faults of the API. Its own registry
// is a private one that nobody needs.
func (s *Server) AWS() *ecrtest.Server { return s.aws }

// Endpoint is the URL of ECR Public's API, and of STS.
func (s *Server) Endpoint() string { return s.aws.Endpoint() }

// Calls counts the calls to the API by operation.
func (s *Server) Calls() map[string]int64 { return s.aws.Calls() }

// Own gives an account its aliases, the primary one first.
func (s *Server) Own(account string, aliases ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aliases[account] = aliases
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

// ExpireTokens ends what the token service gave, and with logins what it was given
// for, as if its time were over.
func (s *Server) ExpireTokens(logins bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.bearers)
	if logins {
		for password, l := range s.logins {
			l.expires = time.Unix(1, 0)
			s.logins[password] = l
		}
	}
}

// names are an account's aliases, a copy.
func (s *Server) names(account string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.aliases[account])
}

// owner is the account that an alias belongs to; "" is one that nobody here has.
func (s *Server) owner(alias string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, account := range slices.Sorted(maps.Keys(s.aliases)) {
		if slices.Contains(s.aliases[account], alias) {
			return account
		}
	}
	return ""
}

// split takes a repository's path apart into alias and name.
func split(repo string) (alias, name string) {
	alias, name, _ = strings.Cut(repo, "/")
	return alias, name
}
