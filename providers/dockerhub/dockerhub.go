// Package dockerhub is Docker Hub. It speaks the wire protocol of [oci] and asks the
// Hub API which repositories a namespace has and which digests their tags, a hundred
// a call, as the registry lists names only and has no catalog.
//
// # Pulls
//
// Docker counts each GET of a manifest as a pull and no HEAD, and tells with each
// answer how many are left of how many in a time. These are kept to: a part is left
// to others who share the account or the address, and when ours is used up a
// manifest is not asked for, and is Waiting, until there may be more. Caps tells how
// many there are, so that nobody begins what cannot be read to its end.
package dockerhub

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open.
type Options struct {
	OCI oci.Options // what holds for every registry
	// API is the host[:port] of the Hub API, to which the registry's password goes,
	// too; "" is hub.docker.com for Docker's own registry, and none for others.
	API string
	// Reserve is the share of the pulls that is left to others, from 0 to 1; nil is a
	// tenth.
	Reserve *float64
}

// A Registry is Docker Hub. It implements [providers.Registry].
type Registry struct {
	*oci.Registry
	api   *oci.API // nil where none is known
	log   *slog.Logger
	pulls *pulls

	mu   sync.Mutex
	shut map[string]time.Time // until when the API is not asked, by namespace; "" is all
	told bool                 // people were told that it is closed
}

var _ providers.Registry = (*Registry)(nil)

// apiOf is the host of the API that goes with a registry's host: a mirror of Docker Hub
// has none, and its password is not Docker's to see.
func apiOf(host string) string {
	if host == "docker.io" || strings.HasSuffix(host, ".docker.io") {
		return "hub.docker.com"
	}
	return ""
}

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	r := &Registry{log: o.OCI.Logger, pulls: newPulls(o.Reserve), shut: map[string]time.Time{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	o.OCI.Explain, o.OCI.Answered = explain, r.pulls.answered
	o.OCI.Caps = caps()
	var err error
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	if o.API = cmp.Or(o.API, apiOf(o.OCI.Host)); o.API == "" {
		return r, nil
	}
	r.api, err = r.API(oci.APIOptions{Host: o.API, PlainHTTP: o.OCI.PlainHTTP, SignIn: r.signIn, Explain: explainAPI})
	if err != nil {
		r.Registry.Close()
		return nil, err
	}
	return r, nil
}

// Close closes what the registry and its API keep open.
func (r *Registry) Close() error {
	if r.api != nil {
		r.api.Close()
	}
	return r.Registry.Close()
}

// Caps is what Docker Hub can do, and how many pulls there are as far as it has
// said so.
func (r *Registry) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := r.Registry.Caps(ctx)
	c.Pulls = r.pulls.now()
	return c, err
}

// full is a repository's name at the registry: docker's own have none before the
// slash when people write them.
func full(repo string) string {
	if repo == "" || strings.Contains(repo, "/") {
		return repo
	}
	return "library/" + repo
}

// Expect tells which repositories will be asked for.
func (r *Registry) Expect(repos ...string) {
	var names []string
	for _, repo := range repos {
		names = append(names, full(repo))
	}
	r.Registry.Expect(names...)
}

// Head resolves ref; it counts as no pull.
func (r *Registry) Head(ctx context.Context, repo, ref string) (v1.Descriptor, error) {
	return r.Registry.Head(ctx, full(repo), ref)
}

// Manifest reads a manifest, which counts as a pull. Waiting: ours are used up.
func (r *Registry) Manifest(ctx context.Context, repo, ref string) (providers.Manifest, error) {
	repo = full(repo)
	if err := r.pull(ctx, repo, ref); err != nil {
		return providers.Manifest{}, err
	}
	defer r.pulls.done()
	m, err := r.Registry.Manifest(ctx, repo, ref)
	return m, r.refused(err)
}

// Referrers lists what refers to subject.
func (r *Registry) Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	return r.Registry.Referrers(ctx, full(repo), subject)
}

// Stat looks for a blob.
func (r *Registry) Stat(ctx context.Context, repo string, blob v1.Hash) (int64, error) {
	return r.Registry.Stat(ctx, full(repo), blob)
}

// Open reads a blob, which counts as no pull.
func (r *Registry) Open(ctx context.Context, repo string, desc v1.Descriptor, offset int64) (io.ReadCloser, error) {
	return r.Registry.Open(ctx, full(repo), desc, offset)
}
