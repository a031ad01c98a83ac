package plan

// offload has the target read root, with all that is below it, from the source itself,
// where the rule says so and something would be sent otherwise. What the target does
// not import is sent: a rewritten index, more manifests than it takes at a time, layers
// whose bytes are elsewhere.
func (j *judge) offload(r *Rule, root *Node) {
	most := j.f.Target.Caps.Import
	if !r.Import || most == 0 || root.Here || root.Source.Hex != "" || len(r.Platforms.Only) > 0 {
		return
	}
	manifests, uploads := 0, 0
	whole := root.walk(func(n *Node) bool {
		manifests++
		for _, b := range n.Blobs {
			switch b.Have {
			case Foreign:
				return false
			case Upload, Shared:
				uploads++
			}
		}
		return manifests <= most
	})
	if !whole || uploads == 0 {
		return
	}
	root.walk(func(n *Node) bool {
		for i := range n.Blobs {
			if b := &n.Blobs[i]; b.Have != Here {
				b.Have, b.From, b.Readers = Import, nil, nil
			}
		}
		return true
	})
}

// Imports reports whether the target is to read the image itself.
func (img *Image) Imports() bool {
	return !img.Root.walk(func(n *Node) bool {
		for _, b := range n.Blobs {
			if b.Have == Import {
				return false
			}
		}
		return true
	})
}
