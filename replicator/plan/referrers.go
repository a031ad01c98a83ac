package plan

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// referring gathers what refers to an image, a subject before those that refer to it.
type referring struct {
	*tree
	sure   bool // the target is known to be complete: ask only what is due
	nodes  []Node
	held   []v1.Hash // of the nodes, those that are at the target
	merged []Merge
	seen   map[v1.Hash]bool
}

// An entry is one manifest that refers to subject.
type entry struct {
	v1.Descriptor
	subject v1.Hash
	tag     string // of cosign's scheme
}

// referrersOf returns what refers to g's root, and by tags of the list to its
// children. Those of an index that was rewritten are reported and not brought.
func (j *judge) referrersOf(t *tree, g *group, root Node) (referring, *trouble) {
	r := referring{tree: t, sure: len(g.puts)+len(g.check) == 0, seen: map[v1.Hash]bool{root.Digest: true}}
	if !g.Rule.Referrers {
		return r, nil
	}
	bad := r.below(root)
	if root.Source.Hex == "" {
		return r, worse(bad, r.about(g.Digest, j.asks(t, g, r.sure), 1))
	}
	if r.sure {
		return r, bad
	}
	list, b := r.entries(g.Digest, true)
	if b == nil && len(list) > 0 {
		j.refuse(g.Want, LeftSkipped,
			fmt.Sprintf("%d referrers of the original index are not brought: the rewritten one has another digest", len(list)),
			"sign or attest the copy, or use platforms.mode: sparse")
	}
	return r, worse(bad, b)
}

// asks reports whether the source is asked who refers to g's root.
func (j *judge) asks(t *tree, g *group, sure bool) bool {
	if !sure || t.src.API == providers.No {
		return true
	}
	last, told := t.src.Checked[g.Digest]
	if !told {
		j.want.at(t.src.Place).checked[g.Digest] = true
		return false
	}
	return Due(g.Digest.Hex, last, j.f.At, g.Rule.Recheck)
}

// below follows the tags that carry referrers of n's children. A child that is
// wanted by a tag of its own has them there.
func (r *referring) below(n Node) (bad *trouble) {
	for _, c := range n.Children {
		if c.Source.Hex == "" && !r.j.roots[root{r.src.Place, c.Digest}] {
			bad = worse(bad, r.about(c.Digest, false, 1))
		}
		bad = worse(bad, r.below(c))
	}
	return bad
}

// about adds what refers to subject, and to that, and so on.
func (r *referring) about(subject v1.Hash, ask bool, depth int) *trouble {
	if depth > providers.MaxDepth {
		return nil
	}
	list, bad := r.entries(subject, ask)
	for _, e := range list {
		if r.seen[e.Digest] {
			continue
		}
		r.seen[e.Digest] = true
		n, use, b := r.referrer(e)
		bad = worse(bad, b)
		if b == nil && use {
			r.nodes = append(r.nodes, n)
			bad = worse(bad, r.about(e.Digest, ask, depth+1))
		}
	}
	return bad
}

// entries returns what the source says refers to subject: by the API, by the
// fallback tag, whose index is merged and never copied, and by cosign's tags.
func (r *referring) entries(subject v1.Hash, ask bool) (list []entry, bad *trouble) {
	ds, bad := r.listed(subject, ask)
	more, b := r.fallback(subject)
	bad = worse(bad, b)
	for _, d := range slices.SortedFunc(slices.Values(append(slices.Clone(ds), more...)), func(a, b v1.Descriptor) int {
		return compareHash(a.Digest, b.Digest)
	}) {
		if n := len(list); n == 0 || list[n-1].Digest != d.Digest {
			list = append(list, entry{Descriptor: d, subject: subject})
		}
	}
	for _, suffix := range []string{".att", ".sbom", ".sig"} {
		tag := providers.FallbackTag(subject) + suffix
		digest, ok, b := r.tagged(tag)
		bad = worse(bad, b)
		if ok {
			list = append(list, entry{Descriptor: v1.Descriptor{Digest: digest}, subject: subject, tag: tag})
		}
	}
	return list, bad
}

func (r *referring) listed(subject v1.Hash, ask bool) ([]v1.Descriptor, *trouble) {
	list, told := r.src.Referrers[subject]
	if told || !ask || r.src.API == providers.No {
		return list, nil
	}
	if f, failed := r.src.Failed[ReferrersKey(subject)]; failed {
		return nil, &trouble{kind: LeftFailed, reason: f.Reason, hint: f.Hint}
	}
	r.j.want.at(r.src.Place).referrers[subject] = true
	return nil, waiting()
}

// fallback returns the entries of subject's fallback index, if the source has
// one and it was not merged before. Some registries resolve the tag as if it
// were the digest (GitLab): what it names must be an index, and not the subject.
func (r *referring) fallback(subject v1.Hash) ([]v1.Descriptor, *trouble) {
	tag := providers.FallbackTag(subject)
	digest, ok, bad := r.tagged(tag)
	if !ok || bad != nil || digest == subject {
		return nil, bad
	}
	known := r.j.f.Target.Ours[tag]
	if r.sure && known.Source == digest && known.Selection == MergedSelection {
		return nil, nil
	}
	m, bad := r.manifest(digest)
	if bad != nil || !providers.IsIndex(m.MediaType) {
		return nil, bad
	}
	r.merged = append(r.merged, Merge{Tag: tag, Digest: digest})
	return m.Children, nil
}

// tagged returns the digest of a source tag that carries referrers, if it is there.
func (r *referring) tagged(tag string) (v1.Hash, bool, *trouble) {
	digest, ok := r.src.Tags[tag]
	if !ok {
		return v1.Hash{}, false, nil
	}
	r.j.take(r.src.Place, tag)
	if digest.Hex != "" {
		return digest, true, nil
	}
	if f, failed := r.src.Failed[tag]; failed {
		if f.Kind == providers.NotFound {
			return v1.Hash{}, false, nil
		}
		return v1.Hash{}, false, &trouble{kind: LeftFailed, reason: f.Reason, hint: f.Hint}
	}
	if w := r.j.want.at(r.src.Place); r.sure {
		w.resolve[tag] = true
	} else {
		w.read[tag] = true
	}
	return v1.Hash{}, false, waiting()
}

func (j *judge) take(p Place, tag string) {
	if j.taken[p] == nil {
		j.taken[p] = map[string]bool{}
	}
	j.taken[p][tag] = true
}

// referrer returns e's node; one that the target has is not read. use is false
// for one that the rule leaves out, or that the source lists and does not have.
func (r *referring) referrer(e entry) (n Node, use bool, bad *trouble) {
	here, known, keep := r.atTarget(e)
	if !known {
		return Node{}, false, waiting()
	}
	if e.tag != "" && !keep && r.j.f.Target.Ours[e.tag].Digest != e.Digest {
		r.merged = append(r.merged, Merge{Tag: e.tag, Digest: e.Digest})
	}
	if here || keep {
		n = Node{Descriptor: v1.Descriptor{Digest: e.Digest, MediaType: e.MediaType, Size: e.Size}, ArtifactType: e.ArtifactType,
			Here: true, Tag: e.tag}
		if e.tag == "" {
			n.Subject = e.subject
			if n.Fallback, known = r.unlisted(e); !known {
				return Node{}, false, waiting()
			}
		}
		if here {
			r.held = append(r.held, n.Digest)
		}
		return n, true, nil
	}
	if f, failed := r.src.Failed[e.Digest.String()]; failed && f.Kind == providers.NotFound && e.tag == "" {
		return Node{}, false, nil
	}
	m, bad := r.manifest(e.Digest)
	if bad != nil {
		return Node{}, false, bad
	}
	if ok, _ := r.rule.ArtifactTypes.Match(m.ArtifactType); !ok && e.tag == "" {
		return Node{}, false, nil
	}
	whole := &tree{j: r.j, src: r.src, rule: &Rule{CopyForeign: r.rule.CopyForeign}, probe: r.probe, doubt: r.doubt}
	if n, bad = whole.root(e.Digest); bad != nil {
		return Node{}, false, bad
	}
	n.Here, n.Tag, n.Fallback = false, e.tag, r.lists(e, m)
	if m.Subject != nil || e.tag == "" {
		n.Subject = e.subject
	}
	return n, true, nil
}

// unlisted reports whether a referrer that the target holds is not listed there,
// because whoever brought it was broken off before, or knew no fallback index. It
// is asked where nothing says that the image is complete.
func (r *referring) unlisted(e entry) (unlisted, known bool) {
	t := &r.j.f.Target
	if r.sure || t.Caps.Referrers == providers.Yes {
		return false, true
	}
	list, told := t.Refers[e.subject]
	if !told {
		r.j.want.refers[e.subject] = true
	}
	return !slices.Contains(list, e.Digest), told
}

// lists reports whether the target needs the fallback index to list e: it lacks
// the API, or the manifest itself does not say what it refers to.
func (r *referring) lists(e entry, m Manifest) bool {
	if m.Subject == nil {
		return e.tag == ""
	}
	return r.j.f.Target.Caps.Referrers == providers.No
}

// atTarget reports whether the target has e. keep says that it has something
// else under e's tag which the rule does not overwrite.
func (r *referring) atTarget(e entry) (here, known, keep bool) {
	if e.tag == "" {
		here, known = r.j.present(e.Digest, r.probe, r.doubt)
		return here, known, false
	}
	here, known, keep = r.tagAtTarget(e)
	if here && r.doubt {
		here = r.j.holds(e.Digest)
		_, known = r.j.f.Target.Where[e.Digest]
	}
	return here, known, keep
}

func (r *referring) tagAtTarget(e entry) (here, known, keep bool) {
	t := &r.j.f.Target
	ours := t.Ours[e.tag]
	now, named := t.Tags[e.tag]
	if t.Absent || t.Ghosts[e.tag] || t.Listed && !named {
		return false, true, false
	}
	if now.Hex == "" {
		return r.believed(e, ours)
	}
	if now == ours.Digest && r.tagDue(e, ours) {
		r.j.plan.Verified = append(r.j.plan.Verified, e.tag)
	}
	return now == e.Digest, true, r.rule.keeps() && now != e.Digest && now != ours.Digest
}

// believed is atTarget for a tag that the target lists by name: state may know
// that it was right, or, of an image that is complete, that the target holds it.
func (r *referring) believed(e entry, ours state.TargetTag) (here, known, keep bool) {
	t := &r.j.f.Target
	if ours.Digest == e.Digest && !r.doubt && !r.tagDue(e, ours) {
		return true, true, false
	}
	if _, failed := t.Failed[e.tag]; failed {
		return false, true, true
	}
	r.j.want.tags[e.tag] = true
	return false, false, false
}

func (r *referring) tagDue(e entry, ours state.TargetTag) bool {
	return r.j.verifyDue(Want{Tag: e.tag, Rule: r.rule}, ours)
}

// strays plans the tags with referrers that no image took: their subject is not
// wanted by a tag of its own, but the target holds it, as a child or a referrer.
func (j *judge) strays() {
	for _, from := range j.places() {
		rule := j.ruleWithReferrers(from)
		if rule == nil {
			continue
		}
		for _, tag := range sortedKeys(j.f.Sources[from].Tags) {
			subject, _, ok := providers.ReferrerTag(tag)
			if hints := j.f.Hints; !ok || j.taken[from][tag] || len(hints) > 0 && !slices.Contains(hints, tag) || !j.holds(subject) {
				continue
			}
			j.stray(from, rule, subject)
		}
	}
}

func (j *judge) stray(from Place, rule *Rule, subject v1.Hash) {
	w := Want{Rule: rule, From: from, Ref: subject.String(), Digest: subject}
	r := referring{tree: j.tree(w, false), sure: true, seen: map[v1.Hash]bool{}}
	if bad := r.about(subject, false, 1); bad != nil {
		bad.refuse(j, w)
		return
	}
	root := Node{Descriptor: v1.Descriptor{Digest: subject}, Here: true}
	img := Image{Rule: rule.Name, From: from, Selection: rule.Selection, Root: root, Merged: r.merged}
	for _, n := range r.nodes {
		if !n.Here {
			img.Referrers = append(img.Referrers, n)
		}
	}
	if len(img.Referrers) > 0 {
		j.plan.Images = append(j.plan.Images, img)
		return
	}
	j.foundMerged(img)
}

func (j *judge) places() []Place {
	var list []Place
	for p := range j.f.Sources {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Place) int { return strings.Compare(a.String(), b.String()) })
	return list
}

func (j *judge) ruleWithReferrers(from Place) *Rule {
	var first *Rule
	for _, w := range j.f.Wants {
		if w.From == from && w.Rule.Referrers && (first == nil || w.Rule.Name < first.Name) {
			first = w.Rule
		}
	}
	return first
}

func sortedKeys[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
