package layout

import (
	"context"
	"errors"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// A node is what one manifest says of others. Manifests never change, so it is
// kept; a manifest that is not there yet is looked for again.
type node struct {
	desc     v1.Descriptor // with artifact type and annotations, as referrers are listed
	subject  v1.Hash
	children []v1.Descriptor
}

// node returns what the manifest of d says.
func (p *repo) node(d v1.Descriptor) (node, error) {
	p.mu.Lock()
	n, known := p.nodes[d.Digest]
	p.mu.Unlock()
	if known {
		return n, nil
	}
	m, err := p.manifest("read manifest", d)
	if err != nil {
		return node{}, err
	}
	c, err := providers.Parse(m)
	if err != nil {
		return node{}, err
	}
	n = node{desc: m.Descriptor(), children: c.Children}
	n.desc.ArtifactType, n.desc.Annotations = c.ArtifactType, c.Annotations
	if c.Subject != nil {
		n.subject = c.Subject.Digest
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes[d.Digest] = n
	return n, nil
}

// all returns every manifest that the index leads to, each once, parents first.
// One that is missing or damaged is a node that says nothing.
func (p *repo) all(ctx context.Context, ix *index) ([]node, error) {
	var found []node
	seen := map[v1.Hash]bool{}
	level := ix.entries
	for depth := 0; len(level) > 0 && depth <= providers.MaxDepth; depth++ {
		var below []v1.Descriptor
		for _, d := range level {
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
			if seen[d.Digest] {
				continue
			}
			seen[d.Digest] = true
			n, err := p.node(d)
			if err != nil {
				if errors.Is(err, errNoManifest) || depth > 0 && providers.KindOf(err) == providers.NotFound {
					continue
				}
				n = node{desc: v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}}
			}
			found = append(found, n)
			below = append(below, n.children...)
		}
		level = below
	}
	return found, nil
}

// Referrers lists the manifests in the layout whose subject is the given one.
func (r *Registry) Referrers(ctx context.Context, name string, subject v1.Hash) ([]v1.Descriptor, error) {
	const op = "list referrers"
	p, err := r.existing(ctx, op, name)
	if err != nil {
		return nil, err
	}
	ix, err := p.current(ctx, op)
	if err != nil {
		return nil, err
	}
	nodes, err := p.all(ctx, ix)
	if err != nil {
		return nil, err
	}
	var found []v1.Descriptor
	for _, n := range nodes {
		if n.subject == subject {
			d := n.desc
			d.Annotations = maps.Clone(d.Annotations)
			found = append(found, d)
		}
	}
	return found, nil
}
