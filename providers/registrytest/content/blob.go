// Package content makes images, indexes, referrers and whole corpora for test
// registries, the same ones for the same names. Nothing in it is real software:
// layers are bytes that do not compress, and only their digests matter.
//
// A [Blob] and a [Manifest] are values; registrytest's Server.Load puts them
// into a registry without a request.
package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Blob is a config or a layer: its descriptor, and where to read its bytes.
type Blob struct {
	v1.Descriptor
	Content   io.ReaderAt
	Generated bool // made on the fly, never held in memory
}

// Bytes returns data as a blob of this media type.
func Bytes(mediaType types.MediaType, data []byte) Blob {
	return Blob{
		Descriptor: v1.Descriptor{MediaType: mediaType, Size: int64(len(data)), Digest: Hash(data)},
		Content:    bytes.NewReader(data),
	}
}

// generateAbove is the size in bytes above which a layer is made on the fly.
const generateAbove = 4 << 20

// Layer returns a layer of size bytes that depend on name alone. Above 4 MiB it
// is generated: it is hashed once here, and made again for each read.
func Layer(name string, size int64) Blob { return LayerOf(types.OCILayer, name, size) }

// LayerOf is [Layer] with a media type.
func LayerOf(mediaType types.MediaType, name string, size int64) Blob {
	source := newNoise(name, size)
	sum := sha256.New()
	_, _ = io.Copy(sum, io.NewSectionReader(source, 0, size)) // neither side fails
	b := Blob{
		Descriptor: v1.Descriptor{MediaType: mediaType, Size: size, Digest: hashOf(sum.Sum(nil))},
		Content:    source, Generated: true,
	}
	if size <= generateAbove {
		data, _ := io.ReadAll(io.NewSectionReader(source, 0, size))
		b.Content, b.Generated = bytes.NewReader(data), false
	}
	return b
}

// Hash is the sha256 digest of data.
func Hash(data []byte) v1.Hash {
	sum := sha256.Sum256(data)
	return hashOf(sum[:])
}

func hashOf(sum []byte) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum)} }
