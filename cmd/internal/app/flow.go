package app

import (
	"context"
	"time"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/all"
	"github.com/transship/transship/replicator/transfer"
)

// paceOf is our part of a pace, in the providers' words: it is asked again whenever
// the number of those who have it together may be another one.
func paceOf(p policy.Pace, among *all.Among) func(time.Time) (float64, time.Time) {
	return func(at time.Time) (float64, time.Time) {
		bytes, until := p.At(at)
		if again := at.Add(countEvery); until.IsZero() || again.Before(until) {
			until = again
		}
		return float64(bytes) / float64(among.N()), until
	}
}

// flow puts in force what all registries and what links keep to, for what is under way,
// too. The caller holds p.mu.
func (p *pool) flow(f policy.Flow) {
	p.together.Reads.Set(paceOf(f.Pace(), &p.among))
	p.together.Writes.Set(paceOf(f.Pace(), &p.among))
	bounded := map[[2]string]bool{}
	for _, l := range f.Links {
		between := [2]string{l.From, l.To}
		bounded[between] = true
		p.between(between).Set(paceOf(l.Pace(), &p.among))
	}
	p.bounds.Lock()
	defer p.bounds.Unlock()
	for between, bytes := range p.links {
		if !bounded[between] {
			bytes.Set(nil)
		}
	}
}

// between is the bound of a link.
func (p *pool) between(names [2]string) *all.Bytes {
	p.bounds.Lock()
	defer p.bounds.Unlock()
	if p.links[names] == nil {
		p.links[names] = all.NewBytes(nil)
	}
	return p.links[names]
}

// link is what bounds the bytes of a link. One that has no bound has one once a policy
// says so, for what is under way, too. What waits for it waits for the host that to is
// in this policy, which may not be the last any more.
func (r *registries) link(from, to string) transfer.Flow {
	return &linkFlow{bytes: r.pool.between([2]string{from, to}), watch: r.pool.watch(r.set.Registries[to].Endpoint())}
}

// forLink is what waits for the bound of a link, beside the reasons of a host.
const forLink all.Reason = "link"

// A linkFlow tells of what waits for it.
type linkFlow struct {
	bytes *all.Bytes
	watch all.Watch
}

// Take implements [transfer.Flow].
func (l *linkFlow) Take(ctx context.Context, n int) error {
	start := time.Now()
	err := l.bytes.Take(ctx, n)
	l.watch.Since(forLink, start)
	return err
}

// watch tells of what the requests to a host wait for.
func (p *pool) watch(host string) all.Watch {
	var w all.Watch
	if p.waited != nil {
		w.Waited = func(why all.Reason, took time.Duration) { p.waited(host, string(why), took) }
	}
	if p.throttled != nil {
		w.Throttled = func() { p.throttled(host) }
	}
	return w
}
