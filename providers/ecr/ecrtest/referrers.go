package ecrtest

import (
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func (c *call) listImageReferrers() (any, *fail) {
	var in struct {
		repoInput
		SubjectID imageID `json:"subjectId"`
		page
	}
	if f := c.read(&in); f != nil {
		return nil, f
	}
	if f := c.named(in.RegistryID, in.RepositoryName); f != nil {
		return nil, f
	}
	n, after, _, f := in.bounds(c, 50, 20)
	if f != nil {
		return nil, f
	}
	subject, err := v1.NewHash(in.SubjectID.Digest)
	if err != nil {
		return nil, failf("InvalidParameterException", "subjectId needs an imageDigest")
	}
	all := c.s.Referrers(in.RepositoryName, subject)
	slices.SortFunc(all, func(a, b v1.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	referrers, next := []map[string]any{}, ""
	for _, d := range all {
		if d.Digest.String() <= after || next != "" {
			continue
		}
		if len(referrers) == n {
			next = pageToken(referrers[n-1]["digest"].(string), false)
			continue
		}
		referrers = append(referrers, map[string]any{"digest": d.Digest.String(), "mediaType": string(d.MediaType), "size": d.Size,
			"artifactType": d.ArtifactType, "annotations": d.Annotations, "artifactStatus": c.s.status(in.RepositoryName, d.Digest.String())})
	}
	out := map[string]any{"referrers": referrers}
	if next != "" {
		out["nextToken"] = next
	}
	return out, nil
}
