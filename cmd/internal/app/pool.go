package app

import (
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/all"
)

// A pool has the registries that are open, for the policies that follow one another
// in a daemon. A registry whose settings are the same in the next policy is kept,
// with its tokens, its width and whatever it has learned of its host; one whose
// settings changed is opened anew, and keeps within the limits together with the one
// before it. A registry is closed when no policy that still runs has it. It is safe
// for concurrent use.
type pool struct {
	log     *slog.Logger
	retry   all.Retry                        // zero is the providers' default
	observe func(host string, r all.Request) // told of each request; may be nil

	// Told of what waits, and that a host wants to be asked less; may be nil.
	waited    func(host, why string, took time.Duration)
	throttled func(host string)

	together all.Together
	among    all.Among // the replicas, which have all limits together

	mu     sync.Mutex // also held while files are read, of settings and by what is opened
	latest *policy.Set
	open   map[string][]*lent // by name, the one opened last at the end

	bounds sync.Mutex // of links: a blob that is under way waits for no file
	links  map[[2]string]*all.Bytes
}

// newPool returns a pool of registries that are yet to be opened.
func newPool(log *slog.Logger) *pool {
	return &pool{log: log, together: all.Together{Reads: all.NewBytes(nil), Writes: all.NewBytes(nil)},
		open: map[string][]*lent{}, links: map[[2]string]*all.Bytes{}}
}

// lent is a registry that is open.
type lent struct {
	name string
	as   settings
	reg  providers.Registry

	users int
}

// of returns the registries of set, which comes into force: those that are open and
// set alike are kept, by the limits that set gives them.
func (p *pool) of(set *policy.Set) *registries {
	r := &registries{set: set, pool: p, lent: map[string]*lent{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest = set
	p.flow(set.Limits)
	for name := range p.open {
		what, ok := set.Registries[name]
		if !ok {
			continue
		}
		if l := p.like(name, settingsOf(what, r.isTarget(name))); l != nil {
			p.limit(l.reg, what)
			l.users++
			r.lent[name] = l
		}
	}
	return r
}

// limit gives an open registry the limits of what.
func (p *pool) limit(reg providers.Registry, what policy.Registry) {
	var o all.Options
	limits(&o, what.Limits, &p.among)
	all.SetLimits(reg, o)
}

// like returns the open registry of these settings, nil if there is none. The caller
// holds p.mu.
func (p *pool) like(name string, as settings) *lent {
	i := slices.IndexFunc(p.open[name], func(l *lent) bool { return reflect.DeepEqual(l.as, as) })
	if i < 0 {
		return nil
	}
	return p.open[name][i]
}

// lend returns the registry what, opened if it is not open yet. It is given back once.
func (p *pool) lend(name string, what policy.Registry, push bool) (*lent, error) {
	as := settingsOf(what, push)
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.like(name, as); l != nil {
		l.users++
		return l, nil
	}
	options, err := p.options(p.inForce(name, what), push)
	if err != nil {
		return nil, err
	}
	options.Instead = p.before(name, what)
	reg, err := all.Open(what.ProviderName(), options)
	if err != nil {
		return nil, err
	}
	l := &lent{name: name, as: as, reg: reg, users: 1}
	p.open[name] = append(p.open[name], l)
	return l, nil
}

// inForce is what with the limits of the policy in force: one before it, which still
// runs, may ask for a registry, too.
func (p *pool) inForce(name string, what policy.Registry) policy.Registry {
	if now, ok := p.latest.Registries[name]; ok && sameHost(now, what) {
		what.Limits = now.Limits
	}
	return what
}

// before is the open registry whose place one takes that is opened now; nil if there
// is none.
func (p *pool) before(name string, what policy.Registry) providers.Registry {
	for _, l := range slices.Backward(p.open[name]) {
		if sameHost(l.as.what, what) {
			return l.reg
		}
	}
	return nil
}

func sameHost(a, b policy.Registry) bool {
	return a.ProviderName() == b.ProviderName() && a.Endpoint() == b.Endpoint()
}

// giveBack closes l if nobody else has it.
func (p *pool) giveBack(l *lent) error {
	p.mu.Lock()
	l.users--
	last := l.users == 0
	if last {
		p.open[l.name] = slices.DeleteFunc(p.open[l.name], func(o *lent) bool { return o == l })
		if len(p.open[l.name]) == 0 {
			delete(p.open, l.name)
		}
	}
	p.mu.Unlock()
	if !last {
		return nil
	}
	return l.reg.Close()
}
