package app

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/all"
)

// registries opens the registries of a policy when they are first asked for, and
// each once. It is safe for concurrent use.
type registries struct {
	set *policy.Set
	log *slog.Logger

	retry all.Retry // zero is the providers' default

	// observe is told of each request; may be nil.
	observe func(host string, r all.Request)

	mu   sync.Mutex
	open map[string]providers.Registry
}

func newRegistries(set *policy.Set, log *slog.Logger) *registries {
	return &registries{set: set, log: log, open: map[string]providers.Registry{}}
}

// get returns the registry of that name in the policy; who asks adds the name to
// an error.
func (r *registries) get(name string) (providers.Registry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reg := r.open[name]; reg != nil {
		return reg, nil
	}
	what, ok := r.set.Registries[name]
	if !ok {
		return nil, fmt.Errorf("the policy has no registry %q", name)
	}
	options, err := r.options(name, what)
	if err != nil {
		return nil, err
	}
	reg, err := all.Open(what.ProviderName(), options)
	if err != nil {
		return nil, err
	}
	r.open[name] = reg
	return reg, nil
}

// options says in the providers' words what the policy says of a registry.
func (r *registries) options(name string, what policy.Registry) (all.Options, error) {
	proxy, err := what.Proxy.Resolve()
	if err != nil {
		return all.Options{}, fmt.Errorf("proxy: %w", err)
	}
	perSecond, burst := pace(what.Limits.Requests)
	who, keychain := credentials(what.ProviderName(), what.Auth)
	o := all.Options{
		Host: what.Endpoint(), Path: what.Path, API: what.APIEndpoint(), PlainHTTP: what.PlainHTTP,
		CAFile: what.CAFile, CertFile: what.ClientCert, KeyFile: what.ClientKey, Proxy: proxy,
		Authenticator: who, Keychain: keychain, TokenRealm: what.TokenRealm, TrustHosts: what.TrustHosts,
		Push: r.isTarget(name), ResourceID: what.ResourceID,
		Width: what.Limits.Width, Requests: perSecond, Burst: burst,
		ReadBytes: float64(what.Limits.Bytes), WriteBytes: float64(what.Limits.Bytes),
		UserAgent: "transship/" + thisBuild().Version, Logger: r.log, Retry: r.retry,
		Capabilities: map[string]providers.Tri{}, Quotas: map[string]providers.Rate{},
	}
	if r.observe != nil {
		o.Observe = func(q all.Request) { r.observe(o.Host, q) }
	}
	if p := what.Reserve; !p.IsZero() {
		share := p.Of100 / 100
		o.Reserve = &share
	}
	for quota, rate := range what.Limits.Quotas {
		o.Quotas[quota] = providers.Rate{N: float64(rate.Count), Per: rate.Per}
	}
	for ability, is := range what.Capabilities {
		var t providers.Tri
		if err := t.UnmarshalText([]byte(is)); err != nil {
			return o, fmt.Errorf("capabilities.%s: %w", ability, err)
		}
		o.Capabilities[ability] = t
	}
	return o, cloudOptions(&o, what)
}

// pace says how a bound such as 100/6h is kept: in no window of that length are
// there more requests. Half may come at once, the rest is spread over the window.
// A bound for a second or less is an average.
func pace(r policy.Rate) (perSecond, burst float64) {
	if r.Per <= time.Second || r.Count < 2 {
		return r.PerSecond(), 0
	}
	return r.PerSecond() / 2, float64(r.Count / 2)
}

// isTarget reports whether some rule writes to the registry.
func (r *registries) isTarget(name string) bool {
	for _, rule := range r.set.Rules {
		for _, t := range rule.To {
			if t.Registry == name {
				return true
			}
		}
	}
	return false
}

// close closes those that were opened.
func (r *registries) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, reg := range r.open {
		errs = append(errs, reg.Close())
	}
	return errors.Join(errs...)
}
