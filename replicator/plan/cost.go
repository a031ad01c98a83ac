package plan

import (
	"iter"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// share marks the blobs that an earlier image brings to p's registry. first has
// the repository that gets each digest first; it is added to.
func share(p *Plan, first map[v1.Hash]string) {
	for i := range p.Images {
		for n := range p.Images[i].nodes() {
			shareBlobs(n.Blobs, p, first)
		}
	}
}

func shareBlobs(blobs []Blob, p *Plan, first map[v1.Hash]string) {
	for i := range blobs {
		b := &blobs[i]
		if b.Have != Upload {
			continue
		}
		at, again := first[b.Digest]
		switch {
		case !again:
			first[b.Digest] = p.Target.Repo
		case at == p.Target.Repo:
			b.Have = Shared
		case !p.Mountless:
			b.Have, b.From = Shared, []string{at}
		}
	}
}

// Share marks in plans, which are those of one run in their order, the blobs
// that an earlier plan brings to the same registry, and returns the cost of all
// together. Plans are changed in place.
func Share(plans []Plan) Cost {
	first := map[string]map[v1.Hash]string{}
	for i := range plans {
		registry := plans[i].Target.Registry
		if first[registry] == nil {
			first[registry] = map[v1.Hash]string{}
		}
		share(&plans[i], first[registry])
	}
	for i := range plans {
		plans[i].Cost = Totals(plans[i : i+1])
	}
	return Totals(plans)
}

// Totals counts the cost of plans that are one run: bytes to read are counted
// once over all of them, by the price of the first that needs them.
func Totals(plans []Plan) Cost {
	var sum Cost
	read := map[v1.Hash]bool{}
	for i := range plans {
		sum.addPlan(&plans[i], read)
	}
	return sum
}

// addPlan counts p, without reading again what read has; it adds to that.
func (c *Cost) addPlan(p *Plan, read map[v1.Hash]bool) {
	put, placed := map[v1.Hash]bool{}, map[v1.Hash]bool{}
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
				if !placed[b.Digest] {
					placed[b.Digest] = true
					c.addBlob(b, p.Prices[img.From.Registry], read)
				}
			}
		}
	}
}

func (c *Cost) addBlob(b Blob, price float64, read map[v1.Hash]bool) {
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
			c.Price += float64(size) / 1e9 * price
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
