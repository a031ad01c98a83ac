package main

import (
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// A studio makes manifests of layers.
type studio struct {
	layers map[string]layer
	signer signer
}

// base is what every image starts with.
func base(arch string) []string { return []string{"runtime", arch, "std"} }

// image returns an image of these layers for linux on arch.
func (s studio) image(arch string, layers ...string) (*content.Manifest, error) {
	epoch := v1.Time{Time: time.Unix(0, 0).UTC()}
	config := v1.ConfigFile{OS: "linux", Architecture: arch, Created: epoch, RootFS: v1.RootFS{Type: "layers"}}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	var blobs []content.Blob
	for _, name := range layers {
		l := s.layers[name]
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diff)
		config.History = append(config.History, v1.History{Created: epoch, CreatedBy: "transship-demo " + name})
		m.Layers = append(m.Layers, l.Descriptor)
		blobs = append(blobs, l.Blob)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	c := content.Bytes(types.OCIConfigJSON, raw)
	m.Config = c.Descriptor
	if raw, err = json.Marshal(m); err != nil {
		return nil, fmt.Errorf("image manifest: %w", err)
	}
	return &content.Manifest{
		Manifest: providers.Manifest{MediaType: m.MediaType, Digest: content.Hash(raw), Raw: raw},
		Blobs:    append(blobs, c),
	}, nil
}

// index returns an index of the same image for amd64 and arm64; what is added to
// the base is shared by both.
func (s studio) index(added ...string) (*content.Manifest, error) {
	var children []*content.Manifest
	for _, arch := range []string{"amd64", "arm64"} {
		child, err := s.image(arch, append(base(arch), added...)...)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return content.Index(children), nil
}
