package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Run adds up plans that are carried out together. It holds 12 bytes of each
// digest that is to be sent, not the plans.
type Run struct {
	cost       Cost
	repos      []string          // that bring something first
	numbers    map[Place]int32   // of repos
	registries map[string]places // by name
}

// places has the number of the repository that gets a digest first.
type places map[brief]int32

// A brief is the first 96 bits of a digest. Two of ten million are the same with a
// chance of one in 10^15, and then an estimate is off by a blob.
type brief [12]byte

func briefOf(h v1.Hash) (b brief) {
	if n, err := hex.Decode(b[:], []byte(h.Hex[:min(len(h.Hex), 2*len(b))])); err != nil || n < len(b) || h.Algorithm != "sha256" {
		sum := sha256.Sum256([]byte(h.String()))
		copy(b[:], sum[:])
	}
	return b
}

// NewRun returns a Run of no plans.
func NewRun() *Run {
	return &Run{numbers: map[Place]int32{}, registries: map[string]places{}}
}

// Add marks in p the blobs that an earlier plan of the run, or an earlier image of
// p, brings to the same registry, sets p's cost, and adds it to the run's.
func (r *Run) Add(p *Plan) {
	r.share(p)
	p.Cost = Totals([]Plan{*p})
	r.cost.addPlan(p, func(key brief) bool { return r.earlier(p.Target, key) })
}

// earlier reports whether another plan than that for place sends a digest: then it
// is read already.
func (r *Run) earlier(place Place, key brief) bool {
	for name, first := range r.registries {
		if at, ok := first[key]; ok && (name != place.Registry || at != r.number(place)) {
			return true
		}
	}
	return false
}

// Cost returns what all plans come to: bytes to read are counted once over all of
// them, by the price of the first that needs them.
func (r *Run) Cost() Cost { return r.cost }

func (r *Run) share(p *Plan) {
	if r.registries[p.Target.Registry] == nil {
		r.registries[p.Target.Registry] = places{}
	}
	for i := range p.Images {
		for n := range p.Images[i].nodes() {
			r.shareBlobs(n.Blobs, p)
		}
	}
}

func (r *Run) shareBlobs(blobs []Blob, p *Plan) {
	first := r.registries[p.Target.Registry]
	for i := range blobs {
		b := &blobs[i]
		if b.Have != Upload {
			continue
		}
		key := briefOf(b.Digest)
		at, again := first[key]
		switch {
		case !again:
			first[key] = r.number(p.Target)
		case r.repos[at] == p.Target.Repo:
			b.Have = Shared
		case !p.Mountless:
			b.Have, b.From = Shared, []string{r.repos[at]}
		}
	}
}

func (r *Run) number(p Place) int32 {
	n, ok := r.numbers[p]
	if !ok {
		n = int32(len(r.repos))
		r.numbers[p], r.repos = n, append(r.repos, p.Repo)
	}
	return n
}

// Share is [Run.Add] for plans that are one run in their order, and returns the
// cost of all together. Plans are changed in place.
func Share(plans []Plan) Cost {
	r := NewRun()
	for i := range plans {
		r.Add(&plans[i])
	}
	return r.Cost()
}

// Totals counts the cost of plans that are one run, of which nothing is marked.
func Totals(plans []Plan) Cost {
	var sum Cost
	read := map[brief]bool{}
	for i := range plans {
		sum.addPlan(&plans[i], func(key brief) bool {
			was := read[key]
			read[key] = true
			return was
		})
	}
	return sum
}

// addPlan counts p, without reading again what was read before. That is asked for
// each blob that p sends, once.
func (c *Cost) addPlan(p *Plan, before func(brief) bool) {
	put, placed := map[brief]bool{}, map[brief]bool{}
	for i := range p.Images {
		img := &p.Images[i]
		for _, t := range img.Tags {
			if t.Why.Puts() {
				c.Tags++
				c.Manifests++
			}
		}
		for n := range img.nodes() {
			byTag := n.Digest == img.Root.Digest && len(img.Tags) > 0
			node := briefOf(n.Digest)
			if !n.Here && !put[node] && !byTag {
				c.Manifests++
			}
			put[node] = true
			for _, b := range n.Blobs {
				if key := briefOf(b.Digest); !placed[key] {
					placed[key] = true
					c.addBlob(p, img, b, before)
				}
			}
		}
	}
}

func (c *Cost) addBlob(p *Plan, img *Image, b Blob, before func(brief) bool) {
	size := max(b.Size, 0)
	switch b.Have {
	case Here:
		c.Present++
		c.Saved += size
	case Mount, Shared:
		c.Mounts++
		c.Saved += size
	case Import:
		c.Imports++
		c.Imported += size
	case Upload:
		c.Uploads++
		c.Bytes += size
		if !before(briefOf(b.Digest)) {
			from := p.reads(img, b).Registry
			c.Read += size
			c.Price += float64(size) / 1e9 * p.Prices[from]
			c.nearer(p, from, img.From.Registry, size)
		}
	}
}

// nodes yields the image's nodes in the order in which they are put: what is
// below the root, its referrers with what is below them, and last the root.
func (img *Image) nodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for i := range img.Root.Children {
			if !img.Root.Children[i].walk(yield) {
				return
			}
		}
		for i := range img.Referrers {
			if !img.Referrers[i].walk(yield) {
				return
			}
		}
		yield(&img.Root)
	}
}

// Absent yields the image's manifests that the target is to be given, in the order
// in which they are put.
func (img *Image) Absent() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for n := range img.nodes() {
			if !n.Here && !yield(n) {
				return
			}
		}
	}
}

// walk yields what is below n, and then n.
func (n *Node) walk(yield func(*Node) bool) bool {
	for i := range n.Children {
		if !n.Children[i].walk(yield) {
			return false
		}
	}
	return yield(n)
}

// Empty reports whether p changes nothing at its target.
func (p Plan) Empty() bool { return len(p.Images) == 0 }
