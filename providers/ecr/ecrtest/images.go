package ecrtest

import (
	"cmp"
	"slices"

	"github.com/transship/transship/providers/registrytest"
)

type imageID struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
}

// ref is the tag or the digest.
func (id imageID) ref() string { return cmp.Or(id.Digest, id.Tag) }

type imageDetail struct {
	Registry   string   `json:"registryId"`
	Repository string   `json:"repositoryName"`
	Digest     string   `json:"imageDigest"`
	Tags       []string `json:"imageTags,omitempty"`
	Size       int64    `json:"imageSizeInBytes"`
	Pushed     seconds  `json:"imagePushedAt"`
	MediaType  string   `json:"imageManifestMediaType"`
	Artifact   string   `json:"artifactMediaType,omitempty"`
	Status     string   `json:"imageStatus"`
	Subject    string   `json:"subjectManifestDigest,omitempty"`
}

type listInput struct {
	repoInput
	ImageIDs []imageID `json:"imageIds"`
	Filter   struct{ TagStatus, ImageStatus string }
	page
}

// status is whether an image is in the archive.
func (s *Server) status(repo, digest string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repo(repo).archived[digest] {
		return "ARCHIVED"
	}
	return "ACTIVE"
}

// selects reports whether the filter takes an image: active ones, unless it says otherwise.
func (c *call) selects(in *listInput, i registrytest.Image) bool {
	status := cmp.Or(in.Filter.ImageStatus, "ACTIVE")
	if status != "ANY" && status != c.s.status(in.RepositoryName, i.Digest.String()) {
		return false
	}
	switch in.Filter.TagStatus {
	case "TAGGED":
		return len(i.Tags) > 0
	case "UNTAGGED":
		return len(i.Tags) == 0
	}
	return true
}

// pageOf reads one page of the images that the filter takes. As with any filtered
// list of AWS's, a page may hold fewer than it was asked for, or none, and still
// have a successor.
func (c *call) pageOf(in *listInput) (images []registrytest.Image, next string, f *fail) {
	if f := c.read(in); f != nil {
		return nil, "", f
	}
	if f := c.named(in.RegistryID, in.RepositoryName); f != nil {
		return nil, "", f
	}
	if len(in.ImageIDs) > 0 {
		images, f := c.byID(in)
		return images, "", f
	}
	n, after, empty, f := in.bounds(c, 1000, 100)
	if f != nil {
		return nil, "", f
	}
	if empty {
		return nil, pageToken(after, true), nil
	}
	all, more, _ := c.s.Images(in.RepositoryName, after, n)
	if more {
		next = pageToken(all[len(all)-1].Digest.String(), false)
	}
	return slices.DeleteFunc(all, func(i registrytest.Image) bool { return !c.selects(in, i) }), next, nil
}

func (c *call) byID(in *listInput) ([]registrytest.Image, *fail) {
	if len(in.ImageIDs) > 100 || in.set() {
		return nil, failf("InvalidParameterException", "imageIds are at most 100 and exclude paging")
	}
	var images []registrytest.Image
	for _, id := range in.ImageIDs {
		i, ok := c.s.Image(in.RepositoryName, id.ref())
		if !ok || !c.selects(in, i) {
			return nil, failf("ImageNotFoundException", "The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
				id.Digest, id.Tag, in.RepositoryName, c.s.account)
		}
		images = append(images, i)
	}
	return images, nil
}

func (c *call) describeImages() (any, *fail) {
	var in listInput
	images, next, f := c.pageOf(&in)
	if f != nil {
		return nil, f
	}
	var out struct {
		Details []imageDetail `json:"imageDetails"`
		Next    string        `json:"nextToken,omitempty"`
	}
	out.Details, out.Next = []imageDetail{}, next
	for _, i := range images {
		d := imageDetail{Registry: c.s.account, Repository: in.RepositoryName, Digest: i.Digest.String(), Tags: i.Tags,
			Size: c.size(in.RepositoryName, i), Pushed: seconds(i.Pushed), MediaType: string(i.MediaType),
			Artifact: i.Content.ArtifactType, Status: c.s.status(in.RepositoryName, i.Digest.String())}
		if i.Content.Subject != nil {
			d.Subject = i.Content.Subject.Digest.String()
		}
		if told, wrong := c.s.config().Subjects[d.Digest]; wrong {
			d.Subject = told
		}
		out.Details = append(out.Details, d)
	}
	return out, nil
}

// size is an image's as ECR counts it: that of its blobs, of an index the size of
// its largest child.
func (c *call) size(repo string, i registrytest.Image) (n int64) {
	for _, b := range i.Content.Blobs() {
		n += max(0, b.Size)
	}
	for _, child := range i.Content.Children {
		if part, ok := c.s.Image(repo, child.Digest.String()); ok {
			n = max(n, c.size(repo, part))
		}
	}
	return n
}

func (c *call) listImages() (any, *fail) {
	var in listInput
	images, next, f := c.pageOf(&in)
	if f != nil {
		return nil, f
	}
	ids := []imageID{}
	for _, i := range images {
		for _, tag := range i.Tags {
			ids = append(ids, imageID{i.Digest.String(), tag})
		}
		if len(i.Tags) == 0 {
			ids = append(ids, imageID{Digest: i.Digest.String()})
		}
	}
	out := map[string]any{"imageIds": ids}
	if next != "" {
		out["nextToken"] = next
	}
	return out, nil
}

type imageFailure struct {
	ID     imageID `json:"imageId"`
	Code   string  `json:"failureCode"`
	Reason string  `json:"failureReason"`
}

func (c *call) batchGetImage() (any, *fail) {
	var in struct {
		repoInput
		ImageIDs           []imageID `json:"imageIds"`
		AcceptedMediaTypes []string
	}
	if f := c.read(&in); f != nil {
		return nil, f
	}
	if f := c.named(in.RegistryID, in.RepositoryName); f != nil {
		return nil, f
	}
	images, failures := []map[string]any{}, []imageFailure{}
	for _, id := range in.ImageIDs {
		i, ok := c.s.Image(in.RepositoryName, id.ref())
		switch {
		case !ok:
			failures = append(failures, imageFailure{id, "ImageNotFound", "Requested image not found"})
		case c.s.status(in.RepositoryName, i.Digest.String()) == "ARCHIVED":
			failures = append(failures, imageFailure{id, "ImageInaccessible", "Requested image is archived"})
		case len(in.AcceptedMediaTypes) > 0 && !slices.Contains(in.AcceptedMediaTypes, string(i.MediaType)):
			failures = append(failures, imageFailure{id, "UnsupportedImageType", "Requested image has another media type"})
		default:
			images = append(images, map[string]any{"registryId": c.s.account, "repositoryName": in.RepositoryName,
				"imageId": imageID{i.Digest.String(), id.Tag}, "imageManifest": string(i.Raw), "imageManifestMediaType": string(i.MediaType)})
		}
	}
	return map[string]any{"images": images, "failures": failures}, nil
}
