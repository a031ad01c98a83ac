package plan

import (
	"cmp"
	"math"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
)

// maxReaders is how many places of other registries a plan names for a blob.
const maxReaders = 4

// readers returns where else than at the source a blob of manifest may be read:
// repositories of the rule's readers that are believed to hold either, in the order
// of the readers. A registry that accepted a manifest has its blobs. Told is false
// if that has to be asked first.
func (j *judge) readers(r *Rule, manifest, blob v1.Hash) (all []Place, told bool) {
	if len(r.Readers) == 0 {
		return nil, true
	}
	told = true
	var places []Place
	for _, d := range []v1.Hash{blob, manifest} {
		known, ok := j.f.Elsewhere[d]
		if !ok {
			j.want.elsewhere[d] = true
			told = false
		}
		places = append(places, known...)
	}
	for _, reader := range r.Readers {
		for _, at := range places {
			if at.Registry == reader.Registry && !slices.Contains(all, at) && len(all) < maxReaders {
				all = append(all, at)
			}
		}
	}
	return all, told
}

// Nearest sorts the places where one blob of img may be read, by what that costs.
// On equal price the target's own registry comes before others, those before the
// source; what readFrom lists counts as no dearer than the source. The order of
// equals stays.
func (p *Plan) Nearest(img *Image, places []Place) {
	slices.SortStableFunc(places, func(a, b Place) int { return p.distance(img, a).compare(p.distance(img, b)) })
}

type distance struct {
	price float64 // that counts
	kind  int
	own   float64
}

func (d distance) compare(e distance) int {
	return cmp.Or(cmp.Compare(d.price, e.price), cmp.Compare(d.kind, e.kind), cmp.Compare(d.own, e.own))
}

func (p *Plan) distance(img *Image, at Place) distance {
	price := p.Prices[at.Registry]
	listed := slices.Contains(img.Readers, policy.Reader{Registry: at.Registry, Listed: true})
	switch {
	case at == img.From:
		return distance{price, 3, price}
	case at.Registry == p.Target.Registry:
		return distance{price, 0, price}
	case listed:
		return distance{min(price, p.Prices[img.From.Registry]), 1, price}
	}
	return distance{price, 2, price}
}

// reads returns where b, which is to be sent, is expected to be read.
func (p *Plan) reads(img *Image, b Blob) Place {
	if len(b.From)+len(b.Readers) == 0 {
		return img.From
	}
	places := make([]Place, 0, len(b.From)+len(b.Readers)+1)
	for _, repo := range b.From {
		places = append(places, Place{p.Target.Registry, repo})
	}
	places = append(append(places, b.Readers...), img.From)
	p.Nearest(img, places)
	return places[0]
}

// A Nearer is what is read from one registry instead of another, the source.
type Nearer struct {
	From   string  `json:"from"`
	Source string  `json:"insteadOf"`
	Bytes  int64   `json:"bytes"`
	Saved  float64 `json:"saved,omitempty"` // USD, below 0 if it costs more; where both have an egressPrice
}

// String says it in a clause.
func (n Nearer) String() string {
	text := Bytes(n.Bytes) + " from " + n.From + " instead of " + n.Source
	switch {
	case n.Saved > 0:
		return text + ", which saves " + Dollars(n.Saved)
	case n.Saved < 0:
		return text + ", which costs " + Dollars(-n.Saved) + " more"
	}
	return text
}

// nearer adds size bytes that are read at registry instead of the source.
func (c *Cost) nearer(p *Plan, registry, source string, size int64) {
	if registry == source {
		return
	}
	n := Nearer{From: registry, Source: source, Bytes: size}
	price, given := p.Prices[registry]
	if instead, both := p.Prices[source]; given && both {
		n.Saved = float64(size) / 1e9 * (instead - price)
	}
	at, found := slices.BinarySearchFunc(c.Nearer, n, func(a, b Nearer) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Source, b.Source))
	})
	if !found {
		c.Nearer = slices.Insert(c.Nearer, at, Nearer{From: registry, Source: source})
	}
	c.Nearer[at].Bytes += n.Bytes
	c.Nearer[at].Saved = math.Round((c.Nearer[at].Saved+n.Saved)*1e9) / 1e9
}

// elsewhere says what of img's bytes are read from other registries than its source.
func (p *Plan) elsewhere(img *Image) (list []Nearer) {
	var c Cost
	seen := map[v1.Hash]bool{}
	for n := range img.nodes() {
		for _, b := range n.Blobs {
			if b.Have == Upload && !seen[b.Digest] {
				seen[b.Digest] = true
				c.nearer(p, p.reads(img, b).Registry, img.From.Registry, max(b.Size, 0))
			}
		}
	}
	return c.Nearer
}
