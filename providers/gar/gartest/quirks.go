package gartest

import (
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// Quirks is how Artifact Registry behaves beyond the wire, as data; those of the
// wire are registrytest's, see [Wire]. They can be changed while the server runs.
type Quirks struct {
	// TokenLife is how long access tokens are good; Google's are an hour. Answers
	// say so in whole seconds, at least 1.
	TokenLife time.Duration

	// PageDefault and PageMax are the page sizes of the Admin API's lists; a larger
	// size is cut down.
	PageDefault, PageMax int
	// FiltersNothing lets no name through a filter (a list is to be had without).
	FiltersNothing bool
	// RelatedTags is how many tags ListVersions names at one version.
	RelatedTags int
	// ChildCap is how many children tags/list names.
	ChildCap int
	// ManifestCap is how many manifests tags/list names, with their tags; 0 is all
	// (UNVERIFIED that there is no bound).
	ManifestCap int
	// PlainTags answers tags/list without the manifests.
	PlainTags bool

	// SpecLocations writes the locations of uploads below /v2/ from the start, and
	// PlainDownloads answers reads of blobs at once: both as other registries do.
	SpecLocations, PlainDownloads bool
	// DownloadLife is how long a download's address is good. It is good once.
	DownloadLife time.Duration

	// MountAcross lets blobs be mounted from another repository of the project, or
	// another project (UNVERIFIED); within one they always are.
	MountAcross bool
	// RefuseSameDigest refuses an immutable tag with the digest that it has, too
	// (UNVERIFIED).
	RefuseSameDigest bool
	// DeleteChildren lets a manifest be deleted that an index names.
	DeleteChildren bool

	// Requests and Writes are how many requests a minute are taken for a project;
	// more are answered 429 without Retry-After, or RESOURCE_EXHAUSTED. 0 is no bound.
	Requests, Writes float64

	// ClockOffset is how far the clock of the token service is ahead of ours; it takes
	// no assertion from more than five minutes ahead, nor one that has ended.
	ClockOffset time.Duration

	// SlowCreate is how often a repository that is being made is asked for before it
	// is there.
	SlowCreate int
}

// Defaults are the service's quirks and published quotas (2026).
func Defaults() Quirks {
	return Quirks{
		TokenLife: time.Hour, PageDefault: 35, PageMax: 1000, RelatedTags: 100, ChildCap: 1000,
		DownloadLife: time.Minute, Requests: 60_000, Writes: 18_000,
	}
}

// Wire are the wire quirks that Artifact Registry always has.
func Wire() registrytest.Quirks {
	return registrytest.Quirks{
		Listing:   registrytest.Listing{NoCatalog: true, IgnorePaging: true},
		Manifests: registrytest.Manifests{NoIfMatch: true},
		Uploads:   registrytest.Uploads{NoChunks: true, Location: registrytest.Relative},
	}
}
