package plan

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// children adds what refers to the children of g's root. The source is asked about
// them where the rule wants it, whenever it is asked about the root; otherwise
// tags and bulk listings tell. Of an image that is known to be complete, those are
// left to [judge.strays], so that its index is not read.
func (r *referring) children(g *group, root Node, ask bool) (bad *trouble) {
	ask = ask && g.Rule.Children && r.src.API != providers.No
	if r.sure && !ask {
		return nil
	}
	if r.sure {
		if _, bad := r.listed(g.Digest, true); bad != nil {
			return bad
		}
		if root, bad = r.outline(v1.Descriptor{Digest: g.Digest, MediaType: g.MediaType}, 1); bad != nil {
			return bad
		}
	}
	return r.below(root, ask)
}

// outline returns d's node with those below it that the rule selects, as far as
// the indexes alone say. One that a rewrite changes has a Source.
func (r *referring) outline(d v1.Descriptor, depth int) (Node, *trouble) {
	n := Node{Descriptor: d}
	r.nodes++
	if depth > providers.MaxDepth || r.nodes > maxNodes || d.MediaType != "" && !providers.IsIndex(d.MediaType) {
		return n, nil
	}
	m, bad := r.manifest(d.Digest)
	if bad != nil {
		return n, bad
	}
	taken, changed := r.rule.selected(m.Children)
	for _, c := range taken {
		if !isManifest(c.MediaType) {
			continue
		}
		child, b := r.outline(c, depth+1)
		bad = worse(bad, b)
		n.Children = append(n.Children, child)
		changed = changed || child.Source.Hex != ""
	}
	if changed && r.rule.rewrites() {
		n.Source = d.Digest
	}
	return n, bad
}

// below follows n's children. One that is wanted by a tag of its own has its
// referrers there.
func (r *referring) below(n Node, ask bool) (bad *trouble) {
	for _, c := range n.Children {
		if c.Source.Hex == "" && !r.j.roots[root{r.src.Place, c.Digest}] {
			bad = worse(bad, r.about(c.Digest, ask, 1))
		}
		bad = worse(bad, r.below(c, ask))
	}
	return bad
}
