package main

import (
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// requests are counted by class.
type requests map[registrytest.Class]int64

// total is the sum of the requests to the registry itself: pings, tokens and what
// redirects led to are apart.
func (r requests) total() int64 {
	var n int64
	for class, k := range r {
		if !apart(class) {
			n += k
		}
	}
	return n
}

// apart reports whether a class is counted in a column of its own: how many of
// these there are depends on the registry more than on the tool's plan.
func apart(c registrytest.Class) bool {
	return c == registrytest.Ping || c == registrytest.Token || c == registrytest.Storage
}

// A minimum is the least that a pass can take without bulk calls.
type minimum struct {
	Source      requests `json:"source"`
	Target      requests `json:"target"` // all targets together
	SourceBytes int64    `json:"sourceBytes"`
	TargetBytes int64    `json:"targetBytes"`
}

// minimumOfAll is the least that brings everything to some targets: a page of
// tags a repository, a GET a manifest, a referrers query a tagged or referring
// manifest and a GET a blob; at each target POST and PUT a blob, a mount for
// every further repository that names it, a PUT a manifest and alias.
func minimumOfAll(s content.Shape, targets int64) minimum {
	blobs, puts := int64(s.Blobs), int64(s.Manifests+s.Aliases)
	return minimum{
		Source: requests{
			registrytest.Tags: int64(s.Repositories), registrytest.ManifestGet: int64(s.Manifests),
			registrytest.Referrers: int64(s.Tags + s.Referrers), registrytest.BlobGet: blobs,
		},
		Target: requests{
			registrytest.UploadPost: blobs * targets, registrytest.UploadPut: blobs * targets,
			registrytest.Mount: int64(s.Mounts) * targets, registrytest.ManifestPut: puts * targets,
		},
		SourceBytes: s.UniqueBytes, TargetBytes: s.UniqueBytes * targets,
	}
}

// minimumOfNothing is the least that sees that nothing has changed: a page of tags
// a repository and a HEAD a tag. A target that is known is not asked.
func minimumOfNothing(s content.Shape) minimum {
	return minimum{
		Source: requests{registrytest.Tags: int64(s.Repositories), registrytest.ManifestHead: int64(s.Tags)},
		Target: requests{},
	}
}

// minimumOfLists is the least that sees by bulk calls that nothing has changed: one
// for each thousand manifests of a repository, on each side, and at the source one for
// each thousand repositories.
func minimumOfLists(s content.Shape, targets int64) minimum {
	lists := int64(s.Repositories) // of fewer than a thousand manifests each
	return minimum{
		Source: requests{registrytest.Tags: lists + (lists+999)/1000},
		Target: requests{registrytest.Tags: lists * targets},
	}
}

// minimumOfOne is the least that sees that nothing has changed but for one new
// tag, and brings it; its manifest is read without a HEAD before.
func minimumOfOne(s, added content.Shape) minimum {
	m := minimumOfNothing(s)
	m.Source[registrytest.ManifestGet] = int64(added.Manifests)
	m.Source[registrytest.Referrers] = int64(added.Tags + added.Referrers)
	m.Source[registrytest.BlobGet] = int64(added.Blobs)
	m.Target = minimumOfAll(added, 1).Target
	m.SourceBytes, m.TargetBytes = added.UniqueBytes, added.UniqueBytes
	return m
}
