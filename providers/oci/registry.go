package oci

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// A Registry is one host that speaks the distribution protocol. It implements
// [providers.Registry].
type Registry struct {
	opts  Options
	reg   name.Registry
	root  *url.URL // scheme and host
	limit *limit.Limiter
	quota *limit.Quotas
	guard *guard
	sign  *signer
	log   *slog.Logger

	own, other http.RoundTripper // for the registry's own host, and for any other

	digestless atomic.Bool // HEAD tells no digest
	linked     atomic.Bool // lists that go on say so in a Link header
	whole      atomic.Bool // a short page without a Link is the last one

	pieceMost atomic.Int64 // the largest piece of an upload that the host takes; 0 is not known
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	o = o.withDefaults()
	reg, err := name.NewRegistry(o.Host)
	if err != nil || o.Host == "" {
		return nil, &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.Host,
			Hint: "write host or host:port, without scheme and path",
			Err:  fmt.Errorf("%q is not a registry host", o.Host)}
	}
	if o.Caps.Quotas, err = providers.StateQuotas(o.Caps.Quotas, o.Quotas); err != nil {
		return nil, &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.Host,
			Hint: "mend limits.quotas of this registry", Err: err}
	}
	r := &Registry{opts: o, reg: reg, log: o.Logger}
	r.root = &url.URL{Scheme: "https", Host: reg.RegistryStr()}
	if o.PlainHTTP {
		r.root.Scheme = "http"
	}
	r.guard = newGuard(r.root, o)
	if r.own, r.other, err = transports(o, r.guard); err != nil {
		return nil, &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.Host,
			Hint: "check caFile, clientCert, clientKey and proxy", Err: err}
	}
	if r.sign, err = newSigner(r); err != nil {
		return nil, &providers.Error{Kind: providers.Denied, Op: "find credentials", Ref: o.Host,
			Hint: o.credentialHint(), Err: err}
	}
	r.bound(o)
	return r, nil
}

// bound makes what bounds the requests of the registry, or takes it over.
func (r *Registry) bound(o Options) {
	if r.limit, r.quota = o.Limiter, o.Counts; r.limit == nil {
		r.limit = limit.New(o.Limits)
	} else {
		r.limit.Set(o.Limits)
	}
	if r.quota == nil {
		r.quota = limit.NewQuotas(o.Caps.Quotas, o.Limits.Watch, o.Limits.Among)
	} else {
		r.quota.Set(o.Caps.Quotas)
	}
}

// Host is the name the registry was opened by.
func (r *Registry) Host() string { return r.opts.Host }

// Caps returns Options.Caps, with what Options.Stated says laid over them.
func (r *Registry) Caps(context.Context) (providers.Caps, error) { return r.opts.Caps, nil }

// Credential is what the registry would show now, for an API of the same account;
// zero where nobody signs in. It asks no registry, but whoever keeps the secret.
func (r *Registry) Credential(ctx context.Context) (Credential, error) {
	c, err := r.sign.credential(ctx)
	if err != nil {
		return Credential{}, err
	}
	user, password := c.config.Username, c.config.Password
	if raw, err := base64.StdEncoding.DecodeString(c.config.Auth); err == nil && user == "" && len(raw) > 0 {
		user, password, _ = strings.Cut(string(raw), ":")
	}
	return Credential{Username: user, Password: password, IdentityToken: c.config.IdentityToken,
		RegistryToken: c.config.RegistryToken, Who: r.sign.who(c)}, nil
}

// Limiter is the limiter of this host, for figures.
func (r *Registry) Limiter() *limit.Limiter { return r.limit }

// Quotas are what requests to this host keep within, per operation; a cloud's own
// API has its calls counted here, too.
func (r *Registry) Quotas() *limit.Quotas { return r.quota }

// Ensure does nothing: a plain registry makes repositories by itself.
func (r *Registry) Ensure(context.Context, string) error { return nil }

// Close closes idle connections and waits for token requests that nobody waits for.
func (r *Registry) Close() error {
	r.sign.close()
	for _, t := range []http.RoundTripper{r.own, r.other} {
		if c, ok := t.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
	return nil
}

// url returns the address of a path below /v2/; path segments are escaped.
func (r *Registry) url(path string, query url.Values) *url.URL {
	u := *r.root
	u.Path = "/v2/" + path
	u.RawQuery = query.Encode()
	return &u
}
