package ecrtest

import (
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// Quirks is how ECR behaves beyond the wire, as data; those of the wire are
// registrytest's, see [Wire]. They can be changed while the server runs.
type Quirks struct {
	// TokenLife is how long a registry token is good; ECR's is 12 hours.
	TokenLife time.Duration
	// ExpiredStatus is the status in answer to a token that has expired, 403 or
	// 401 (UNVERIFIED which).
	ExpiredStatus int

	// Rates are calls a second that are taken, by operation, each with a burst of
	// the same size; more are throttled. Those of the data plane are "PutImage",
	// "InitiateLayerUpload" and "CompleteLayerUpload", whose answer is 429 without
	// Retry-After; others, such as "DescribeImages", get a ThrottlingException.
	Rates map[string]float64

	// Repositories, ImagesPerRepository and TagsPerImage are quotas.
	Repositories, ImagesPerRepository, TagsPerImage int
	// QuotaStatus and QuotaCode are how a manifest over a quota is refused by the
	// registry (UNVERIFIED).
	QuotaStatus int
	QuotaCode   string

	// ArchivedStatus and ArchivedCode are how an archived manifest is refused
	// (UNVERIFIED).
	ArchivedStatus int
	ArchivedCode   string

	// Subjects are the subjects that DescribeImages tells of manifests, by their
	// digests, instead of the true ones; "" is none.
	Subjects map[string]string

	// EmptyPages puts an empty page with a token before each page of a list.
	EmptyPages bool

	// ClockOffset is how far the server's clock is ahead of ours. Signatures more
	// than 5 minutes from its time are refused.
	ClockOffset time.Duration
}

// Defaults are ECR's quirks and published quotas (service quotas, 2026).
func Defaults() Quirks {
	return Quirks{
		TokenLife: 12 * time.Hour, ExpiredStatus: 403,
		Rates:        map[string]float64{"PutImage": 10, "InitiateLayerUpload": 100, "CompleteLayerUpload": 100},
		Repositories: 100_000, ImagesPerRepository: 100_000, TagsPerImage: 1000,
		QuotaStatus: 400, QuotaCode: "DENIED",
		ArchivedStatus: 403, ArchivedCode: "DENIED",
	}
}

// Wire are the wire quirks that ECR always has.
func Wire() registrytest.Quirks {
	return registrytest.Quirks{
		Listing:   registrytest.Listing{PageDefault: 100, PageMax: 1000, RefuseOverMax: true},
		Manifests: registrytest.Manifests{Schema1: true, ConvertByTag: true, NoIfMatch: true},
		Blobs:     registrytest.Blobs{HiddenLayers: true, Redirect: true},
		Uploads:   registrytest.Uploads{PatchCreated: true, StaleRange: true, EmptyPutFails: true},
	}
}
