package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// Fingerprint is a short, stable text for what the rule selects of an image's
// content: platforms, types, referrers and foreign layers. While it is the same,
// a target that was complete stays complete; when it changes, targets are looked
// at again. Which tags are taken, and where they go, is not part of it.
func (r Rule) Fingerprint() string {
	// A field added later is left out while it has its default, so that
	// fingerprints in state survive new versions.
	content := struct {
		Platforms     []string      `json:"platforms,omitempty"`
		Mode          Mode          `json:"mode,omitempty"`
		MediaTypes    TypeFilter    `json:"mediaTypes,omitzero"`
		ArtifactTypes TypeFilter    `json:"artifactTypes,omitzero"`
		NoReferrers   bool          `json:"noReferrers,omitempty"`
		Foreign       ForeignLayers `json:"foreign,omitempty"`
	}{
		Mode: r.Platforms.Mode, MediaTypes: r.MediaTypes.sorted(), ArtifactTypes: r.ArtifactTypes.sorted(),
		NoReferrers: !r.ReferrersOn(),
	}
	for _, p := range r.Platforms.Only {
		content.Platforms = append(content.Platforms, p.String())
	}
	slices.Sort(content.Platforms)
	content.Platforms = slices.Compact(content.Platforms)
	if r.Foreign() != KeepForeign {
		content.Foreign = r.Foreign()
	}
	text, _ := json.Marshal(content) // strings and a bool: it cannot fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (f TypeFilter) sorted() TypeFilter {
	include, exclude := slices.Sorted(slices.Values(f.Include)), slices.Sorted(slices.Values(f.Exclude))
	return TypeFilter{Include: slices.Compact(include), Exclude: slices.Compact(exclude)}
}
