// Package ghcr is GitHub's container registry, ghcr.io. It speaks the wire protocol
// of [oci] and asks GitHub's packages API which packages an owner has and which
// digests a package holds, a hundred a call.
//
// The API wants a token of its own kind: a classic one with read:packages. Where it
// is closed to the credential at hand, the registry's own list of tags is asked
// instead, and each tag by itself. ghcr.io has no catalog, no referrers API and no
// immutable tags, cuts an upload off after ten minutes, and takes no layer above 10 GB.
package ghcr

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open.
type Options struct {
	OCI oci.Options // what holds for every registry
	// API is the host[:port] of GitHub's API, to which the registry's password goes,
	// too; "" is the one that goes with the registry's host, if that tells it.
	API string
}

// A Registry is ghcr.io, or the registry of a GitHub of one's own. It implements
// [providers.Registry].
type Registry struct {
	*oci.Registry
	api    *oci.API // nil where none is known
	root   string   // the path of api
	log    *slog.Logger
	prefix atomic.Value // of the password that was last shown: "ghp_"; see tokenKind

	mu     sync.Mutex
	owners map[string]string    // "orgs" or "users", by owner
	shut   map[string]time.Time // owners about whom the API is not asked, and until when
	told   bool                 // people were told that it is closed
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	r := &Registry{log: o.OCI.Logger, owners: map[string]string{}, shut: map[string]time.Time{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.watch(&o.OCI)
	o.OCI.Explain, o.OCI.ExplainRedirect = r.explain, explainStorage
	o.OCI.Caps = caps()
	var err error
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	if err := r.openAPI(o); err != nil {
		r.Registry.Close()
		return nil, err
	}
	return r, nil
}

// openAPI opens the packages API, if it is known where that is.
func (r *Registry) openAPI(o Options) error {
	if o.API == "" {
		o.API = apiOf(o.OCI.Host)
	}
	if o.API == "" {
		return nil
	}
	caps, err := r.Registry.Caps(context.Background()) // its options: it asks nobody
	if err != nil {
		return err
	}
	r.root = rootOf(o.API)
	r.api, err = r.API(oci.APIOptions{Host: o.API, PlainHTTP: o.OCI.PlainHTTP, SignIn: r.signIn, Explain: r.explainAPI,
		Header: http.Header{"Accept": {"application/vnd.github+json"}, "X-Github-Api-Version": {"2022-11-28"}},
		Quotas: caps.Quotas})
	return err
}

// Close closes what the registry and its API keep open.
func (r *Registry) Close() error {
	if r.api != nil {
		r.api.Close()
	}
	return r.Registry.Close()
}

// where names a repository in errors.
func (r *Registry) where(repo string) string {
	if repo == "" {
		return r.Host()
	}
	return r.Host() + "/" + repo
}

func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: op, Ref: r.where(repo), Hint: hint, Err: err}
}
