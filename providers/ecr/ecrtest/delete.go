package ecrtest

import (
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func (c *call) batchDeleteImage() (any, *fail) {
	var in struct {
		repoInput
		ImageIDs []imageID `json:"imageIds"`
	}
	if f := c.read(&in); f != nil {
		return nil, f
	}
	if f := c.named(in.RegistryID, in.RepositoryName); f != nil {
		return nil, f
	}
	if len(in.ImageIDs) > 100 {
		return nil, failf("InvalidParameterException", "imageIds are at most 100")
	}
	gone, failures := []imageID{}, []imageFailure{}
	for _, id := range in.ImageIDs {
		if f, ok := c.deleteImage(in.RepositoryName, id); !ok {
			failures = append(failures, f)
			continue
		}
		gone = append(gone, id)
	}
	return map[string]any{"imageIds": gone, "failures": failures}, nil
}

// deleteImage takes a tag away, and with the last one its image; or an image with
// all its tags. An index's child stays.
func (c *call) deleteImage(repo string, id imageID) (imageFailure, bool) {
	i, ok := c.s.Image(repo, id.ref())
	if !ok {
		return imageFailure{id, "ImageNotFound", "Requested image not found"}, false
	}
	digest := i.Digest.String()
	last := id.Digest != "" || len(i.Tags) == 1
	if last && c.isChild(repo, i.Digest) {
		return imageFailure{id, "ImageReferencedByManifestList", "Requested image referenced by manifest list"}, false
	}
	if last {
		return imageFailure{}, c.s.Remove(repo, digest) == nil
	}
	return imageFailure{}, c.s.Remove(repo, id.Tag) == nil
}

func (c *call) isChild(repo string, digest v1.Hash) bool {
	for _, other := range c.s.Manifests(repo) {
		i, ok := c.s.Image(repo, other)
		if ok && slices.ContainsFunc(i.Content.Children, func(d v1.Descriptor) bool { return d.Digest == digest }) {
			return true
		}
	}
	return false
}
