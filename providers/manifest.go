package providers

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Manifest is a manifest's bytes as its registry holds them. They are never
// serialized again: a digest names bytes.
type Manifest struct {
	MediaType types.MediaType // as the registry's Content-Type says
	Digest    v1.Hash
	Raw       []byte
}

// Descriptor returns the descriptor of m.
func (m Manifest) Descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: m.MediaType, Size: int64(len(m.Raw)), Digest: m.Digest}
}

// Content is what a manifest says: the edges of the content graph. Only this
// package knows which media type keeps them where.
type Content struct {
	MediaType    types.MediaType
	ArtifactType string // artifactType, else the config's media type for an image manifest
	Config       *v1.Descriptor
	Layers       []v1.Descriptor // in order, duplicates kept
	Children     []v1.Descriptor // of an index or a manifest list, in order
	Subject      *v1.Descriptor
	Annotations  map[string]string
}

// Bounds of what [Parse] accepts in an index; the depth is the reader's to hold.
const (
	MaxChildren = 10_000
	MaxDepth    = 8
)

// Parse reads what m says. The error is an [Error] of Kind Invalid: not JSON,
// no known shape, a descriptor without digest or with a negative size, more
// than [MaxChildren] children, more than [MaxManifest] bytes.
//
// Docker schema 1 has layers of unknown size (-1), in the order of fsLayers.
func Parse(m Manifest) (Content, error) {
	if len(m.Raw) > MaxManifest {
		return Content{}, invalid(m, "is %d bytes, more than the %d that registries take", len(m.Raw), MaxManifest)
	}
	if m.MediaType == types.DockerManifestSchema1 || m.MediaType == types.DockerManifestSchema1Signed {
		return parseSchema1(m)
	}
	var doc struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     types.MediaType   `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        *v1.Descriptor    `json:"config"`
		Layers        []v1.Descriptor   `json:"layers"`
		Blobs         []v1.Descriptor   `json:"blobs"` // OCI artifact manifest, withdrawn but alive
		Manifests     []v1.Descriptor   `json:"manifests"`
		Subject       *v1.Descriptor    `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(m.Raw, &doc); err != nil {
		return Content{}, invalid(m, "is not a manifest: %v", err)
	}
	c := Content{
		MediaType: m.MediaType, ArtifactType: doc.ArtifactType, Config: doc.Config,
		Layers: append(doc.Layers, doc.Blobs...), Children: doc.Manifests,
		Subject: doc.Subject, Annotations: doc.Annotations,
	}
	if c.MediaType == "" {
		c.MediaType = doc.MediaType
	}
	if c.ArtifactType == "" && c.Config != nil {
		c.ArtifactType = string(c.Config.MediaType)
	}
	return c, c.validate(m)
}

func (c Content) validate(m Manifest) error {
	if IsIndex(c.MediaType) && (c.Config != nil || len(c.Layers) > 0) {
		return invalid(m, "calls itself an index and has a config or layers")
	}
	if !IsIndex(c.MediaType) && len(c.Children) > 0 {
		return invalid(m, "calls itself %s and lists manifests", c.MediaType)
	}
	if len(c.Children) > MaxChildren {
		return invalid(m, "lists %d manifests, more than %d", len(c.Children), MaxChildren)
	}
	all := slices.Concat(c.Layers, c.Children)
	for _, d := range []*v1.Descriptor{c.Config, c.Subject} {
		if d != nil {
			all = append(all, *d)
		}
	}
	for _, d := range all {
		if d.Digest.Hex == "" {
			return invalid(m, "has a descriptor without digest")
		}
		if d.Size < 0 {
			return invalid(m, "gives %s a size of %d bytes", d.Digest, d.Size)
		}
	}
	return nil
}

func parseSchema1(m Manifest) (Content, error) {
	var doc struct {
		FSLayers []struct {
			BlobSum v1.Hash `json:"blobSum"`
		} `json:"fsLayers"`
	}
	if err := json.Unmarshal(m.Raw, &doc); err != nil {
		return Content{}, invalid(m, "is not a schema 1 manifest: %v", err)
	}
	c := Content{MediaType: m.MediaType}
	for _, l := range doc.FSLayers {
		if l.BlobSum.Hex == "" {
			return Content{}, invalid(m, "has a layer without digest")
		}
		c.Layers = append(c.Layers, v1.Descriptor{MediaType: types.DockerLayer, Digest: l.BlobSum, Size: -1})
	}
	return c, nil
}

// Blobs returns the config and the layers, each digest once, in the manifest's order.
func (c Content) Blobs() []v1.Descriptor {
	var blobs []v1.Descriptor
	if c.Config != nil {
		blobs = append(blobs, *c.Config)
	}
	seen := map[v1.Hash]bool{}
	return slices.DeleteFunc(append(blobs, c.Layers...), func(d v1.Descriptor) bool {
		was := seen[d.Digest]
		seen[d.Digest] = true
		return was
	})
}

// IsIndex reports whether manifests of this type list other manifests.
func IsIndex(t types.MediaType) bool {
	return t == types.OCIImageIndex || t == types.DockerManifestList
}

// IsSchema1 reports whether t is one of Docker's schema 1 types.
func IsSchema1(t types.MediaType) bool {
	return t == types.DockerManifestSchema1 || t == types.DockerManifestSchema1Signed
}

// Foreign reports whether registries may refuse d's bytes, which are then to be
// had at d.URLs: a foreign or non-distributable layer.
func Foreign(d v1.Descriptor) bool {
	return len(d.URLs) > 0 || strings.Contains(string(d.MediaType), "nondistributable") ||
		d.MediaType == types.DockerForeignLayer
}

// FallbackTag is the tag under which a registry without the referrers API keeps
// the index of subject's referrers (OCI distribution-spec v1.1, "Referrers Tag Schema").
func FallbackTag(subject v1.Hash) string { return subject.Algorithm + "-" + subject.Hex }

// ReferrerTag splits a tag that belongs to another manifest: the fallback tag of
// a subject (suffix "") or one of cosign's (suffix ".sig", ".att" or ".sbom").
func ReferrerTag(tag string) (subject v1.Hash, suffix string, ok bool) {
	name, found := strings.CutPrefix(tag, "sha256-")
	if !found || len(name) < 64 {
		return v1.Hash{}, "", false
	}
	switch suffix = name[64:]; suffix {
	case "", ".sig", ".att", ".sbom":
	default:
		return v1.Hash{}, "", false
	}
	subject, err := v1.NewHash("sha256:" + name[:64])
	return subject, suffix, err == nil
}

func invalid(m Manifest, format string, args ...any) error {
	return &Error{Kind: Invalid, Op: "read manifest", Ref: m.Digest.String(),
		Hint: "push the image again at the source, or exclude its tag",
		Err:  fmt.Errorf("it "+format, args...)}
}
