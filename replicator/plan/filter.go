package plan

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
)

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
	if len(r.Platforms.Only) == 0 {
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
	ok, _ := r.Platforms.Match(p.OS, p.Architecture, p.Variant, p.OSVersion)
	return ok
}

// takes reports whether r's type filters take a root, and if not, why.
func (r *Rule) takes(m Manifest) (reason string, ok bool) {
	if ok, _ := r.MediaTypes.Match(string(m.MediaType)); !ok {
		return "its media type " + string(m.MediaType) + " is left out by the rule's mediaTypes", false
	}
	if !providers.IsIndex(m.MediaType) || m.ArtifactType != "" {
		if ok, _ := r.ArtifactTypes.Match(m.ArtifactType); !ok {
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
