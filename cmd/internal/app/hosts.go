package app

import (
	"cmp"
	"maps"
	"slices"

	"github.com/transship/transship/cmd/internal/metrics"
	"github.com/transship/transship/providers/all"
)

// hosts tell how the hosts of open registries are asked now. What two names have in
// common, as seen through two credentials, is one host, with the widths of both.
func (p *pool) hosts() []metrics.Host {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := map[string]*metrics.Host{}
	for _, list := range p.open {
		l := list[len(list)-1] // those before it at the same host share its limits; at another they end soon
		load, ok := all.LoadOf(l.reg)
		if !ok {
			continue
		}
		host := l.as.what.Endpoint()
		if found[host] == nil {
			found[host] = &metrics.Host{Name: host, Quotas: map[string]float64{}}
		}
		found[host].Width += load.Width
		found[host].Reads += load.Reads
		found[host].Writes += load.Writes
		for quota, share := range load.Quotas {
			found[host].Quotas[quota] = min(cmp.Or(found[host].Quotas[quota], share), share)
		}
	}
	var hosts []metrics.Host
	for _, name := range slices.Sorted(maps.Keys(found)) {
		hosts = append(hosts, *found[name])
	}
	return hosts
}
