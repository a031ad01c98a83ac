// Package gar is Google Artifact Registry: its pkg.dev hosts, and the gcr.io
// hosts that it serves. It speaks the wire protocol of [oci] and, for what that
// has no words for, the service's own API.
package gar

import (
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open and who we are there.
type Options struct {
	OCI      oci.Options // what holds for every registry
	Identity Identity    // who signs in; zero is Google's application default credentials
	Create   Create      // settings of Artifact Registry repositories that are made on demand
}

// An Identity is who signs in.
type Identity struct {
	CredentialsFile string   // JSON of a service account or of workload identity federation; "" is the default
	Impersonate     []string // service accounts, each impersonated by the one before; the last one is who we are
}

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
