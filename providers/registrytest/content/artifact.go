package content

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
)

// Media and artifact types of what is not an image.
const (
	HelmConfig  types.MediaType = "application/vnd.cncf.helm.config.v1+json"
	HelmChart   types.MediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	WASMConfig  types.MediaType = "application/vnd.wasm.config.v0+json"
	WASM        types.MediaType = "application/wasm"
	SBOM        types.MediaType = "application/spdx+json"
	Signature   types.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	InToto      types.MediaType = "application/vnd.in-toto+json"
	EmptyConfig types.MediaType = "application/vnd.oci.empty.v1+json"
)

// Empty is the config of artifacts that have none (OCI image-spec v1.1,
// "Guidance for an Empty Descriptor").
func Empty() Blob { return Bytes(EmptyConfig, []byte("{}")) }

// Artifact returns an artifact with an empty config and these layers, maybe none.
func Artifact(artifactType string, layers []Blob, opts ...Option) *Manifest {
	return image(Empty(), layers, append([]Option{ArtifactType(artifactType)}, opts...))
}

// Helm returns a chart.
func Helm(name string) *Manifest {
	config := Bytes(HelmConfig, fmt.Appendf(nil, `{"name":%q,"version":"1.0.0","apiVersion":"v2"}`, name))
	return image(config, []Blob{LayerOf(HelmChart, "chart "+name, 2000)}, nil)
}

// Module returns a WebAssembly module.
func Module(name string, size int64) *Manifest {
	config := Bytes(WASMConfig, []byte(`{"architecture":"wasm","os":"wasip1"}`))
	return image(config, []Blob{LayerOf(WASM, "module "+name, size)}, nil)
}

// Refer attaches a referrer of an artifact type to subject, by the OCI 1.1 way,
// and returns it, so that others may refer to it.
func Refer(subject *Manifest, artifactType, name string, opts ...Option) *Manifest {
	r := Artifact(artifactType, []Blob{LayerOf(SBOM, "referrer "+name, 900)}, append(opts, Subject(subject))...)
	subject.Referrers = append(subject.Referrers, r)
	return r
}

// Cosign returns what cosign pushes for subject under the tag that it returns:
// kind is "sig", "att" or "sbom".
func Cosign(subject *Manifest, kind string) (tag string, m *Manifest) {
	layer := LayerOf(Signature, kind+" of "+subject.Digest.String(), 250)
	m = Image(kind+" of "+subject.Digest.String(), []Blob{layer}, Annotate("dev.cosignproject.cosign/signature", "MEUC"))
	return providers.FallbackTag(subject.Digest) + "." + kind, m
}

// Fallback returns the index of referrers that a client keeps for a registry
// without the referrers API, and its tag (OCI distribution-spec v1.1, "Referrers
// Tag Schema").
func Fallback(subject *Manifest, referrers ...*Manifest) (tag string, m *Manifest) {
	d := document{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for _, r := range referrers {
		desc := r.Descriptor()
		if c, err := providers.Parse(r.Manifest); err == nil {
			desc.ArtifactType, desc.Annotations = c.ArtifactType, c.Annotations
		}
		d.Manifests = append(d.Manifests, desc)
	}
	m = write(d, nil)
	m.Children = referrers
	return providers.FallbackTag(subject.Digest), m
}

// Attested returns an index of images, each followed by the attestation manifest
// that buildkit pushes with it (platform unknown/unknown, annotated with what it
// describes).
func Attested(images []*Manifest) *Manifest {
	d := document{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	var children []*Manifest
	for i, img := range images {
		desc := img.Descriptor()
		desc.Platform = platform(i)
		proof := Image("attestation of "+img.Digest.String(), []Blob{LayerOf(InToto, "provenance of "+img.Digest.String(), 1200)})
		about := proof.Descriptor()
		about.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
		about.Annotations = map[string]string{
			"vnd.docker.reference.digest": img.Digest.String(),
			"vnd.docker.reference.type":   "attestation-manifest",
		}
		d.Manifests = append(d.Manifests, desc, about)
		children = append(children, img, proof)
	}
	m := write(d, nil)
	m.Children = children
	return m
}

// Foreign returns a layer that is not in registries, but at a URL.
func Foreign(name string, size int64) Blob {
	b := LayerOf(types.DockerForeignLayer, name, size)
	b.URLs = []string{"https://example.invalid/" + b.Digest.Hex}
	b.Content = nil
	return b
}
