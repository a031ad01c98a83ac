// Package acr is Azure Container Registry. It speaks the wire protocol of [oci]
// and, for what that has no words for, the registry's own metadata API: which
// repositories there are, and what is in them by the thousand.
//
// A token of Microsoft Entra ID is exchanged for the registry's refresh token,
// which is fetched once however many wait for it and renewed at half its life, and
// that for access tokens, each for many repositories. Azure's SDK finds who we are
// (azidentity) and writes the exchange. Lists are asked for by oci's own signed
// requests: the SDK's client of the metadata API takes a token for each change of
// the repository, cannot read some tokens, keeps no limits and retries on its own.
package acr

import (
	"log/slog"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open and who we are there.
type Options struct {
	OCI       oci.Options // what holds for every registry
	Identity  Identity    // who signs in; zero is Azure's default chain
	Create    Create
	Endpoints Endpoints // where they are not Azure's own
	// ResourceID names the registry to Azure's resource manager, which imports; "" where
	// nothing is imported.
	ResourceID string
}

// An Identity is who signs in.
type Identity struct {
	// Credential is "" for the default chain, or one of [Credentials].
	Credential        string
	TenantID          string
	ClientID          string
	ClientSecret      func() (string, error) // asked at each use, nil for none
	ClientCertificate string                 // PEM or PKCS #12 file

	// Federated, if it is not nil, signs in from another cloud, as ClientID of TenantID.
	Federated *Federated
}

// The ways to sign in.
const (
	cli              = "cli"
	managedIdentity  = "managedIdentity"
	servicePrincipal = "servicePrincipal"
	workloadIdentity = "workloadIdentity"
)

// Credentials are the ways to sign in that an Identity can ask for.
func Credentials() []string {
	return []string{cli, managedIdentity, servicePrincipal, workloadIdentity}
}

// Create says nothing yet but never: a push makes its repository by itself.
type Create struct {
	Never bool // a repository that is missing is an error
}

// Endpoints are URLs that replace Azure's own: tests, and clouds of one's own.
type Endpoints struct {
	Authority string // of Entra; "" is AZURE_AUTHORITY_HOST, or that of the host's cloud
	Manager   string // Azure's resource manager; "" is that of the host's cloud
}

// A Registry is one Azure container registry. It implements [providers.Registry].
type Registry struct {
	*oci.Registry
	opts  Options
	host  Host
	log   *slog.Logger
	given bool // the registry has a credential of its own

	entra entra
	there sync.Map // repositories that were found, with Create.Never
}

var _ providers.Registry = (*Registry)(nil)

// tokenRepositories is how many repositories share an access token. Tokens are
// renewed at half their life, and forty keep below twenty a life then; oci takes
// fewer where their names are so long that the token would not go into a header.
const tokenRepositories = 40

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	h, _, err := ParseHost(o.OCI.Host)
	if err != nil {
		return nil, &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.OCI.Host,
			Hint: "write the host as <registry>.azurecr.io", Err: err}
	}
	r := &Registry{opts: o, host: h, given: o.OCI.Authenticator != nil || o.OCI.Keychain != nil, log: o.OCI.Logger}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if !r.given {
		o.OCI.SignIn = r.signIn
	}
	o.OCI.AlsoAsk = []string{"metadata_read"}
	if o.OCI.TokenRepositories == 0 {
		o.OCI.TokenRepositories = tokenRepositories
	}
	o.OCI.Explain = r.explainRefusal
	o.OCI.Caps = caps()
	if o.ResourceID != "" {
		o.OCI.Caps.Import = importMost
	}
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	return r, nil
}

// where names a repository in errors.
func (r *Registry) where(repo string) string {
	if repo == "" {
		return r.Host()
	}
	return r.Host() + "/" + repo
}

// name is the registry's, as Azure's tools want it: without the hash that its host may
// have behind it (a domain name label's scope), as no name has a hyphen.
func (r *Registry) name() string {
	name, _, _ := strings.Cut(r.Host(), ".")
	if r.host.Registry != "" {
		name, _, _ = strings.Cut(r.host.Registry, "-")
	}
	return name
}

// entra is who we are at Microsoft Entra ID.
type entra struct {
	mu     sync.Mutex // held while signing in
	cred   azcore.TokenCredential
	secret string // that cred was made with
	shown  shown  // of a federation, the last
}
