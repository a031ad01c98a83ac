package plan

import (
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// secured reports whether a tag of the target that stays names g's root, where that
// is what makes content stay.
func (j *judge) secured(g *group) bool {
	named := func(tag string) bool { return tag != "" }
	return j.f.Target.Caps.UntaggedLife > 0 && (slices.ContainsFunc(g.check, named) || slices.ContainsFunc(g.sure, named))
}

// fleets reports whether the target would take img, which is wanted by its digest
// alone, and lose it again.
func (j *judge) fleets(t *tree, g *group, img Image) bool {
	if j.f.Target.Caps.UntaggedLife == 0 || g.Tag != "" || len(g.puts) == 0 || img.Root.Here {
		return false
	}
	return t.src.Manifests[g.Digest].Subject == nil
}

// refuseFleeting refuses what would not stay, but for what comes with an index that
// a tag holds.
func (j *judge) refuseFleeting() {
	if len(j.fleeting) == 0 {
		return
	}
	kept := map[v1.Hash]bool{}
	for i := range j.plan.Images {
		if len(j.plan.Images[i].Tags) == 0 {
			continue
		}
		for n := range j.plan.Images[i].nodes() {
			kept[n.Digest] = true
		}
	}
	for _, g := range j.fleeting {
		if !kept[g.Digest] {
			j.refuse(*g.Want, LeftRefused,
				fmt.Sprintf("no tag names it, and the target drops what has none %s after it was pushed", lifeOf(j.f.Target.Caps.UntaggedLife)),
				"give it a tag at the source, or have the rule take no untagged manifests to this target")
		}
	}
}

// lifeOf prints whole hours and minutes for people.
func lifeOf(d time.Duration) string {
	switch {
	case d == time.Hour:
		return "an hour"
	case d%time.Hour == 0:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return d.String()
}
