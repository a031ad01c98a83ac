package plan

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// Diff returns the plan for f. Equal facts give equal plans, whatever the order
// of the wants, and the facts that follow from carrying a plan out give an empty
// one. What f does not tell ([Missing] is not empty) is left out of the plan.
func Diff(f Facts) Plan {
	p, _ := decide(f)
	return p
}

// Missing returns what [Diff] has to know beyond f. Answering it may raise more
// questions; they end, as each answer is a level deeper or a tag less.
func Missing(f Facts) Needs {
	_, w := decide(f)
	return w.needs()
}

// decide is both at once, so that no question is asked that the decision does
// not hang on, and none forgotten.
func decide(f Facts) (Plan, *wanting) {
	j := &judge{f: &f, want: newWanting(), roots: map[root]bool{}, looked: map[root]bool{}}
	j.plan = Plan{
		At: f.At, Target: f.Target.Place, Create: f.Target.Absent, Kept: slices.Clone(f.Left),
	}
	if j.misnamed() {
		j.finish()
		return j.plan, j.want
	}
	j.bare = slices.ContainsFunc(f.Wants, func(w Want) bool { return w.Tag == "" })
	groups := j.groups()
	for _, g := range groups {
		j.roots[root{g.From, g.Digest}] = j.roots[root{g.From, g.Digest}] || g.Rule.Referrers
	}
	for _, g := range groups {
		j.image(g)
	}
	if j.want.needs().Empty() {
		j.strays()
		j.refuseFleeting()
	}
	j.finish()
	return j.plan, j.want
}

// A judge decides about one target repository. Where a fact is missing it notes
// the question and goes on, so that one round of answers serves everything.
type judge struct {
	f      *Facts
	want   *wanting
	plan   Plan
	roots  map[root]bool // manifests that are images of their own, with what refers to them
	looked map[root]bool // subjects whose referrers an image has dealt with
	bare   bool          // something is wanted by its digest alone

	fleeting []*group // what is wanted so, and would not stay

	sorted    []Want             // the wants of the facts
	byContent map[content][]Want // of sorted, once that is asked
}

type root struct {
	from   Place
	digest v1.Hash
}

// A content is one source manifest that one rule wants.
type content struct {
	from   Place
	rule   string
	digest v1.Hash
}

func contentOf(w Want) content { return content{w.From, w.Rule.Name, w.Digest} }

// A group is the tags of one content.
type group struct {
	*Want
	puts    []Tag
	check   []string // tags that have the right digest, and state does not know them as complete
	sure    []string // tags that state knows as complete
	restore bool
	broken  bool      // it was seen to be incomplete
	held    []v1.Hash // what refers to it and is at the target
}

// groups judges each tag of the target and gathers those that share a manifest,
// in the order of their first tag.
func (j *judge) groups() []*group {
	byKey := map[content]*group{}
	var list []*group
	for w := range j.settled() {
		k := contentOf(*w)
		g := byKey[k]
		if g == nil {
			g = &group{Want: w}
			byKey[k] = g
			list = append(list, g)
		}
		if w.Tag == "" {
			j.byDigest(g)
		} else {
			j.tag(g, *w)
		}
	}
	return slices.DeleteFunc(list, func(g *group) bool {
		return len(g.puts)+len(g.check)+len(g.sure) == 0
	})
}

// settled yields the wants in order, one for each tag of the target, without
// those whose tag several sources or rules want with different content.
func (j *judge) settled() iter.Seq[*Want] {
	if j.sorted = j.f.Wants; !slices.IsSortedFunc(j.sorted, compareWants) {
		j.sorted = slices.SortedFunc(slices.Values(j.sorted), compareWants)
	}
	return func(yield func(*Want) bool) {
		for all := j.sorted; len(all) > 0; {
			n := 1
			for n < len(all) && all[n].Tag == all[0].Tag && (all[0].Tag != "" || alike(&all[0], &all[n])) {
				n++
			}
			claims := all[:n]
			all = all[n:]
			if i := slices.IndexFunc(claims, func(w Want) bool { return !alike(&w, &claims[0]) }); i > 0 {
				j.collide(claims, i)
			} else if !yield(&claims[0]) {
				return
			}
		}
	}
}

// alike reports whether two wants are of the same content.
func alike(a, b *Want) bool { return a.Digest == b.Digest && a.Rule.Selection == b.Rule.Selection }

// SortWants brings wants into the order in which they are judged. Facts whose wants
// are in it already are planned without a copy of them.
func SortWants(wants []Want) { slices.SortFunc(wants, compareWants) }

func compareWants(a, b Want) int {
	if c := cmp.Compare(a.Tag, b.Tag); c != 0 {
		return c // without what the rest costs: most often it is decided here
	}
	return cmp.Or(cmp.Compare(a.Rule.Name, b.Rule.Name), cmp.Compare(a.From.String(), b.From.String()),
		cmp.Compare(a.Ref, b.Ref), compareHash(a.Digest, b.Digest))
}

func (j *judge) collide(claims []Want, i int) {
	for n, w := range claims {
		other := claims[0]
		if n == 0 || w.Digest == other.Digest && w.Rule.Selection == other.Rule.Selection {
			other = claims[i]
		}
		j.refuse(w, LeftCollision,
			fmt.Sprintf("rule %s wants another content for it, from %s:%s", other.Rule.Name, other.From, other.Ref),
			"give one of them another repository or tag template, or exclude the tag")
	}
}

func (j *judge) refuse(w Want, kind Left, reason, hint string) {
	j.plan.Kept = append(j.plan.Kept, Refusal{
		Rule: w.Rule.Name, From: w.From, Ref: w.Ref, Tag: w.Tag, Kind: kind,
		Source: w.Digest, Target: j.f.Target.Tags[w.Tag], Reason: reason, Hint: hint,
	})
}

// byDigest judges a digest that is wanted without a tag.
func (j *judge) byDigest(g *group) {
	if j.holds(g.Digest) {
		g.sure = append(g.sure, "")
		return
	}
	switch here, known := j.present(g.Digest, true, false); {
	case !known:
	case here:
		g.check = append(g.check, "")
		g.broken = g.broken || j.f.Target.Ours[g.Digest.String()].Selection == BrokenSelection
	default:
		g.puts = append(g.puts, Tag{Why: New, Pushed: g.Pushed})
	}
}

// tag judges one tag of the target (design, "Conflicts").
func (j *judge) tag(g *group, w Want) {
	known, ours := j.f.Target.Ours[w.Tag]
	same := ours && known.Source == w.Digest && known.Selection == w.Rule.Selection
	if ours && j.settledBefore(w, known) {
		return
	}
	if fail, known := j.f.Target.Failed[w.Tag]; known {
		failed(fail).refuse(j, w)
		return
	}
	now, told := j.current(w, known, same)
	if !told {
		return
	}
	if now.Hex == "" {
		j.missing(g, w, known, same)
		return
	}
	right, ok := j.expected(w, known, same)
	switch {
	case !ok:
	case now == right && same:
		g.sure = append(g.sure, w.Tag)
		j.verified(w, known)
	case now == right:
		g.check = append(g.check, w.Tag)
		g.broken = g.broken || known.Selection == BrokenSelection
	default:
		j.differs(g, w, now, known, ours)
	}
}

// current returns the digest that the target's tag has, zero if it has none.
// What state says is believed only where it means that nothing is to be done.
func (j *judge) current(w Want, known state.TargetTag, same bool) (now v1.Hash, told bool) {
	t := &j.f.Target
	now, named := t.Tags[w.Tag]
	switch {
	case t.Absent || t.Ghosts[w.Tag] || t.Listed && !named:
		return v1.Hash{}, true
	case now.Hex != "":
		return now, true
	case t.Changes && known.Digest.Hex != "":
		return known.Digest, true
	case same && !j.verifyDue(w, known):
		return known.Digest, true
	}
	j.want.tags[w.Tag] = true
	return v1.Hash{}, false
}

func (j *judge) verifyDue(w Want, known state.TargetTag) bool {
	last := known.PutAt
	if known.VerifiedAt.After(last) {
		last = known.VerifiedAt
	}
	return Due(j.f.Target.Place.Repo+":"+w.Tag, last, j.f.At, w.Rule.VerifyEvery)
}

func (j *judge) verified(w Want, known state.TargetTag) {
	if j.f.Target.Tags[w.Tag].Hex != "" && j.verifyDue(w, known) {
		j.plan.Verified = append(j.plan.Verified, w.Tag)
	}
}

// expected returns the digest that the target's tag should have.
func (j *judge) expected(w Want, known state.TargetTag, same bool) (v1.Hash, bool) {
	if same {
		return known.Digest, true
	}
	if !w.Rule.rewrites() {
		return w.Digest, true
	}
	n, trouble := j.tree(w, false).root(w.Digest)
	if trouble != nil {
		trouble.refuse(j, w)
		j.mark(w, trouble)
		return v1.Hash{}, false
	}
	return n.Digest, true
}

// missing judges a tag that the target lacks.
func (j *judge) missing(g *group, w Want, known state.TargetTag, same bool) {
	why := New
	if same || known.Digest.Hex != "" && known.Digest == w.Digest {
		why = Restore
		again := known.Restored == known.Digest && j.f.At.Sub(known.RestoredAt) < 24*time.Hour
		if w.Rule.OnGone == policy.Leave || again {
			j.gone(w, known, again)
			return
		}
		g.restore = true
		g.broken = g.broken || known.Selection == BrokenSelection
	}
	g.puts = append(g.puts, Tag{Name: w.Tag, Why: why, Pushed: w.Pushed})
}

func (j *judge) gone(w Want, known state.TargetTag, again bool) {
	reason := "it left the target, not by us, and onGone is leave"
	if again {
		reason = fmt.Sprintf("it left the target again since it was restored at %s", known.RestoredAt.UTC().Format(time.RFC3339))
	}
	j.refuse(w, LeftGone, reason, "look for a retention policy at the target, or exclude the tag")
}

// differs judges a tag that the target has with another digest.
func (j *judge) differs(g *group, w Want, now v1.Hash, known state.TargetTag, ours bool) {
	ours = ours && known.Digest.Hex != ""
	moved := ours && known.Digest == now
	keeps := w.Rule.keeps()
	why := Update
	switch {
	case !moved && keeps && ours:
		j.conflict(w, now, "somebody else moved it at the target since we put it")
		return
	case !moved && keeps:
		j.conflict(w, now, "the target has it with another digest, and nothing says that we put it")
		return
	case j.f.Target.Caps.Immutable == providers.Yes:
		j.refuse(w, LeftRefused, "the target has it with another digest and does not let tags move",
			"exclude the tag, or give the target's copies another name with a tag template")
		return
	case !moved && ours:
		why = Overwrite
	}
	g.puts = append(g.puts, Tag{Name: w.Tag, Why: why, Before: now, Pushed: w.Pushed})
}

func (j *judge) conflict(w Want, now v1.Hash, reason string) {
	j.plan.Kept = append(j.plan.Kept, Refusal{
		Rule: w.Rule.Name, From: w.From, Ref: w.Ref, Tag: w.Tag, Kind: LeftConflict,
		Source: w.Digest, Target: now, Reason: reason + "; onConflict is " + string(w.Rule.OnConflict),
		Hint: "run transship adopt if what the target has is ours, or set onConflict: overwrite",
	})
}

// lost returns what was looked for at the target and is not there, although state
// believes it is, sorted.
func (j *judge) lost() []v1.Hash {
	gone := map[v1.Hash]bool{}
	for d, here := range j.f.Target.Seen {
		if _, failed := j.f.Target.Failed[d.String()]; !here && !failed && j.holds(d) {
			gone[d] = true
		}
	}
	return hashes(gone)
}

// heldUnknown returns what was seen at the target and state does not know of, sorted.
func (j *judge) heldUnknown() []v1.Hash {
	found := map[v1.Hash]bool{}
	for d, here := range j.f.Target.Seen {
		if here && !j.holds(d) {
			found[d] = true
		}
	}
	return hashes(found)
}

// finish puts the parts into their order and counts.
func (j *judge) finish() {
	slices.SortStableFunc(j.plan.Kept, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.From.String(), b.From.String()), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	j.plan.Kept = slices.Compact(j.plan.Kept)
	j.plan.Held, j.plan.Lost = j.heldUnknown(), j.lost()
	slices.Sort(j.plan.Verified)
	j.plan.Verified = slices.Compact(j.plan.Verified)
	if !j.want.needs().Empty() {
		return
	}
	if len(j.f.Prices) > 0 {
		j.plan.Prices = maps.Clone(j.f.Prices)
	}
	j.plan.Rechecks, j.plan.Pulls = j.slowed(), j.pulls()
	j.plan.Mountless = j.f.Target.Caps.Mount == providers.No
	NewRun().Add(&j.plan)
}
