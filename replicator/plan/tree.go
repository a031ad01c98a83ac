package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// A trouble is why a manifest cannot be brought. With kind "" it is only that
// something has to be read first.
type trouble struct {
	kind         Left
	reason, hint string
	lack         string // the capability for which the target cannot hold it
	cause        providers.Kind
	side         string
	until        time.Time // of what waits for the source's allowance
}

// failed is the trouble of what could not be surveyed, or waits.
func failed(f Failure) *trouble {
	return &trouble{kind: f.Left(), reason: f.Reason, hint: f.Hint, cause: f.Kind, side: f.Side, until: f.Until}
}

func waiting() *trouble { return &trouble{} }

// refuse reports t about w, unless it is only waiting.
func (t *trouble) refuse(j *judge, w Want) {
	if t.kind == "" {
		return
	}
	j.refuse(w, t.kind, t.reason, t.hint)
	last := &j.plan.Kept[len(j.plan.Kept)-1]
	last.Cause, last.Side, last.Until = t.cause, t.side, t.until
}

// worse returns the trouble that counts: a real one before one that waits.
func worse(a, b *trouble) *trouble {
	if a == nil || a.kind == "" && b != nil {
		return b
	}
	return a
}

// A tree builds the nodes of one image from what was read of its source.
type tree struct {
	j     *judge
	src   *Source
	rule  *Rule
	probe bool // what state says of manifests at the target does not count: they are looked for
	doubt bool // what state says to be there is looked for too
	nodes int
}

// maxNodes bounds one image: an index may list others that list it all again.
const maxNodes = 2 * providers.MaxChildren

func (j *judge) tree(w Want, probe bool) *tree {
	return &tree{j: j, src: j.f.Sources[w.From], rule: w.Rule, probe: probe}
}

// root returns the node of an image's root.
func (t *tree) root(digest v1.Hash) (Node, *trouble) {
	return t.node(v1.Descriptor{Digest: digest}, 1)
}

// node returns d's node with everything that the rule selects below it.
func (t *tree) node(d v1.Descriptor, depth int) (Node, *trouble) {
	if t.nodes++; depth > providers.MaxDepth || t.nodes > maxNodes {
		return Node{}, &trouble{kind: LeftFailed,
			reason: fmt.Sprintf("at %s the index is nested deeper than %d, or lists more than %d manifests in all", d.Digest, providers.MaxDepth, maxNodes),
			hint:   "exclude the tag"}
	}
	m, bad := t.manifest(d.Digest)
	if bad != nil {
		return Node{}, bad
	}
	if providers.IsSchema1(m.MediaType) && t.j.f.Target.Caps.Schema1 == providers.No {
		return Node{}, lacks(providers.CapSchema1)
	}
	n := Node{Descriptor: m.Descriptor(), ArtifactType: m.ArtifactType}
	n.Platform = d.Platform
	blobs, bad := t.children(&n, m, depth)
	if bad != nil {
		return Node{}, bad
	}
	n.Blobs, bad = t.place(d.Digest, append(m.Blobs(), blobs...))
	if bad = cmp.Or(bad, t.fits(m, n.Blobs)); bad != nil {
		return Node{}, bad
	}
	return n, t.here(&n, depth > 1 && t.j.f.Target.Caps.SparseIndex != providers.No)
}

// manifest returns what was read, or asks for it.
func (t *tree) manifest(digest v1.Hash) (Manifest, *trouble) {
	if m, ok := t.src.Manifests[digest]; ok {
		return m, nil
	}
	if f, ok := t.src.Failed[digest.String()]; ok {
		if f.Kind == providers.NotFound { // of a root that would be no failure
			f.Hint = cmp.Or(f.Hint, "an index at the source lists it, and it is not there: push the index again, or exclude its tag")
		}
		return Manifest{}, failed(f)
	}
	t.j.want.at(t.src.Place).manifests[digest] = true
	return Manifest{}, waiting()
}

// children fills n's children from m, and returns the entries that are blobs.
func (t *tree) children(n *Node, m Manifest, depth int) (blobs []v1.Descriptor, bad *trouble) {
	taken, dropped := t.rule.selected(m.Children)
	seen, kept := map[v1.Hash]bool{}, map[v1.Hash]v1.Descriptor{}
	for _, d := range taken {
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		if !isManifest(d.MediaType) {
			blobs = append(blobs, d)
			kept[d.Digest] = d
			continue
		}
		child, b := t.node(d, depth+1)
		switch {
		case b == nil:
			n.Children = append(n.Children, child)
			kept[d.Digest] = child.Descriptor
		case b.kind == LeftSkipped:
			dropped = true
		default:
			bad = worse(bad, b)
		}
	}
	if bad != nil {
		return nil, bad
	}
	return blobs, t.narrow(n, m, kept, dropped)
}

// narrow makes n what is put of an index of which only kept is selected.
func (t *tree) narrow(n *Node, m Manifest, kept map[v1.Hash]v1.Descriptor, dropped bool) *trouble {
	changed := slices.ContainsFunc(n.Children, func(c Node) bool { return c.Source.Hex != "" })
	switch {
	case !dropped && !changed:
		return nil
	case len(kept) == 0:
		return &trouble{kind: LeftSkipped, reason: "it has none of the rule's platforms"}
	case t.rule.rewrites():
		raw, digest, err := rewrite(m.Raw, kept)
		if err != nil {
			return &trouble{kind: LeftFailed, reason: fmt.Sprintf("rewrite %s: %v", m.Digest, err),
				hint: "use platforms.mode: sparse, or copy all platforms"}
		}
		n.Raw, n.Source, n.Digest, n.Size = raw, m.Digest, digest, int64(len(raw))
	case t.j.f.Target.Caps.SparseIndex == providers.No:
		return lacks(providers.CapSparse)
	}
	return nil
}

// here notes whether the target holds n with all that is below: the manifest
// alone does not prove it. unguarded says that the target might take an index
// without n, so that what state believes of n is not enough.
func (t *tree) here(n *Node, unguarded bool) *trouble {
	for _, c := range n.Children {
		if !c.Here {
			return nil
		}
	}
	here, known := t.j.present(n.Digest, t.probe, unguarded || t.doubt)
	if !known {
		return waiting()
	}
	n.Here = here
	return nil
}

// holds reports whether state believes that the target has the content. It asks
// where it was not told.
func (j *judge) holds(digest v1.Hash) bool {
	if j.f.Target.Absent {
		return false
	}
	where := j.where(digest)
	return len(where) > 0 && where[0] == j.f.Target.Place.Repo
}

func (j *judge) where(digest v1.Hash) []string {
	where, told := j.f.Target.Where[digest]
	if !told {
		j.want.locate[digest] = true
	}
	return where
}

// present reports whether the target has a manifest. What state believes is
// enough unless probe or doubt say otherwise: then it is looked for, with doubt
// only where state believes that it is there.
func (j *judge) present(digest v1.Hash, probe, doubt bool) (here, known bool) {
	t := &j.f.Target
	if t.Absent || t.Listed && len(t.Tags) == 0 && probe && len(t.Ours) == 0 && !j.bare {
		return false, true
	}
	held := j.holds(digest)
	if _, told := t.Where[digest]; !told {
		return false, false
	}
	if !probe && !(held && doubt) {
		return held, true
	}
	here, known = t.Seen[digest]
	if !known {
		j.want.probe[digest] = true
	}
	return here, known
}

// place says for each blob of manifest how it is expected to get to the target.
func (t *tree) place(manifest v1.Hash, blobs []v1.Descriptor) (out []Blob, bad *trouble) {
	seen := map[v1.Hash]bool{}
	for _, d := range blobs {
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		b := Blob{Descriptor: v1.Descriptor{MediaType: d.MediaType, Size: d.Size, Digest: d.Digest, URLs: d.URLs}}
		_, told := t.j.f.Target.Where[d.Digest]
		t.j.placeBlob(&b, t.rule.CopyForeign)
		if told && b.Have == Upload {
			b.Readers, told = t.j.readers(t.rule, manifest, d.Digest)
		}
		if !told {
			bad = waiting()
		}
		out = append(out, b)
	}
	return out, bad
}

// maxFrom is how many repositories to mount from a plan names.
const maxFrom = 3

func (j *judge) placeBlob(b *Blob, copyForeign bool) {
	siblings := slices.DeleteFunc(slices.Clone(j.where(b.Digest)), func(repo string) bool {
		return repo == j.f.Target.Place.Repo
	})
	b.From = siblings[:min(len(siblings), maxFrom)]
	switch {
	case j.holds(b.Digest):
		b.Have, b.From = Here, nil
	case providers.Foreign(b.Descriptor) && !copyForeign:
		b.Have, b.From = Foreign, nil
	case len(siblings) > 0 && j.f.Target.Caps.Mount != providers.No:
		b.Have = Mount
	default:
		b.Have = Upload
	}
	if len(b.From) == 0 {
		b.From = nil
	}
}
