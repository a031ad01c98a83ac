// Package ecr is Amazon ECR, private registries: the account of a host in one
// region. It speaks the wire protocol of [oci] and, for what that has no words
// for, the service's own API.
package ecr

import (
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open and who we are there.
type Options struct {
	OCI      oci.Options // what holds for every registry
	Identity Identity    // who signs in; zero is AWS's default chain
	Create   Create      // settings of repositories that are made on demand
}

// An Identity is who signs in.
type Identity struct {
	Profile string // of the shared configuration; "" is the default chain
	Region  string // of the API; "" is the host's
	Roles   []Role // assumed one after the other, the last one is who we are
}

// A Role is assumed by what came before it.
type Role struct{ ARN, ExternalID, SessionName string }

// Create are the settings of a repository that is made because a push needs it.
type Create struct {
	Never    bool // make none: a repository that is missing is an error
	Enforce  bool // set them on repositories that are there, too
	Template bool // leave them to the account's creation template

	Immutability string   // MUTABLE or IMMUTABLE; "" is the account's default
	Exclusions   []string // wildcards of tags to which Immutability does not apply
	ScanOnPush   bool
	KMSKey       string // "" is AES256

	LifecyclePolicy  []byte // JSON
	RepositoryPolicy []byte // JSON
	Tags             map[string]string
}

// A Registry is one account's ECR in one region. It implements [providers.Registry].
type Registry struct {
	*oci.Registry
	opts Options
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	r, err := oci.New(o.OCI)
	if err != nil {
		return nil, err
	}
	return &Registry{Registry: r, opts: o}, nil
}
