package policy

import (
	"cmp"
	"fmt"
	"slices"
)

// A Location is a repository of one registry, by its [Registry.Endpoint].
type Location struct{ Endpoint, Repository string }

func (l Location) String() string { return l.Endpoint + "/" + l.Repository }

// A Mapping is one source tag on its way to a target, as a rule maps it. Without
// a tag it stands for the whole repository. Digest is what the source tag names,
// if that is known.
type Mapping struct {
	Rule              string
	Source, Target    Location
	Tag, TargetTag    string
	Digest            string
	SourceDisplayName string // the source as people know it; default: Source
}

func (m Mapping) source() string {
	name := cmp.Or(m.SourceDisplayName, m.Source.String())
	if m.Tag != "" {
		name += ":" + m.Tag
	}
	return fmt.Sprintf("%s (rule %s)", name, m.Rule)
}

// A Collision is a target that mappings may not have together, or at all.
// Mappings are in the order of their sources.
type Collision struct {
	Target   Location
	Tag      string
	Loop     bool // source and target are one
	Mappings []Mapping
	Reason   string // a sentence that names both sides and what to do
}

// Collisions returns what must not be written, by target and tag: a repository
// copied onto itself, and a target tag that two sources claim with different
// digests or with digests unknown. Two repositories may share a target
// repository as long as their tags differ; mappings without tags collide with
// nothing but themselves.
func Collisions(mappings []Mapping) []Collision {
	type spot struct {
		Location
		tag string
	}
	claims := map[spot][]Mapping{}
	var found []Collision
	for _, m := range mappings {
		switch {
		case m.Source == m.Target && m.Tag == m.TargetTag:
			found = append(found, loop(m))
		case m.TargetTag != "":
			at := spot{m.Target, m.TargetTag}
			claims[at] = append(claims[at], m)
		}
	}
	for at, claim := range claims {
		slices.SortFunc(claim, compareSources)
		if a, b, differ := rivals(claim); differ {
			found = append(found, Collision{Target: at.Location, Tag: at.tag, Mappings: claim, Reason: fmt.Sprintf(
				"%s and %s both map to %s:%s; tell them apart by a repository or tag template, or exclude one", a.source(), b.source(), at.Location, at.tag)})
		}
	}
	slices.SortFunc(found, func(a, b Collision) int {
		return cmp.Or(cmp.Compare(a.Target.String(), b.Target.String()), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Reason, b.Reason))
	})
	return found
}

func loop(m Mapping) Collision {
	return Collision{Target: m.Target, Tag: m.TargetTag, Loop: true, Mappings: []Mapping{m}, Reason: fmt.Sprintf(
		"%s would be copied onto itself; give the target a repository template that leads elsewhere, or exclude it", m.source())}
}

func compareSources(a, b Mapping) int {
	return cmp.Or(cmp.Compare(a.Source.String(), b.Source.String()), cmp.Compare(a.Tag, b.Tag),
		cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Digest, b.Digest))
}

// rivals returns the first two claims, in order, that bring different content.
// The same source tag by two rules is one claim.
func rivals(claim []Mapping) (a, b Mapping, differ bool) {
	a = claim[0]
	for _, b := range claim[1:] {
		same := a.Source == b.Source && a.Tag == b.Tag
		if !same && (a.Digest != b.Digest || a.Digest == "") {
			return a, b, true
		}
	}
	return a, a, false
}
