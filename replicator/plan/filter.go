package plan

import (
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
)

// A Filter takes names by patterns of [path.Match]: those that match one of
// Include, or all if there is none, and none of Exclude.
type Filter struct {
	Include, Exclude []string
}

// Takes reports whether f takes name.
func (f Filter) Takes(name string) bool {
	match := func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	}
	return (len(f.Include) == 0 || slices.ContainsFunc(f.Include, match)) &&
		!slices.ContainsFunc(f.Exclude, match)
}

func (f Filter) empty() bool { return len(f.Include) == 0 && len(f.Exclude) == 0 }

// The annotations with which BuildKit ties an attestation, as a sibling in the
// index, to the image that it describes.
const (
	attestationType = "vnd.docker.reference.type"
	attestationOf   = "vnd.docker.reference.digest"
)

// selected returns the children of index that r takes, in their order, and
// whether that leaves some out. An entry without a platform, such as a nested
// index, is no platform's image and is taken.
func (r *Rule) selected(index []v1.Descriptor) (taken []v1.Descriptor, dropped bool) {
	if len(r.Platforms) == 0 {
		return index, false
	}
	wanted := map[string]bool{}
	for _, d := range index {
		wanted[d.Digest.String()] = wanted[d.Digest.String()] || r.takesPlatform(d.Platform)
	}
	for _, d := range index {
		keep := wanted[d.Digest.String()]
		if d.Annotations[attestationType] != "" {
			keep = wanted[d.Annotations[attestationOf]]
		}
		if keep {
			taken = append(taken, d)
		}
	}
	return taken, len(taken) < len(index)
}

func (r *Rule) takesPlatform(p *v1.Platform) bool {
	if p == nil {
		return true
	}
	return slices.ContainsFunc(r.Platforms, func(want v1.Platform) bool { return platformMatches(want, *p) })
}

// platformMatches reports whether p is what want asks for. A part that want
// leaves open matches anything; linux/arm64 and linux/arm64/v8 are the same.
func platformMatches(want, p v1.Platform) bool {
	variant := func(p v1.Platform) string {
		if p.Architecture == "arm64" && p.Variant == "v8" {
			return ""
		}
		return p.Variant
	}
	return want.OS == p.OS && want.Architecture == p.Architecture &&
		(want.Variant == "" || variant(want) == variant(p)) &&
		(want.OSVersion == "" || want.OSVersion == p.OSVersion)
}

// takes reports whether r's type filters take a root, and if not, why.
func (r *Rule) takes(m Manifest) (reason string, ok bool) {
	if !r.MediaTypes.Takes(string(m.MediaType)) {
		return "its media type " + string(m.MediaType) + " is left out by the rule's mediaTypes", false
	}
	if !providers.IsIndex(m.MediaType) || m.ArtifactType != "" {
		if !r.ArtifactTypes.Takes(m.ArtifactType) {
			return "its artifact type " + m.ArtifactType + " is left out by the rule's artifactTypes", false
		}
	}
	return "", true
}

// isManifest tells a child that is a manifest from a blob that an index lists,
// as BuildKit's cache exports do.
func isManifest(t types.MediaType) bool {
	switch t {
	case "", types.OCIManifestSchema1, types.OCIImageIndex, types.DockerManifestSchema2, types.DockerManifestList,
		types.DockerManifestSchema1, types.DockerManifestSchema1Signed, ociArtifact:
		return true
	}
	return false
}

// ociArtifact was withdrawn before OCI image-spec v1.1 and is alive in registries.
const ociArtifact types.MediaType = "application/vnd.oci.artifact.manifest.v1+json"
