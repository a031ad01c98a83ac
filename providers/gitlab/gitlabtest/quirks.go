package gitlabtest

import "github.com/transship/transship/providers/registrytest"

// Quirks is how GitLab behaves beyond the wire, as data; those of the wire are
// registrytest's, see [Wire]. They can be changed while the server runs.
type Quirks struct {
	// NoMetadata is a registry without the metadata database: its own API is 404.
	NoMetadata bool
	// NoReferrersList is one whose tags are listed without their referrers.
	NoReferrersList bool
	// StoresFallback takes a fallback tag, which is then read as the digest that it
	// spells; without it the tag is refused as a digest that the body has not
	// (UNVERIFIED which).
	StoresFallback bool
	// Levels are the path elements that an image may have below its project; 2.
	Levels int
	// Protected and Immutable are patterns of tags that may not be pushed to and not
	// be moved (UNVERIFIED how that is answered: 403 DENIED with a detail).
	Protected, Immutable string
	// PageMost is the most entries of a page of the REST API; GitLab's is 100.
	PageMost int
}

// Defaults are GitLab.com's quirks.
func Defaults() Quirks { return Quirks{Levels: 2, PageMost: 100} }

// Wire are the wire quirks that GitLab always has.
func Wire() registrytest.Quirks {
	return registrytest.Quirks{
		Auth:      registrytest.Auth{Mode: registrytest.Bearer},
		Listing:   registrytest.Listing{NoCatalog: true, PageDefault: 100, PageMax: 1000, AbsoluteLink: true},
		Manifests: registrytest.Manifests{NoReferrers: true, NormalizedFallback: true, NoIfMatch: true},
		Blobs:     registrytest.Blobs{Redirect: true},
	}
}
