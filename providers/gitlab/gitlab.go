// Package gitlab is GitLab's container registry, GitLab.com's and that of an
// instance of one's own. It speaks the wire protocol of [oci], and two more for what
// that has no words for: the registry's own API, which lists tags with their
// digests, times and referrers by the thousand, and the REST API of GitLab itself,
// which lists the repositories of a group or project.
//
// The registry has no referrers API, and takes the fallback tag sha256-<hex> for the
// digest in it: what refers to an image is kept, listed by the registry's own API,
// and found by no client that knows OCI alone. Cosign's tags have other names.
package gitlab

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open, and where the GitLab is that it belongs to.
type Options struct {
	OCI oci.Options // what holds for every registry
	// API is the host[:port] of GitLab's own API, to which the password of this
	// registry is sent as a token. "" is what the registry's name tells: gitlab.com
	// for registry.gitlab.com, and the host itself where its port is 5050; other
	// registries list no repositories without it.
	API string
}

// A Registry is the container registry of one GitLab. It implements
// [providers.Registry].
type Registry struct {
	*oci.Registry
	opts Options
	api  *oci.API // nil where it is not known

	bare atomic.Int64 // until when the registry is known to have no API of its own, in Unix seconds

	mu       sync.Mutex
	projects map[string]bool // paths that are known to be projects
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	r := &Registry{opts: o, projects: map[string]bool{}}
	o.OCI.Caps, o.OCI.Explain = caps(), explain
	var err error
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	if o.API == "" {
		o.API = apiOf(o.OCI.Host)
	}
	if o.API == "" {
		return r, nil
	}
	r.api, err = r.Registry.API(oci.APIOptions{Host: o.API, PlainHTTP: o.OCI.PlainHTTP, SignIn: r.signIn, Explain: explainAPI})
	return r, err
}

// Close closes the registry, and its API before.
func (r *Registry) Close() error {
	if r.api != nil {
		if err := r.api.Close(); err != nil {
			return err
		}
	}
	return r.Registry.Close()
}

// apiOf is the host of the GitLab that a registry belongs to, as far as its name
// tells: the registry of an instance that has no name of its own is at port 5050.
func apiOf(host string) string {
	if Matches(host) {
		return "gitlab.com"
	}
	if name, port, err := net.SplitHostPort(host); err == nil && port == "5050" {
		return name
	}
	return ""
}

// Matches reports whether host is GitLab.com's registry.
func Matches(host string) bool {
	return host == "registry.gitlab.com" || host == "registry.gitlab.com:443"
}

// where names a repository in errors.
func (r *Registry) where(repo string) string {
	if repo == "" {
		return r.Host()
	}
	return r.Host() + "/" + repo
}

// fail is an error of ours.
func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: op, Ref: r.where(repo), Hint: hint, Err: err}
}
