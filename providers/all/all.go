// Package all is the table of the providers that are built in, one line each.
package all

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr"
	"github.com/transship/transship/providers/dockerhub"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/ecrpublic"
	"github.com/transship/transship/providers/gar"
	"github.com/transship/transship/providers/ghcr"
	"github.com/transship/transship/providers/gitlab"
	"github.com/transship/transship/providers/harbor"
	"github.com/transship/transship/providers/layout"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/quay"
)

// A provider is how it is opened, and what is known of it before it is. A
// constructor takes of the options what it has a use for.
type provider struct {
	open      func(Options) (providers.Registry, error)
	pushTimes bool // its Caps say PushTimes
	makes     bool // repositories that are missing, when a push needs them
	signsIn   bool // by its cloud's own chain, if it is given nothing else
}

var providersByName = map[string]provider{
	"acr":       {open: openACR, pushTimes: true, signsIn: true, makes: true},
	"dockerhub": {open: openDockerHub},
	"ecr":       {open: openECR, pushTimes: true, signsIn: true, makes: true},
	"ecrpublic": {open: openECRPublic, signsIn: true, makes: true},
	"gar":       {open: openGAR, pushTimes: true, signsIn: true, makes: true},
	"ghcr":      {open: openGHCR, pushTimes: true},
	"gitlab":    {open: openGitLab},
	"harbor":    {open: openHarbor, pushTimes: true, makes: true},
	"layout":    {open: openLayout},
	"oci":       {open: openOCI},
	"quay":      {open: openQuay, makes: true},
}

// Options say how to open a registry, whichever provider it has. Zero values
// are defaults.
type Options struct {
	Host string // host[:port], for every provider but layout
	Path string // the folder, for layout
	API  string // host[:port] of the service's own API, where the host does not tell it

	PlainHTTP bool
	CAFile    string // PEM, trusted besides the system's
	CertFile  string // PEM, our certificate
	KeyFile   string // PEM, its key
	Proxy     string // URL; "" takes the environment's

	// Authenticator signs in, else Keychain, else nobody does. TokenRealm and
	// TrustHosts are as in [oci.Options].
	Authenticator authn.Authenticator
	Keychain      authn.Keychain
	TokenRealm    string
	TrustHosts    []string

	// Reserve is the share of a host's pulls that is left to others, from 0 to 1; nil is
	// the provider's default.
	Reserve *float64

	// Instead is a registry of the same host whose place this one takes and which may
	// go on for a while: both keep within the limits together. May be nil.
	Instead providers.Registry

	// Push says that the registry is a target of some rule.
	Push bool

	Width        int        // most requests in flight, of reads and of writes each; default 32
	Requests     float64    // a second
	Burst        float64    // of these at once after a pause; 0 is a quarter of Requests
	Bytes        limit.Pace // in each direction; nil is no bound
	Together     Together
	Watch        limit.Watch
	Among        *Among // who has the quotas, Requests and Width together; may be nil
	UserAgent    string
	Logger       *slog.Logger
	Observe      func(Request)
	Retry        Retry
	Capabilities map[string]providers.Tri  // what the policy knows better, by name
	Quotas       map[string]providers.Rate // the same of published quotas

	// Who signs in at a cloud, where Authenticator and Keychain are nil, and how its
	// repositories are made. Each provider takes its own.
	ECR       ecr.Identity
	GAR       gar.Identity
	ACR       acr.Identity
	QuayToken func() (string, error) // of Quay's API, asked at each use; nil for none
	Federated Federation             // who signs in from another cloud, if From is set
	CreateECR ecr.Create
	CreateGAR gar.Create
	CreateACR acr.Create

	// ResourceID names a registry of ACR to Azure's resource manager, which imports.
	ResourceID   string
	CreateHarbor harbor.Create

	documented bool // nobody will be asked, wherever they are
}

type (
	// Who signs in at a cloud, as its provider says.
	ECRIdentity = ecr.Identity
	ECRRole     = ecr.Role
	GARIdentity = gar.Identity
	ACRIdentity = acr.Identity
	// A Request is one HTTP request, for metrics.
	Request = oci.Request
	// Retry is the budget of one request.
	Retry = oci.Retry
	// Bytes keep a flow within a pace, and Watch is told of what waits.
	Bytes = limit.Bytes
	Watch = limit.Watch
	// Among is how many processes have the bounds of hosts together.
	Among = limit.Among
	// A Reason is what a request waits for.
	Reason = limit.Reason
)

// NewBytes returns the bound that keeps to p; nil is no bound.
func NewBytes(p func(at time.Time) (perSecond float64, until time.Time)) *Bytes {
	return limit.NewBytes(p)
}

// Together are what all registries keep to together, of bytes read and written.
type Together struct{ Reads, Writes *Bytes }

// Names lists the providers, sorted.
func Names() []string { return slices.Sorted(maps.Keys(providersByName)) }

// PushTimes reports whether registries of the named provider tell when a digest
// was pushed; an unknown name tells nothing.
func PushTimes(name string) bool { return providersByName[name].pushTimes }

// SignsIn reports whether registries of the named provider sign in by themselves
// where they are given neither an Authenticator nor a Keychain.
func SignsIn(name string) bool { return providersByName[name].signsIn }

// Makes reports whether registries of the named provider make a repository that is
// missing once something is pushed, so that to find none says nothing of that.
func Makes(name string) bool { return providersByName[name].makes }

// Permissions is the smallest permission to grant so that the registry can be
// read and, with push, written, in the words of its provider: an IAM policy, roles;
// "" where the provider has none.
func Permissions(r providers.Registry, push bool) string {
	if p, ok := r.(interface{ Permissions(push bool) string }); ok {
		return p.Permissions(push)
	}
	return ""
}

// Open opens a registry of the named provider. It connects to nobody yet. The
// caller closes it.
func Open(name string, o Options) (providers.Registry, error) {
	p, ok := providersByName[name]
	if !ok {
		return nil, &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.Host,
			Hint: "use one of " + strings.Join(Names(), ", "), Err: fmt.Errorf("no provider %q", name)}
	}
	return p.open(o)
}

// oci is what holds for every registry that speaks the distribution protocol.
func (o Options) oci() oci.Options {
	to := oci.Options{
		Host: o.Host, PlainHTTP: o.PlainHTTP, Proxy: o.Proxy,
		TLS:           oci.TLS{CAFile: o.CAFile, CertFile: o.CertFile, KeyFile: o.KeyFile},
		Authenticator: o.Authenticator, Keychain: o.Keychain,
		TokenRealm: o.TokenRealm, TrustHosts: o.TrustHosts, Push: o.Push,
		Limits: o.limits(), Stated: o.Capabilities, Quotas: o.Quotas,
		UserAgent: o.UserAgent, Logger: o.Logger, Observe: o.Observe, Retry: o.Retry,
	}
	if before, ok := o.Instead.(limited); ok {
		to.Limiter, to.Counts = before.Limiter(), before.Quotas()
	}
	return to
}

func (o Options) limits() limit.Options {
	return limit.Options{Max: o.Width, Requests: o.Requests, Burst: o.Burst, ReadBytes: o.Bytes, WriteBytes: o.Bytes,
		AllReads: o.Together.Reads, AllWrites: o.Together.Writes, Watch: o.Watch, Among: o.Among}
}

// A Load is how a registry is asked now.
type Load struct {
	Width         int
	Reads, Writes int                // in flight
	Quotas        map[string]float64 // the least share of each quota in use
}

// LoadOf is the load of an open registry; false where it is asked over no network.
func LoadOf(r providers.Registry) (Load, bool) {
	l, ok := r.(limited)
	if !ok {
		return Load{}, false
	}
	at := l.Limiter()
	return Load{Width: at.Width(), Reads: at.InFlight(limit.Read), Writes: at.InFlight(limit.Write), Quotas: l.Quotas().Least()}, true
}

// limited is a registry that is asked over a network.
type limited interface {
	Limiter() *limit.Limiter
	Quotas() *limit.Quotas
}

// SetLimits has an open registry keep to the requests, the bytes and the most width of o
// from here on. Its quotas stay as it was opened with.
func SetLimits(r providers.Registry, o Options) {
	if r, ok := r.(limited); ok {
		r.Limiter().Set(o.limits())
	}
}

func openOCI(o Options) (providers.Registry, error) { return opened(oci.New(o.oci())) }

func openECR(o Options) (providers.Registry, error) {
	who, err := o.ecrIdentity()
	if err == nil {
		err = checkECREndpoints(o)
	}
	if err != nil {
		return nil, err
	}
	return opened(ecr.New(ecr.Options{OCI: o.oci(), Identity: who, Create: o.CreateECR}))
}

func openECRPublic(o Options) (providers.Registry, error) {
	who, err := o.ecrIdentity()
	if err == nil {
		err = checkECREndpoints(o)
	}
	if err != nil {
		return nil, err
	}
	return opened(ecrpublic.New(ecrpublic.Options{OCI: o.oci(), Identity: who, Never: o.CreateECR.Never}))
}

func openGAR(o Options) (providers.Registry, error) {
	endpoints, err := garEndpoints(o)
	if err != nil {
		return nil, err
	}
	who, err := o.garIdentity()
	if err != nil {
		return nil, err
	}
	return opened(gar.New(gar.Options{OCI: o.oci(), Identity: who, Create: o.CreateGAR, Endpoints: endpoints}))
}

func openACR(o Options) (providers.Registry, error) {
	endpoints, err := acrEndpoints(o)
	if err != nil {
		return nil, err
	}
	who, err := o.acrIdentity()
	if err != nil {
		return nil, err
	}
	return opened(acr.New(acr.Options{OCI: o.oci(), Identity: who, Create: o.CreateACR, Endpoints: endpoints, ResourceID: o.ResourceID}))
}

func openDockerHub(o Options) (providers.Registry, error) {
	return opened(dockerhub.New(dockerhub.Options{OCI: o.oci(), API: o.API, Reserve: o.Reserve}))
}

func openGHCR(o Options) (providers.Registry, error) {
	return opened(ghcr.New(ghcr.Options{OCI: o.oci(), API: o.API}))
}

func openGitLab(o Options) (providers.Registry, error) {
	return opened(gitlab.New(gitlab.Options{OCI: o.oci(), API: o.API}))
}

func openHarbor(o Options) (providers.Registry, error) {
	return opened(harbor.New(harbor.Options{OCI: o.oci(), Create: o.CreateHarbor}))
}

func openQuay(o Options) (providers.Registry, error) {
	return opened(quay.New(quay.Options{OCI: o.oci(), APIToken: o.QuayToken}))
}

func openLayout(o Options) (providers.Registry, error) {
	open := layout.Open
	if o.Push {
		open = layout.New
	}
	return opened(open(o.Path))
}

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[R providers.Registry](r R, err error) (providers.Registry, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}
