// Package harbor is Harbor. It speaks the wire protocol of [oci] and, for what that
// has no words for, Harbor's own API, with the same account: which repositories
// there are, what is in one a hundred a call, which projects there are, and how one
// is made.
//
// The first element of a path is the project, which has to be there. One that is
// missing the registry answers like a login that is refused; it is told apart by
// its words, so that nobody looks for a wrong password.
package harbor

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open and who we are there.
type Options struct {
	OCI    oci.Options // what holds for every registry
	Create Create
}

// Create says whether projects are made that a push needs, and how.
type Create struct {
	Projects     bool  // make them; otherwise one that is missing is an error
	Public       bool  // anyone may read them
	StorageLimit int64 // bytes; 0 is what Harbor gives by itself
}

// A Registry is one Harbor. It implements [providers.Registry].
type Registry struct {
	oci.Remaker
	opts Options
	api  *oci.API
	log  *slog.Logger

	ensured oci.Ensured // projects that take pushes

	mu        sync.Mutex
	plain     map[string]bool // projects of which the API does not tell us
	doubt     time.Time       // when that is forgotten; zero while there are none
	said      bool            // that is in the log
	asked     bool            // for the version
	referrers providers.Tri
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	r := &Registry{opts: o, log: o.OCI.Logger, plain: map[string]bool{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	o.OCI.Explain = r.explain
	o.OCI.Caps = caps()
	var err error
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	r.Anew = r.push
	if r.api, err = r.Registry.API(oci.APIOptions{Host: r.Host(), SignIn: r.signIn, Explain: r.explain,
		Header: http.Header{"X-Is-Resource-Name": {"true"}}}); err != nil { // a project may be called 42
		return nil, err
	}
	return r, nil
}

// signIn shows the API the name and password that the registry knows us by.
func (r *Registry) signIn(ctx context.Context) (oci.Credential, error) {
	c, err := r.Credential(ctx)
	return oci.Credential{Username: c.Username, Password: c.Password, Who: c.Who}, err
}

// nobody reports whether no credential is known for the registry.
func (r *Registry) nobody(ctx context.Context) bool {
	c, err := r.Credential(ctx)
	return err == nil && c.Username == "" && c.Password == "" && c.IdentityToken == "" && c.RegistryToken == ""
}

// Whoami signs in. Nobody gets a token for nothing in particular here, which is no
// refusal: public projects are read without a name.
func (r *Registry) Whoami(ctx context.Context) (providers.Identity, error) {
	if r.nobody(ctx) {
		return providers.Identity{Name: providers.Anonymous, From: "no credential is known"}, context.Cause(ctx)
	}
	return r.Registry.Whoami(ctx)
}

// Close ends idle connections and waits for what nobody waits for.
func (r *Registry) Close() error {
	r.ensured.Wait()
	return errors.Join(r.api.Close(), r.Registry.Close())
}

// fail is an error of ours.
func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	ref := r.Host()
	if repo != "" {
		ref += "/" + repo
	}
	return &providers.Error{Kind: kind, Op: op, Ref: ref, Hint: hint, Err: err}
}

// Permissions says what to grant.
func (r *Registry) Permissions(push bool) string {
	text := "on the projects that are read, the robot account needs pull repository, list repository and list artifact (and list tag)"
	if !push {
		return text
	}
	text += "; on those that are written to push and pull repository, list artifact and read project"
	if r.opts.Create.Projects {
		text += "; to make projects it has to be a system robot with create project"
	}
	return text
}
