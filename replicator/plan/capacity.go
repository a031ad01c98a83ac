package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/transship/transship/providers"
)

// misnamed refuses everything that is wanted if the target's registry can have no
// repository of that name, once for each rule and source, and reports whether it did.
func (j *judge) misnamed() bool {
	err := j.f.Target.Caps.Names.Check(j.f.Target.Place.Repo)
	if err == nil {
		return false
	}
	type link struct {
		rule *Rule
		from Place
	}
	told := map[link]bool{}
	wants := slices.Clone(j.f.Wants)
	slices.SortFunc(wants, func(a, b Want) int {
		return cmp.Or(cmp.Compare(a.Rule.Name, b.Rule.Name), cmp.Compare(a.From.String(), b.From.String()))
	})
	for _, w := range wants {
		if l := (link{w.Rule, w.From}); !told[l] {
			told[l] = true
			j.plan.Kept = append(j.plan.Kept, Refusal{Rule: w.Rule.Name, From: w.From, Ref: "*", Kind: LeftRefused,
				Reason: "the target cannot have a repository of that name: " + err.Error(),
				Hint:   "change the target's repository template, or exclude the repository from the rule"})
		}
	}
	return true
}

// sizes names the target's limits as a capability, so that content that is too
// large is read again only once they change.
func sizes(c providers.Caps) string {
	return fmt.Sprintf("%s:%d/%d", providers.CapSizes, c.ManifestLimit(), c.MaxBlob)
}

// oversized is the trouble with content that is larger than a limit of sizes.
func oversized(capability string) *trouble {
	var manifest, blob int64
	limits := strings.TrimPrefix(capability, providers.CapSizes+":")
	if _, err := fmt.Sscanf(limits, "%d/%d", &manifest, &blob); err != nil {
		return nil
	}
	most := "manifests of " + Bytes(manifest)
	if blob > 0 {
		most += " and layers of " + Bytes(blob)
	}
	return &trouble{kind: LeftRefused, lack: capability,
		reason: "it has a manifest or a layer that is too large: the target takes " + most + " at most",
		hint:   "build the image with smaller layers, or exclude the tag from the rule"}
}

// fits is the trouble with a manifest or its blobs that the target is to be sent,
// nil if they are within its limits.
func (t *tree) fits(m Manifest, blobs []Blob) *trouble {
	caps := t.j.f.Target.Caps
	large := m.Size > caps.ManifestLimit()
	for _, b := range blobs {
		large = large || b.Have == Upload && caps.MaxBlob > 0 && b.Size > caps.MaxBlob
	}
	if large {
		return oversized(sizes(caps))
	}
	return nil
}
