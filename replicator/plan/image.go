package plan

import (
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// image plans one group: what is below its root, what refers to it, and under
// which tags it is put, mended or attached to.
func (j *judge) image(g *group) {
	t := j.tree(*g.Want, !g.broken && (g.restore || len(g.check) > 0))
	t.doubt = g.broken || g.returns() && j.holds(g.Digest)
	img := Image{Rule: g.Rule.Name, From: g.From, Selection: g.Rule.Selection, Tags: g.puts, Readers: g.Rule.Readers, Secured: j.secured(g)}
	if j.reads(g) {
		if bad := j.root(t, g, &img); bad != nil {
			j.refuseGroup(g, bad)
			return
		}
	} else {
		img.Root = shallow(g, j)
	}
	t.doubt = t.doubt || g.returns() // nothing refuses an image whose referrers have gone
	refs, bad := j.referrersOf(t, g, img.Root)
	if bad != nil {
		j.refuseGroup(g, bad)
		return
	}
	img.Referrers, img.Merged = refs.list, refs.merged
	g.held = refs.held
	if j.fleets(t, g, img) {
		j.fleeting = append(j.fleeting, g)
		return
	}
	j.settle(g, img)
}

// returns reports whether g's root is put and no tag names it yet. If the target had
// it before, it may have lost some of it while no tag held it.
func (g *group) returns() bool { return len(g.puts) > 0 && len(g.check)+len(g.sure) == 0 }

// reads reports whether g's root has to be read: to put it, or to know what is below.
func (j *judge) reads(g *group) bool {
	if len(g.puts) > 0 || g.broken {
		return true
	}
	r := g.Rule
	return len(g.check) > 0 && (g.MediaType == "" || providers.IsIndex(g.MediaType) ||
		r.rewrites() || !r.MediaTypes.IsZero() || !r.ArtifactTypes.IsZero())
}

// shallow is a root that the target has and that is not read.
func shallow(g *group, j *judge) Node {
	n := Node{Here: true}
	n.Digest, n.MediaType = g.Digest, g.MediaType
	for _, tag := range g.sure {
		if known := j.f.Target.Ours[tag]; known.Digest.Hex != "" && known.Digest != g.Digest {
			n.Digest, n.Source = known.Digest, g.Digest
		}
	}
	return n
}

// root fills img.Root, unless the rule's filters leave the image out.
func (j *judge) root(t *tree, g *group, img *Image) *trouble {
	if f := t.src.Failed[g.Digest.String()]; f.Kind == providers.NotFound && f.Reason != "" {
		return &trouble{kind: LeftSkipped, reason: "it is gone at the source since it was listed"}
	}
	m, bad := t.manifest(g.Digest)
	if bad != nil {
		return bad
	}
	if reason, ok := g.Rule.takes(m); !ok {
		return &trouble{kind: LeftSkipped, reason: reason}
	}
	if img.Root, bad = t.root(g.Digest); bad == nil {
		j.offload(g.Rule, &img.Root)
	}
	return bad
}

// refuseGroup reports bad about every tag of g. One that only waits has no report:
// nothing is looked at then, as all groups of a repository may wait.
func (j *judge) refuseGroup(g *group, bad *trouble) {
	if bad.kind == "" {
		return
	}
	tags := map[string]bool{}
	for _, tag := range slices.Concat(g.check, g.sure) {
		tags[tag] = true
	}
	for _, p := range g.puts {
		tags[p.Name] = true
	}
	for _, want := range j.wantsOf(g) {
		if tags[want.Tag] {
			bad.refuse(j, want)
			j.mark(want, bad)
		}
	}
}

// wantsOf returns the wants of g's content, in order: also those whose tag another
// want with the same content stands for.
func (j *judge) wantsOf(g *group) []Want {
	if j.byContent == nil {
		j.byContent = map[content][]Want{}
		for _, w := range j.sorted {
			k := contentOf(w)
			j.byContent[k] = append(j.byContent[k], w)
		}
	}
	return j.byContent[contentOf(*g.Want)]
}

// settle adds img to the plan, or counts its tags as in step if there is nothing
// to do about them.
func (j *judge) settle(g *group, img Image) {
	whole := complete(img.Root) && (img.Root.Here || !g.broken)
	done := func(r Node) bool { return r.Here && !r.Fallback }
	lacks := slices.ContainsFunc(img.Referrers, func(r Node) bool { return !done(r) })
	switch {
	case len(g.check) > 0 && !whole:
		img.Tags = append(img.Tags, j.tags(g.check, img.Root, Mend)...)
	case len(img.Tags) == 0 && lacks:
		img.Tags = j.tags(g.check, img.Root, Attach)
		for _, tag := range g.sure {
			img.Tags = append(img.Tags, Tag{Name: tag, Why: Attach, Known: true})
		}
		j.bring(img)
		return
	case lacks:
		img.Tags = append(img.Tags, j.tags(g.check, img.Root, Attach)...)
	default:
		j.inStep(g, img)
	}
	j.countInStep(g, len(g.sure))
	if len(img.Tags) > 0 {
		j.bring(img)
	}
}

func (j *judge) countInStep(g *group, n int) {
	if n == 0 {
		return
	}
	if j.plan.InStepOf == nil {
		j.plan.InStepOf = map[string]int{}
	}
	j.plan.InStep += n
	j.plan.InStepOf[g.Rule.Name] += n
}

// inStep notes tags that are right, complete, and news to state.
func (j *judge) inStep(g *group, img Image) {
	j.countInStep(g, len(g.check))
	for _, tag := range g.check {
		j.found(g, tag, img.Root, g.Rule.Selection)
	}
	if len(img.Tags) > 0 {
		return
	}
	j.foundMerged(img)
}

// foundMerged notes the tags that carry referrers which are all at the target, so
// that what they name is not read again.
func (j *judge) foundMerged(img Image) {
	for _, m := range img.Merged {
		j.plan.Found = append(j.plan.Found, Found{
			Rule: img.Rule, Tag: m.Tag, Source: m.Digest, Digest: m.Digest, Selection: MergedSelection,
		})
	}
}

// bring adds img to the plan. The empty name stands for a root wanted by digest.
func (j *judge) bring(img Image) {
	img.Tags = slices.DeleteFunc(img.Tags, func(t Tag) bool { return t.Name == "" })
	if len(img.Tags) == 0 {
		img.Tags = nil
	}
	j.plan.Images = append(j.plan.Images, img)
}

func (j *judge) found(g *group, tag string, root Node, selection string) {
	digest := root.Digest
	if digest.Hex == "" {
		digest = g.Digest
	}
	j.plan.Found = append(j.plan.Found, Found{
		Rule: g.Rule.Name, Tag: tag, Source: g.Digest, Digest: digest, Selection: selection, PutAt: j.putAt(tag, digest),
		Referrers: g.held,
	})
}

// putAt is when we put digest under tag, as far as state knows.
func (j *judge) putAt(tag string, digest v1.Hash) time.Time {
	if known := j.f.Target.Ours[tag]; known.Digest == digest {
		return known.PutAt
	}
	return time.Time{}
}

// tags are those that name root already, and that state does not know as right.
func (j *judge) tags(names []string, root Node, why Why) []Tag {
	var list []Tag
	for _, name := range names {
		list = append(list, Tag{Name: name, Why: why, PutAt: j.putAt(name, root.Digest)})
	}
	return list
}

// complete reports whether everything below n is at the target.
func complete(n Node) bool {
	for _, c := range n.Children {
		if !c.Here {
			return false
		}
	}
	return true
}
