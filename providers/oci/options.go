package oci

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// Options say which host to speak to and how. Host is needed, the rest has
// defaults.
type Options struct {
	Host      string // host[:port]
	PlainHTTP bool   // http instead of https; never tried unasked
	TLS       TLS
	Proxy     string // URL of a proxy; "" takes HTTPS_PROXY, HTTP_PROXY and NO_PROXY

	// Authenticator signs in; if it is nil, Keychain is asked, and asked again
	// every five minutes; without both the host is read anonymously.
	Authenticator authn.Authenticator
	Keychain      authn.Keychain

	// SignIn, if it is set, takes the place of both: a cloud's own sign-in, whose
	// credentials end. An identity that it, the token service or the registry
	// refuses stops the registry: every request fails with that one error, naming
	// the identity, for a minute, and longer after each further refusal.
	SignIn SignIn

	// TokenRepositories is how many repositories share a bearer token, of those
	// that [Registry.Expect] was told of; 0 and 1 are one each. Fewer do where their
	// names are long: a token has to go into a header.
	TokenRepositories int

	// AlsoAsk are actions for which a token that allows pull is asked, too, so that
	// one token serves both: ACR's metadata_read.
	AlsoAsk []string

	// Explain says what a refusal of this cloud means where its words or codes are
	// its own; ok is false to leave it to what holds for all. May be nil.
	Explain func(Refusal) (kind providers.Kind, hint string, ok bool)

	// ExplainRedirect is Explain for the answers of hosts that reads are redirected
	// to: the registry's storage. May be nil.
	ExplainRedirect func(Refusal) (kind providers.Kind, hint string, ok bool)

	// Answered is told the header of every answer of the registry's own host, with
	// the operation as which the request was counted, before anything else is made
	// of it. It is called from many goroutines and holds the request up. May be nil.
	Answered func(op string, h http.Header)

	// TokenRealm is a token service that may have the credential wherever it is:
	// its URL, or its host[:port]. Others have to be https on a public address, or
	// on the registry's own host.
	TokenRealm string

	// TrustHosts are host[:port] on private addresses to which this registry may
	// redirect reads and uploads. They never get a credential.
	TrustHosts []string

	// Push asks for push together with pull, so that a target needs one token a
	// repository.
	Push bool

	// Limiter and Counts, if they are set, are those of another Registry of this host
	// whose place this one takes: both keep within them together, and from here on
	// within Limits and the quotas of this one.
	Limiter *limit.Limiter
	Counts  *limit.Quotas

	Limits    limit.Options
	Caps      providers.Caps            // what is known of the host; Maybe by default
	Stated    map[string]providers.Tri  // what the policy knows better, by the names of Caps
	Quotas    map[string]providers.Rate // the policy's figures, by the names of Caps.Quotas
	Retry     Retry
	Timeouts  Timeouts
	UserAgent string // default "transship"

	// ChunkFrom is the size in bytes above which a blob goes up in pieces of
	// ChunkSize bytes, where Caps.Chunks is Yes; default 64 MiB for both.
	ChunkFrom, ChunkSize int64

	// PageSize is how many names of a list are asked for at once; default 1000,
	// the most that ECR allows.
	PageSize int

	Logger  *slog.Logger      // default: silent
	Observe func(Request)     // called once per HTTP request, may be nil
	Base    http.RoundTripper // replaces all transports, for tests
}

// TLS says whom to trust and who we are.
type TLS struct {
	CAFile   string // PEM file of certificates trusted besides the system's
	CAPEM    []byte // the same, as bytes
	CertFile string // client certificate, PEM
	KeyFile  string // its key, PEM
}

// Retry is the budget of one request.
type Retry struct {
	Tries    int           // default 6
	Min, Max time.Duration // bounds of the doubling back-off before jitter; default 250 ms and 20 s
	// MaxAfter is the longest Retry-After that is waited for; a longer one is
	// returned to the caller. Default 2 min.
	MaxAfter time.Duration
}

// Timeouts of one HTTP request.
type Timeouts struct {
	Dial   time.Duration // TCP and TLS, each; default 15 s
	Header time.Duration // from the request sent to the answer's header; default 60 s
	Commit time.Duration // the most where the host may hash a blob first; default 10 min
	// Idle is how long no byte, or less than 1 KiB a second, may move in a body;
	// default 60 s. An answer that is no blob has to be there in ten times that.
	Idle time.Duration
}

// answer is how long the body of an answer that is no blob may take.
func (t Timeouts) answer() time.Duration { return 10 * t.Idle }

// hashRate is how many bytes of a blob the slowest host hashes in a second.
const hashRate = 10 << 20

// commit is how long the answer to a blob of size bytes may take.
func (t Timeouts) commit(size int64) time.Duration {
	return max(t.Header, min(t.Commit, t.Header+time.Duration(size/hashRate)*time.Second))
}

// A Request is what Options.Observe is told when an HTTP request has ended.
type Request struct {
	Op     string // "get blob", "token", "redirect" and so on
	Class  limit.Class
	Status int           // 0 where there was no answer
	Sent   int64         // body bytes
	Got    int64         // body bytes
	Took   time.Duration // until its body was closed
	Err    error
}

// withPull are the actions for which a token that allows pull is asked, too.
func (o Options) withPull() []string {
	if o.Push {
		return append([]string{"push"}, o.AlsoAsk...)
	}
	return slices.Clone(o.AlsoAsk)
}

func (o Options) withDefaults() Options {
	def(&o.UserAgent, "transship")
	def(&o.PageSize, 1000)
	def(&o.ChunkFrom, 64<<20)
	def(&o.ChunkSize, 64<<20)
	o.Retry = o.Retry.WithDefaults()
	def(&o.Timeouts.Dial, 15*time.Second)
	def(&o.Timeouts.Header, time.Minute)
	def(&o.Timeouts.Commit, 10*time.Minute)
	def(&o.Timeouts.Idle, time.Minute)
	def(&o.Limits.Max, limit.DefaultMax)
	o.Caps = o.Caps.Override(o.Stated)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(Request) {}
	}
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// credentialHint says where credentials come from that cannot be found.
func (o Options) credentialHint() string {
	if o.SignIn != nil {
		return "check what this cloud's sign-in finds on this machine: transship doctor tells who it is"
	}
	if o.Authenticator != nil {
		return "mend auth of this registry in the policy, or what it refers to"
	}
	return "check the docker configuration and its credential helpers"
}
