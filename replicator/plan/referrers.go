package plan

import (
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// referring gathers what refers to an image, a subject before those that refer to it.
type referring struct {
	*tree
	root   v1.Hash // of the image, at the source
	sure   bool    // the target is known to be complete: ask only what is due
	stray  bool    // no image holds root at the target: it is looked for before anything is brought
	list   []Node
	held   []v1.Hash // of the list, those that are at the target
	merged []Merge
	seen   map[referral]bool
	lost   int // of the list, those that the target cannot list
}

// A referral is one manifest that is said to refer to another, by a tag or a list.
type referral struct {
	digest, subject v1.Hash
	tag             string
}

// An entry is one manifest that refers to subject.
type entry struct {
	v1.Descriptor
	subject v1.Hash
	tag     string // of cosign's scheme
	indexed bool   // subject's fallback index lists it: that may be all that says so
}

// referrersOf returns what refers to g's root, and to its children as far as the
// rule or what is listed anyway say. Those of an index that was rewritten are
// reported and not brought.
func (j *judge) referrersOf(t *tree, g *group, root Node) (referring, *trouble) {
	r := referring{tree: t, root: g.Digest, sure: g.known(), seen: map[referral]bool{}}
	if !g.Rule.Referrers {
		return r, nil
	}
	ask := j.asks(t, g, r.sure)
	if root.Source.Hex == "" {
		bad := r.about(g.Digest, ask, 1)
		bad = worse(bad, r.children(g, root, ask))
		r.tell(*g.Want)
		return r, bad
	}
	bad := r.children(g, root, ask)
	if r.sure {
		return r, bad
	}
	list, b := r.entries(g.Digest, true)
	if b == nil && len(list) > 0 {
		j.refuse(*g.Want, LeftSkipped,
			fmt.Sprintf("%d referrers of the original index are not brought: the rewritten one has another digest", len(list)),
			"sign or attest the copy, or use platforms.mode: sparse")
	}
	return r, worse(bad, b)
}

// known reports whether all tags of g are known to be right and complete.
func (g *group) known() bool { return len(g.puts)+len(g.check) == 0 }

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
	return Due(g.Digest.Hex, last, j.f.At, g.Rule.Recheck) && !t.src.PutOff[g.Digest]
}

// about adds what refers to subject, and to that, and so on. Nothing refers to what
// it is about, whatever a source may list; what is listed for several subjects is
// looked at for each.
func (r *referring) about(subject v1.Hash, ask bool, depth int) *trouble {
	if depth > providers.MaxDepth {
		return nil
	}
	list, bad := r.entries(subject, ask)
	if len(r.seen)+len(list) > maxNodes {
		return &trouble{kind: LeftFailed, reason: fmt.Sprintf("the source lists more than %d referrers in all", maxNodes),
			hint: "delete those that are not needed at the source, or switch referrers off in the rule"}
	}
	for _, e := range list {
		one := referral{e.Digest, subject, e.tag}
		if r.seen[one] || e.Digest == r.root {
			continue
		}
		r.seen[one] = true
		n, use, b := r.referrer(e)
		bad = worse(bad, b)
		if b == nil && use {
			r.list = append(r.list, n)
			bad = worse(bad, r.about(e.Digest, ask, depth+1))
		}
	}
	return bad
}

// entries returns what the source says refers to subject: by the API, by the
// fallback tag, whose index is merged and never copied, and by cosign's tags.
func (r *referring) entries(subject v1.Hash, ask bool) (list []entry, bad *trouble) {
	r.j.looked[root{r.src.Place, subject}] = true
	ds, bad := r.listed(subject, ask)
	more, b := r.fallback(subject)
	bad = worse(bad, b)
	indexed := make(map[v1.Hash]bool, len(more))
	for _, d := range more {
		indexed[d.Digest] = true
	}
	tags, tagged, b := r.cosign(subject)
	bad = worse(bad, b)
	for _, d := range slices.SortedFunc(slices.Values(append(slices.Clone(ds), more...)), func(a, b v1.Descriptor) int {
		return compareHash(a.Digest, b.Digest)
	}) {
		if n := len(list); !tagged[d.Digest] && (n == 0 || list[n-1].Digest != d.Digest) {
			list = append(list, entry{Descriptor: d, subject: subject, indexed: indexed[d.Digest]})
		}
	}
	return append(list, tags...), bad
}

// says reports whether m, which is listed as e, refers to e's subject by what it
// says itself. One that says nothing does where a fallback index lists it; the API
// lists by the subject that a manifest names (OCI distribution-spec, "Listing
// Referrers"), and what is listed without one nobody would find at a target.
func (e entry) says(m Manifest) bool {
	if m.Subject == nil {
		return e.indexed
	}
	return m.Subject.Digest == e.subject
}

// cosign returns the entries that cosign's tags name. A registry may list them as
// referrers, too (Harbor): what is put under its tag is not put beside it.
func (r *referring) cosign(subject v1.Hash) (list []entry, tagged map[v1.Hash]bool, bad *trouble) {
	tagged = map[v1.Hash]bool{}
	for _, suffix := range []string{".att", ".sbom", ".sig"} {
		tag := providers.FallbackTag(subject) + suffix
		digest, ok, b := r.tagged(tag)
		bad = worse(bad, b)
		if ok {
			tagged[digest] = true
			list = append(list, entry{Descriptor: v1.Descriptor{Digest: digest}, subject: subject, tag: tag})
		}
	}
	return list, tagged, bad
}

func (r *referring) listed(subject v1.Hash, ask bool) ([]v1.Descriptor, *trouble) {
	list, told := r.src.Referrers[subject]
	if told || !ask || r.src.API == providers.No {
		return list, nil
	}
	if f, known := r.src.Failed[ReferrersKey(subject)]; known {
		return nil, failed(f)
	}
	if w := r.j.want.at(r.src.Place); r.sure {
		w.rechecks[Recheck{r.root, subject}] = true
	} else {
		w.referrers[subject] = true
	}
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
	if digest.Hex != "" {
		return digest, true, nil
	}
	if f, known := r.src.Failed[tag]; known {
		if f.Kind == providers.NotFound {
			return v1.Hash{}, false, nil
		}
		return v1.Hash{}, false, failed(f)
	}
	if w := r.j.want.at(r.src.Place); r.sure {
		w.resolve[tag] = true
	} else {
		w.read[tag] = true
	}
	return v1.Hash{}, false, waiting()
}

// referrer returns e's node; one that the target has is not read. use is false
// for one that the rule leaves out, that the source lists and does not have, or
// that says itself that it refers to something else.
func (r *referring) referrer(e entry) (n Node, use bool, bad *trouble) {
	here, known, keep := r.atTarget(e)
	unlisted := false
	if known && here && e.tag == "" {
		if unlisted, known = r.unlisted(e); unlisted && known {
			here, known = r.j.present(e.Digest, r.probe, true) // a target may take an index that lists what it lacks
		}
	}
	if !known {
		return Node{}, false, waiting()
	}
	if e.tag != "" && !keep && r.j.f.Target.Ours[e.tag].Digest != e.Digest {
		r.merged = append(r.merged, Merge{Tag: e.tag, Digest: e.Digest})
	}
	if !here && !keep {
		return r.absent(e)
	}
	n = Node{Descriptor: v1.Descriptor{Digest: e.Digest, MediaType: e.MediaType, Size: e.Size}, ArtifactType: e.ArtifactType,
		Here: true, Tag: e.tag}
	if e.tag == "" {
		n.Subject, n.Fallback, n.Indexed = e.subject, unlisted, unlisted && e.indexed
	}
	if here {
		r.held = append(r.held, n.Digest)
	}
	return n, true, nil
}

// absent is referrer of one that the target lacks.
func (r *referring) absent(e entry) (n Node, use bool, bad *trouble) {
	if lost, bad := r.rootLost(); lost || bad != nil {
		return Node{}, false, bad
	}
	if f, failed := r.src.Failed[e.Digest.String()]; failed && f.Kind == providers.NotFound && e.tag == "" {
		return Node{}, false, nil
	}
	m, bad := r.manifest(e.Digest)
	if bad != nil {
		return Node{}, false, bad
	}
	if e.tag == "" && !e.says(m) {
		return Node{}, false, nil
	}
	if ok, _ := r.rule.ArtifactTypes.Match(m.ArtifactType); !ok && e.tag == "" {
		return Node{}, false, nil
	}
	whole := &tree{j: r.j, src: r.src, rule: &Rule{CopyForeign: r.rule.CopyForeign, Readers: r.rule.Readers}, probe: r.probe, doubt: r.doubt}
	if n, bad = whole.root(e.Digest); bad != nil {
		return Node{}, false, bad
	}
	n.Here, n.Tag, n.Fallback = false, e.tag, r.lists(e, m)
	n.Indexed = n.Fallback && e.indexed
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
	if r.sure || t.Caps.Referrers == providers.Yes || t.Caps.Referrers == providers.No && t.Caps.Fallback == providers.No {
		return false, true
	}
	list, told := t.Refers[e.subject]
	if !told {
		r.j.want.refers[e.subject] = true
	}
	return !slices.Contains(list, e.Digest), told
}

// lists reports whether the target needs the fallback index to list e: it lacks
// the API, or the manifest itself does not say what it refers to. Where there can
// be no such index, e is brought and counted.
func (r *referring) lists(e entry, m Manifest) bool {
	caps := r.j.f.Target.Caps
	needs := m.Subject == nil && e.tag == "" || m.Subject != nil && caps.Referrers == providers.No
	if needs && caps.Fallback == providers.No {
		if e.tag == "" {
			r.lost++
		}
		return false
	}
	return needs
}

// tell reports about w the referrers that clients of the target will not find.
func (r *referring) tell(w Want) {
	if r.lost > 0 {
		r.j.refuse(w, LeftSkipped,
			fmt.Sprintf("%d referrers are brought and not to be found there: the target has no referrers API, and takes a fallback tag for the digest in it", r.lost),
			"sign with cosign's tags, which it does keep, or use a target with the referrers API")
	}
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
	if ours.Digest == e.Digest && !r.doubt && (t.Changes || !r.tagDue(e, ours)) {
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
