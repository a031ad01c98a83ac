// Package gar is Google Artifact Registry: its pkg.dev hosts, and the gcr.io
// hosts that it serves. It speaks the wire protocol of [oci] and, for what that
// has no words for, the service's own API: which repositories and images there
// are, whether a repository is there at all, and how it is made.
//
// One access token signs both, as Bearer; it is fetched once however many wait for
// it and renewed before it ends, or when it is refused. An identity that Google
// refuses stops the registry for a while with one error, instead of being shown
// again and again.
//
// A path is project/repository/image, and project/image at a gcr.io host; what the
// API calls a repository is the first two elements, and what providers calls one is
// all of it.
package gar

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open and who we are there.
type Options struct {
	OCI       oci.Options // what holds for every registry
	Identity  Identity    // who signs in; zero is Google's application default credentials
	Create    Create      // settings of Artifact Registry repositories that are made on demand
	Endpoints Endpoints   // of the API, where they are not Google's own
}

// An Identity is who signs in.
type Identity struct {
	CredentialsFile string   // JSON of a service account or of workload identity federation; "" is the default
	Impersonate     []string // service accounts, each impersonated by the one before; the last one is who we are

	// Federated, if it is not nil, signs in from another cloud; CredentialsFile is "".
	Federated *Federated
}

func (i Identity) isZero() bool {
	return i.CredentialsFile == "" && len(i.Impersonate) == 0 && i.Federated == nil
}

// Endpoints replace Google's own: private endpoints, and tests. STS is the whole URL
// of the token exchange. Location is that of a host whose name does not tell it.
type Endpoints struct{ API, IAM, Token, STS, Location string }

// Create are the settings of an Artifact Registry repository that is made
// because a push needs it.
type Create struct {
	Never   bool // make none: a repository that is missing is an error
	Enforce bool // set them on repositories that are there, too

	KMSKey          string
	ImmutableTags   bool
	CleanupPolicies []byte // JSON, as "gcloud artifacts repositories set-cleanup-policies" takes it
	Labels          map[string]string
	Description     string
}

// A Registry is Artifact Registry in one location. It implements [providers.Registry].
type Registry struct {
	oci.Remaker
	opts    Options
	host    Host
	cleanup policies
	log     *slog.Logger
	given   bool              // the data plane has a credential of its own
	web     http.RoundTripper // to Google's API
	source  *source
	tokens  tokens
	ensured oci.Ensured // repositories, by project/repository, that are as they should be

	mu   sync.Mutex
	seen map[string]sighting
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	wrong := func(err error, hint string) (*Registry, error) {
		return nil, &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.OCI.Host, Hint: hint, Err: err}
	}
	h, err := o.where()
	if err != nil {
		return wrong(err, "write the host as <location>-docker.pkg.dev, or gcr.io")
	}
	cleanup, err := parseCleanup(o.Create.CleanupPolicies)
	if err != nil {
		return wrong(err, "mend create.gar.cleanupPolicies; it is what gcloud artifacts repositories set-cleanup-policies takes")
	}
	r := &Registry{opts: o, host: h, cleanup: cleanup, given: o.OCI.Authenticator != nil || o.OCI.Keychain != nil,
		log: o.OCI.Logger, tokens: newTokens(), seen: map[string]sighting{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	web, metadata, err := transports(o.OCI)
	if err != nil {
		return wrong(err, "check caFile and proxy")
	}
	r.web, r.source = web, &source{id: o.Identity, endpoints: o.Endpoints, web: web, metadata: metadata, ref: o.OCI.Host,
		send: func(req *http.Request, through http.RoundTripper) (*http.Response, error) {
			return r.observed(req, providers.OpToken, "", through)
		}}
	if !r.given {
		o.OCI.SignIn = r.signIn
	}
	o.OCI.Explain = explainRefusal
	o.OCI.Caps = caps(h)
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	r.Anew = r.push
	return r, nil
}

// Close ends idle connections and waits for what nobody waits for.
func (r *Registry) Close() error {
	r.ensured.Wait()
	err := r.Registry.Close()
	for _, t := range []http.RoundTripper{r.web, r.source.metadata} {
		if c, ok := t.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
	return err
}

// where names a repository in errors.
func (r *Registry) where(repo string) string {
	if repo == "" {
		return r.Host()
	}
	return r.Host() + "/" + repo
}
