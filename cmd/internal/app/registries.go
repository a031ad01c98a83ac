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

// registries are those of a policy, opened when they are first asked for, and each
// once. It is safe for concurrent use.
type registries struct {
	set  *policy.Set
	pool *pool

	mu     sync.Mutex
	lent   map[string]*lent
	closed bool
}

// newRegistries is for a process with one policy.
func newRegistries(set *policy.Set, log *slog.Logger) *registries {
	return newPool(log).of(set)
}

// get returns the registry of that name in the policy; who asks adds the name to
// an error.
func (r *registries) get(name string) (providers.Registry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lent[name]; l != nil {
		return l.reg, nil
	}
	what, ok := r.set.Registries[name]
	if !ok {
		return nil, fmt.Errorf("the policy has no registry %q", name)
	}
	if r.closed {
		return nil, errClosed
	}
	l, err := r.pool.lend(name, what, r.isTarget(name))
	if err != nil {
		return nil, err
	}
	r.lent[name] = l
	return l.reg, nil
}

// options says in the providers' words what the policy says of a registry.
func (p *pool) options(what policy.Registry, push bool) (all.Options, error) {
	proxy, err := what.Proxy.Resolve()
	if err != nil {
		return all.Options{}, fmt.Errorf("proxy: %w", err)
	}
	who, keychain := credentials(what.ProviderName(), what.Auth)
	o := all.Options{
		Host: what.Endpoint(), Path: what.Path, API: what.APIEndpoint(), PlainHTTP: what.PlainHTTP,
		CAFile: what.CAFile, CertFile: what.ClientCert, KeyFile: what.ClientKey, Proxy: proxy,
		Authenticator: who, Keychain: keychain, TokenRealm: what.TokenRealm, TrustHosts: what.TrustHosts,
		Push: push, ResourceID: what.ResourceID,
		UserAgent: "transship/" + thisBuild().Version, Logger: p.log, Retry: p.retry,
		Capabilities: map[string]providers.Tri{}, Quotas: map[string]providers.Rate{},
	}
	limits(&o, what.Limits, &p.among)
	o.Together, o.Watch, o.Among = p.together, p.watch(o.Host), &p.among
	if p.observe != nil {
		o.Observe = func(q all.Request) { p.observe(o.Host, q) }
	}
	if reserve := what.Reserve; !reserve.IsZero() {
		share := reserve.Of100 / 100
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

// limits are those that an open registry can be given, too, and its width.
func limits(o *all.Options, l policy.Limits, among *all.Among) {
	o.Requests, o.Burst = pace(l.Requests)
	o.Bytes = paceOf(l.Pace(), among)
	o.Width = l.Width
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

// close gives back those that were opened.
func (r *registries) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for _, l := range r.lent {
		errs = append(errs, r.pool.giveBack(l))
	}
	clear(r.lent)
	return errors.Join(errs...)
}

var errClosed = errors.New("the registries of this policy are closed")
