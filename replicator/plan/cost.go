package plan

import (
	"iter"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// share marks the blobs that an earlier image of p brings, and counts p's cost.
func share(p *Plan, caps providers.Caps) {
	first := map[v1.Hash]string{}
	for i := range p.Images {
		for n := range p.Images[i].nodes() {
			shareBlobs(n.Blobs, p.Target.Repo, first, caps)
		}
	}
	p.Cost = costOf(p, map[v1.Hash]bool{})
}

// shareBlobs marks what an earlier image brings to the registry, and notes in
// first the repository that gets each of the others.
func shareBlobs(blobs []Blob, repo string, first map[v1.Hash]string, caps providers.Caps) {
	for i := range blobs {
		b := &blobs[i]
		if b.Have != Upload {
			continue
		}
		at, again := first[b.Digest]
		switch {
		case !again:
			first[b.Digest] = repo
		case at == repo || caps.Mount != providers.No:
			b.Have, b.From = Shared, []string{at}
		}
	}
}

// Share marks in plans, which are those of one run in their order, the blobs
// that an earlier plan brings to the same registry, and returns the cost of all.
// caps tells what a registry of the policy can do, price its egress price in USD
// per GB of 1e9 bytes. Plans are changed in place.
func Share(plans []Plan, caps func(registry string) providers.Caps, price func(registry string) float64) Cost {
	first := map[string]map[v1.Hash]string{}
	for i := range plans {
		p := &plans[i]
		registry := p.Target.Registry
		if first[registry] == nil {
			first[registry] = map[v1.Hash]string{}
		}
		can := caps(registry)
		for k := range p.Images {
			for n := range p.Images[k].nodes() {
				shareBlobs(n.Blobs, p.Target.Repo, first[registry], can)
			}
		}
	}
	return Totals(plans, price)
}

// Totals counts the cost of plans that are one run, and sets each plan's own.
// Bytes to read are counted once over all of them; a plan's own cost counts them
// for itself.
func Totals(plans []Plan, price func(registry string) float64) Cost {
	var sum Cost
	read, paid := map[v1.Hash]bool{}, map[v1.Hash]bool{}
	for i := range plans {
		p := &plans[i]
		sum.add(costOf(p, read))
		sum.Price += readPrice(p, paid, price)
		p.Cost = costOf(p, map[v1.Hash]bool{})
		p.Cost.Price = readPrice(p, map[v1.Hash]bool{}, price)
	}
	return sum
}

func (c *Cost) add(d Cost) {
	c.Tags += d.Tags
	c.Manifests += d.Manifests
	c.Uploads += d.Uploads
	c.Mounts += d.Mounts
	c.Present += d.Present
	c.Bytes += d.Bytes
	c.Saved += d.Saved
	c.Read += d.Read
}

// costOf counts p, without reading again what read has; it adds to that.
func costOf(p *Plan, read map[v1.Hash]bool) Cost {
	var c Cost
	put, blobs := map[v1.Hash]bool{}, map[v1.Hash]bool{}
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
			if !n.Here && !put[n.Digest] && !byTag {
				c.Manifests++
			}
			put[n.Digest] = true
			for _, b := range n.Blobs {
				if !blobs[b.Digest] {
					blobs[b.Digest] = true
					c.blob(b, read)
				}
			}
		}
	}
	return c
}

func (c *Cost) blob(b Blob, read map[v1.Hash]bool) {
	size := max(b.Size, 0)
	switch b.Have {
	case Here:
		c.Present++
		c.Saved += size
	case Mount, Shared:
		c.Mounts++
		c.Saved += size
	case Upload:
		c.Uploads++
		c.Bytes += size
		if !read[b.Digest] {
			read[b.Digest] = true
			c.Read += size
		}
	}
}

func readPrice(p *Plan, paid map[v1.Hash]bool, price func(registry string) float64) float64 {
	var usd float64
	for i := range p.Images {
		img := &p.Images[i]
		perGB := price(img.From.Registry)
		for n := range img.nodes() {
			for _, b := range n.Blobs {
				if b.Have == Upload && !paid[b.Digest] {
					paid[b.Digest] = true
					usd += float64(max(b.Size, 0)) / 1e9 * perGB
				}
			}
		}
	}
	return usd
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
