package acrtest

import (
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// Quirks is how ACR behaves beyond the wire, as data; those of the wire are
// registrytest's, see [Wire]. They can be changed while the server runs.
type Quirks struct {
	// RefreshLife and AccessLife are how long the registry's tokens are good.
	RefreshLife, AccessLife time.Duration
	// ExpiresIn says so in the token service's answer; ACR does not.
	ExpiresIn bool
	// DirtyTokens writes the claims so that their base64url has a - or _, which
	// the SDK's decoder fails at; otherwise refresh tokens have none.
	DirtyTokens bool
	// ARMTokens takes tokens of Entra for Azure's resource manager, too
	// (azureADAuthenticationAsArmPolicy).
	ARMTokens bool
	// HeaderMost is the longest Authorization header in bytes that is taken
	// (UNVERIFIED); a longer one is answered 400.
	HeaderMost int

	// AnonymousPull lets anyone read.
	AnonymousPull bool
	// ABAC is the registry's role assignment mode "RBAC registry + ABAC repository
	// permissions": AcrPull, AcrPush and AcrDelete count for nothing.
	ABAC bool

	// TagsShown is how many tags a manifest has at most in the list of manifests
	// (reported in 2019 as about 10, azure-cli#7438); 0 is all.
	TagsShown int

	// IgnoreOrder lists by name whatever orderby says.
	IgnoreOrder bool

	// ImportPolls is how often an import is said to be under way; ImportAsync says so by
	// the status of Azure-AsyncOperation, and otherwise by that of Location.
	ImportPolls int
	ImportAsync bool

	// Window is how long a rate counts; Reads, Writes, ListReferrers and OAuth are
	// requests of the registry in it, 0 is no bound. One identity has half of Reads
	// and Writes.
	Window                              time.Duration
	Reads, Writes, ListReferrers, OAuth int

	// GeoLag makes the registry one of two regions, which take requests in turn:
	// what one was given the other has after this time.
	GeoLag time.Duration
	// Retention lets [Server.Purge] take untagged manifests of Docker's types away.
	Retention bool
}

// Defaults are ACR's quirks, and the published rates of Basic and Standard (2026).
func Defaults() Quirks {
	return Quirks{
		RefreshLife: 3 * time.Hour, AccessLife: 75 * time.Minute, HeaderMost: 8 << 10, TagsShown: 10,
		Window: time.Minute, Reads: 10_000, Writes: 2_000, ListReferrers: 500, OAuth: 10_000,
	}
}

// Wire are the wire quirks that ACR always has.
func Wire() registrytest.Quirks {
	return registrytest.Quirks{
		Listing:   registrytest.Listing{PageDefault: 100, PageMax: 1000},
		Manifests: registrytest.Manifests{Schema1: true, NoIfMatch: true},
		Blobs:     registrytest.Blobs{Redirect: true, AzureStorage: true},
		Uploads:   registrytest.Uploads{Location: registrytest.Relative},
	}
}
