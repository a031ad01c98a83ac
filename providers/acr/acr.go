// Package acr is Azure Container Registry. It speaks the wire protocol of [oci]
// and, for what that has no words for, the registry's own metadata API.
package acr

import (
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open and who we are there.
type Options struct {
	OCI      oci.Options // what holds for every registry
	Identity Identity    // who signs in; zero is Azure's default chain
	Create   Create
}

// An Identity is who signs in.
type Identity struct {
	// Credential is "" for the default chain, or one of [Credentials].
	Credential        string
	TenantID          string
	ClientID          string
	ClientSecret      func() (string, error) // asked at each use, nil for none
	ClientCertificate string                 // PEM or PKCS #12 file
}

// Credentials are the ways to sign in that an Identity can ask for.
func Credentials() []string {
	return []string{"cli", "managedIdentity", "servicePrincipal", "workloadIdentity"}
}

// Create says nothing yet but never: a push makes its repository by itself.
type Create struct {
	Never bool // a repository that is missing is an error
}

// A Registry is one Azure container registry. It implements [providers.Registry].
type Registry struct {
	*oci.Registry
	opts Options
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	if o.OCI.Authenticator == nil && o.OCI.Keychain == nil {
		o.OCI.Keychain = authn.DefaultKeychain
	}
	r, err := oci.New(o.OCI)
	if err != nil {
		return nil, err
	}
	return &Registry{Registry: r, opts: o}, nil
}
