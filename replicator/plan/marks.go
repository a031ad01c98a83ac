package plan

import (
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// Selections under which state remembers something else of a tag than that it was
// put. They begin with what no rule's fingerprint begins with.
const (
	// MergedSelection: what a tag of the source carries, see [Merge], is at the target.
	MergedSelection = "merged"
	// BrokenSelection: the tag was seen to be incomplete at the target. What state
	// does not say to be there, or cannot be seen there, is brought again. What is
	// wanted by its digest alone has a row under that digest instead of a tag, which
	// counts until state knows the manifest to be there again.
	BrokenSelection = "broken"
)

// leftOut is the selection of content that a rule's type filters leave out, so
// that it is not read again.
func leftOut(selection string) string { return "-" + selection }

// refused is the selection of content that the target cannot hold, so that it is
// not read again until the source, the rule or the capability changes.
func refused(capability, selection string) string { return "!" + capability + " " + selection }

// Marker reports whether f says something else than that the tag is right.
func (f Found) Marker() bool {
	return f.Selection == MergedSelection || f.Selection == BrokenSelection ||
		strings.HasPrefix(f.Selection, "-") || strings.HasPrefix(f.Selection, "!")
}

// lacks is the trouble with content for which the target needs a capability that
// it lacks.
func lacks(capability string) *trouble {
	if strings.HasPrefix(capability, providers.CapSizes) {
		return oversized(capability)
	}
	t := &trouble{kind: LeftRefused, lack: capability}
	switch capability {
	case providers.CapSchema1:
		t.reason = "the target does not take Docker schema 1 manifests"
		t.hint = "rebuild or pull and push the image at the source, so that it gets a current manifest"
	case providers.CapSparse:
		t.reason = "the target does not take an index with missing children"
		t.hint = "use platforms.mode: rewrite, or copy all platforms"
	}
	return t
}

// settledBefore reports whether state remembers that there is nothing to be done
// about w; what the target cannot hold is reported each time.
func (j *judge) settledBefore(w Want, known state.TargetTag) bool {
	if known.Source != w.Digest {
		return false
	}
	caps := j.f.Target.Caps
	switch known.Selection {
	case leftOut(w.Rule.Selection):
		return true
	case refused(providers.CapSchema1, w.Rule.Selection):
		return j.still(w, providers.CapSchema1, caps.Schema1)
	case refused(providers.CapSparse, w.Rule.Selection):
		return j.still(w, providers.CapSparse, caps.SparseIndex)
	case refused(sizes(caps), w.Rule.Selection):
		return j.still(w, sizes(caps), providers.No)
	}
	return false
}

func (j *judge) still(w Want, capability string, has providers.Tri) bool {
	if has == providers.No {
		lacks(capability).refuse(j, w)
	}
	return has == providers.No
}

// mark has state remember bad about w, where that will be so in the next pass too.
// What the target has under the tag stays known.
func (j *judge) mark(w Want, bad *trouble) {
	var selection string
	switch {
	case bad.lack != "":
		selection = refused(bad.lack, w.Rule.Selection)
	case bad.kind == LeftSkipped && j.f.Sources[w.From].Manifests[w.Digest].MediaType != "":
		selection = leftOut(w.Rule.Selection)
	}
	if selection == "" || w.Tag == "" {
		return
	}
	var ours v1.Hash
	if known := j.f.Target.Ours[w.Tag]; known.Selection != MergedSelection {
		ours = known.Digest
	}
	j.plan.Found = append(j.plan.Found, Found{Rule: w.Rule.Name, Tag: w.Tag, Source: w.Digest, Digest: ours,
		Selection: selection, PutAt: j.putAt(w.Tag, ours)})
}
