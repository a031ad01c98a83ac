package trial

import (
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// Load has an emulator hold an image under these tags. No request is made or counted.
func Load(t testing.TB, emulator interface {
	Load(repo string, m *content.Manifest, tags ...string) error
}, repo string, m *content.Manifest, tags ...string) {
	t.Helper()
	if err := emulator.Load(repo, m, tags...); err != nil {
		t.Fatal(err)
	}
}

// Push writes one manifest after its blobs.
func Push(t testing.TB, r providers.Registry, repo, ref string, m *content.Manifest) error {
	t.Helper()
	for _, b := range m.Blobs {
		if _, err := r.Put(t.Context(), repo, b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			return err
		}
	}
	_, err := r.PutManifest(t.Context(), repo, ref, m.Manifest, providers.PutOptions{})
	return err
}

// Copy brings an image with all below it by single writes, as transfer does.
func Copy(t testing.TB, r providers.Registry, repo, tag string, m *content.Manifest) {
	t.Helper()
	for _, part := range m.All() {
		ref := part.Digest.String()
		if part == m {
			ref = tag
		}
		if err := Push(t, r, repo, ref, part); err != nil {
			t.Fatal(err)
		}
	}
}
