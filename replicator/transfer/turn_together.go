package transfer

import (
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/replicator/plan"
)

// together notes which blobs go to several registries: their turns are asked for
// together, so that who reads a blob does so for all of them.
func (r *run) together(plans []plan.Plan) {
	if r.t.opts.Turns == nil || len(plans) < 2 {
		return
	}
	hosts := map[v1.Hash]map[string]bool{}
	for i := range plans {
		reg, err := r.t.opts.Registries(plans[i].Target.Registry)
		if err != nil {
			continue // its images will say so
		}
		for j := range plans[i].Images {
			for _, b := range blobsOf(&plans[i].Images[j]) {
				if b.Have != plan.Upload && b.Have != plan.Shared || !asksTurn(b) {
					continue
				}
				if hosts[b.Digest] == nil {
					hosts[b.Digest] = map[string]bool{}
				}
				hosts[b.Digest][reg.Host()] = true
			}
		}
	}
	r.also = map[v1.Hash][]string{}
	for blob, at := range hosts {
		if len(at) > 1 {
			r.also[blob] = slices.Sorted(maps.Keys(at))
		}
	}
}

// spare notes what ends turns that may come to no use.
func (r *run) spare(end func()) {
	if end == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spares = append(r.spares, end)
}

// endSpares ends what was claimed beside and not used. Who still comes to use it asks
// again.
func (r *run) endSpares() {
	r.mu.Lock()
	spares := r.spares
	r.spares = nil
	r.mu.Unlock()
	for _, end := range spares {
		end()
	}
}
