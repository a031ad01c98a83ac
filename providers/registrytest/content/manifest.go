package content

import (
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
)

// A Manifest is one manifest with everything that it names, ready to be loaded.
type Manifest struct {
	providers.Manifest
	Blobs     []Blob      // config and layers that are in a registry; foreign layers are not
	Children  []*Manifest // of an index
	Referrers []*Manifest // whose subject this is; they come with it
}

// An Option changes a manifest before it is written.
type Option func(*document)

// A document is the JSON of an image manifest or an index.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *v1.Descriptor    `json:"config,omitempty"`
	Layers        []v1.Descriptor   `json:"layers,omitzero"`
	Manifests     []v1.Descriptor   `json:"manifests,omitzero"`
	Subject       *v1.Descriptor    `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Annotate adds one annotation to a manifest.
func Annotate(key, value string) Option {
	return func(d *document) {
		if d.Annotations == nil {
			d.Annotations = map[string]string{}
		}
		d.Annotations[key] = value
	}
}

// Subject makes a manifest a referrer of another.
func Subject(of *Manifest) Option {
	subject := of.Descriptor()
	return func(d *document) { d.Subject = &subject }
}

// ArtifactType says what an artifact is.
func ArtifactType(name string) Option { return func(d *document) { d.ArtifactType = name } }

// Docker writes the manifest with Docker's schema 2 types.
func Docker() Option {
	return func(d *document) {
		switch d.MediaType {
		case types.OCIImageIndex:
			d.MediaType = types.DockerManifestList
		default:
			d.MediaType = types.DockerManifestSchema2
			d.Config.MediaType = types.DockerConfigJSON
		}
		for i := range d.Layers {
			if d.Layers[i].MediaType == types.OCILayer {
				d.Layers[i].MediaType = types.DockerLayer
			}
		}
	}
}

// Image returns an image whose config depends on name, which also keeps images
// of the same layers apart.
func Image(name string, layers []Blob, opts ...Option) *Manifest {
	return image(Bytes(types.OCIConfigJSON, configFor(name, layers)), layers, opts)
}

func image(config Blob, layers []Blob, opts []Option) *Manifest {
	d := document{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: &config.Descriptor, Layers: []v1.Descriptor{}}
	for _, l := range layers {
		d.Layers = append(d.Layers, l.Descriptor)
	}
	m := write(d, opts)
	m.Blobs = append(m.Blobs, config)
	for _, l := range layers {
		if l.Content != nil {
			m.Blobs = append(m.Blobs, l)
		}
	}
	return m
}

func write(d document, opts []Option) *Manifest {
	for _, o := range opts {
		o(&d)
	}
	raw := encode(d)
	return &Manifest{Manifest: providers.Manifest{MediaType: d.MediaType, Digest: Hash(raw), Raw: raw}}
}

func encode(v any) []byte {
	raw, err := json.MarshalIndent(v, "", "   ") // as the docker client writes it
	if err != nil {
		panic("content: a document of plain fields did not encode: " + err.Error())
	}
	return raw
}

func configFor(name string, layers []Blob) []byte {
	diffs := make([]string, len(layers))
	for i, l := range layers {
		diffs[i] = l.Digest.String()
	}
	return encode(map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
		"config": map[string]any{"Labels": map[string]string{"name": name}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
}

// Index returns an index of children in this order. A child that is an image
// gets the platform at its place: amd64, arm64, arm, s390x, ppc64le, riscv64, 386.
func Index(children []*Manifest, opts ...Option) *Manifest {
	d := document{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for i, c := range children {
		desc := c.Descriptor()
		if !providers.IsIndex(c.MediaType) {
			desc.Platform = platform(i)
		}
		d.Manifests = append(d.Manifests, desc)
	}
	m := write(d, opts)
	m.Children = children
	return m
}

var architectures = [...]string{"amd64", "arm64", "arm", "s390x", "ppc64le", "riscv64", "386"}

func platform(i int) *v1.Platform {
	return &v1.Platform{OS: "linux", Architecture: architectures[i%len(architectures)]}
}

// All returns m, its descendants and all their referrers, what is named before
// what names it, each digest once.
func (m *Manifest) All() []*Manifest {
	var all []*Manifest
	seen := map[v1.Hash]bool{}
	var walk func(*Manifest)
	walk = func(m *Manifest) {
		if seen[m.Digest] {
			return
		}
		seen[m.Digest] = true
		for _, c := range m.Children {
			walk(c)
		}
		all = append(all, m)
		for _, r := range m.Referrers {
			walk(r)
		}
	}
	walk(m)
	return all
}
