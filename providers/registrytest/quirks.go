package registrytest

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Quirks is what makes a server behave like one registry or another, as data.
// The zero value is a strict, modern, well-behaved registry: it answers the
// referrers API, mounts, lists, pages by Link, refuses what is incomplete, and
// asks for no credentials. A server's quirks can be changed while it runs, with
// [Server.Set]; a request is served by those in force when it arrived.
//
// Slices and maps in it are never written by the server, and are not to be
// written by others once they are set.
type Quirks struct {
	// Seed decides everything that looks random: which requests fail, where a
	// body breaks, in what order tags come.
	Seed uint64

	Wire
	Auth
	Listing
	Manifests
	Blobs
	Uploads
	Limits

	// Faults are failures at a rate; see also [Server.Next] and [Server.Before].
	Faults []Rule
}

// Wire is how the network is. Loopback has none of it.
type Wire struct {
	// Latency is added to each request once, as a round trip would.
	Latency time.Duration
	// ConnectTrips is how many more times Latency the first request on a
	// connection waits: 1 for TCP, 2 with TLS 1.3.
	ConnectTrips int
	// BytesPerSecond bounds all bodies together, in each direction; ConnBytesPerSecond
	// those on one connection. 0 is no bound.
	BytesPerSecond, ConnBytesPerSecond int64
	// ClockSkew is how far the Date header is ahead of the time.
	ClockSkew time.Duration
}

// Listing is how repositories and tags are listed.
type Listing struct {
	// NoCatalog answers 404 to /v2/_catalog: Docker Hub, GHCR, GitLab.
	NoCatalog bool
	// CatalogStatus with NoCatalog answers this instead, such as 401 (an ACR
	// identity without Catalog Lister) or 405.
	CatalogStatus int
	// PageDefault is the page size where the client names none (ECR: 100,
	// distribution's catalog: 100); 0 is everything.
	PageDefault int
	// PageMax is the largest page; a larger n is cut down to it, or refused if
	// RefuseOverMax (ECR: 405 UNSUPPORTED above 1000).
	PageMax       int
	RefuseOverMax bool
	// NoLink leaves the Link header out: the client has to go on by last.
	NoLink bool
	// AbsoluteLink writes Link with scheme and host (Quay, Docker Hub).
	AbsoluteLink bool
	// TrailingLink links from a full page of tags even if nothing follows, to a
	// page that is empty: distribution.
	TrailingLink bool
	// IgnorePaging answers everything at once whatever n and last say: GAR.
	IgnorePaging bool
	// SamePage answers the first page again and again, with a Link to itself.
	SamePage bool
	// Circle answers two pages in turn, which link to each other.
	Circle bool
	// NoEnd makes up tags for a page after the last, and for one after that, and so on.
	NoEnd bool
	// Order is the order of tags: lexical unless told otherwise.
	Order Order
	// GhostTags are listed in every repository and answer 404: a tag that was
	// deleted after the listing, or a database that lags (ACR geo-replicas).
	GhostTags []string
}

// An Order is one in which tags are listed.
type Order string

// The orders. Paging by last works in Lexical only, as it does in the world.
const (
	Lexical  Order = ""
	Reverse  Order = "reverse"
	Shuffled Order = "shuffled" // by the seed, the same each time
)

// Manifests is how manifests are taken and given.
type Manifests struct {
	// NoReferrers answers 404 to the referrers API and sends no OCI-Subject:
	// GHCR, GitLab, distribution.
	NoReferrers bool
	// LyingSubject sends OCI-Subject although NoReferrers (seen at ECR).
	LyingSubject bool
	// ReferrersPage is the page size of the referrers API, 0 is everything.
	ReferrersPage int
	// NoReferrersFilter ignores artifactType and says nothing of a filter.
	NoReferrersFilter bool
	// MoreReferrers are listed as referrers of every manifest, after its own.
	MoreReferrers []v1.Descriptor
	// NormalizedFallback resolves the tag sha256-<hex> to the manifest
	// sha256:<hex> itself: GitLab.
	NormalizedFallback bool

	// NoDigestHeader leaves Docker-Content-Digest out of manifest answers.
	NoDigestHeader bool
	// WrongDigestHeader names another digest there than that of the bytes.
	WrongDigestHeader bool
	// HeadDisagrees gives HEAD of a tag another digest than GET, as a cache that lags.
	HeadDisagrees bool

	// SparseIndex accepts an index some of whose children are missing; Quay,
	// distribution with validation off.
	SparseIndex bool
	// Lax accepts a manifest whose blobs are missing.
	Lax bool
	// LackIsInvalid refuses a manifest that names what is missing as MANIFEST_INVALID,
	// without a word of what: zot.
	LackIsInvalid bool
	// WantsForeign refuses a manifest whose foreign layers are missing as one that
	// lacks others: zot.
	WantsForeign bool
	// Schema1 accepts Docker schema 1 manifests: ECR, Quay.
	Schema1 bool
	// RefuseTypes are manifest media types that are refused with 405.
	RefuseTypes []string
	// MaxManifest is the largest manifest in bytes, 4 MiB if 0.
	MaxManifest int64

	// ConvertByTag sends an OCI image as a Docker schema 2 one, under another
	// digest, to whoever asks by tag and does not accept OCI's type: ECR.
	ConvertByTag bool

	// Immutable refuses to move a tag, in the words of a registry.
	Immutable Immutable
	// NoIfMatch ignores the If-Match and If-None-Match headers of a PUT, as most do.
	NoIfMatch bool
}

// An Immutable says who refuses to move a tag, hence with which words.
type Immutable string

// The immutable registries. ECR alone refuses the digest that the tag has, too.
const (
	Mutable         Immutable = ""
	ImmutableECR    Immutable = "ecr"    // 400 TAG_INVALID
	ImmutableACR    Immutable = "acr"    // 405 REGISTRY_DISALLOWED_OPERATION
	ImmutableQuay   Immutable = "quay"   // 409 TAG_IMMUTABLE
	ImmutableHarbor Immutable = "harbor" // 412 PRECONDITION
	ImmutableGAR    Immutable = "gar"    // 400 MANIFEST_INVALID, told by its text alone
)

// Blobs is how blobs are given and mounted.
type Blobs struct {
	// NoMount answers 202 and an upload to every mount: ECR without
	// BLOB_MOUNTING, GAR across repositories.
	NoMount bool
	// NoMountBetween refuses to mount between these pairs only, with 202: ECR
	// repositories of different encryption keys, an ACR token without pull.
	NoMountBetween []Pair
	// MountStatus answers mounts that are refused with this status and no
	// upload, such as 401 (Harbor, source project missing) or 404; 0 is 202.
	MountStatus int
	// MountLies answers 201 and does not mount.
	MountLies bool
	// HiddenLayers hides a blob until a manifest of its repository names it:
	// HEAD finds it, GET is 404, mounts from there are refused. ECR.
	HiddenLayers bool

	// Redirect sends blob GETs to the storage host by 307: ECR, ACR, GHCR,
	// Docker Hub. It refuses requests with Authorization, as S3 does.
	Redirect bool
	// AzureStorage has the storage host speak as Azure's does, instead of as S3.
	AzureStorage bool
	// RedirectLife is how long the signed URL is good, a minute if 0.
	RedirectLife time.Duration
	// RedirectTo replaces scheme and host of the URL, such as http://127.0.0.2:80.
	RedirectTo string
	// NoRange answers 200 and everything to a Range request.
	NoRange bool
	// ClosedRanges refuses a range without an end, with 416 and no size:
	// go-containerregistry's registry.
	ClosedRanges bool
	// RefuseRanges refuses all ranges so.
	RefuseRanges bool
}

// A Pair is a mount's source and target repository; "*" is any.
type Pair struct{ From, To string }

// Uploads is how uploads go.
type Uploads struct {
	// PatchCreated answers PATCH with 201 instead of 202: ECR.
	PatchCreated bool
	// NoChunks refuses the second PATCH of an upload, and any Content-Range that
	// does not start at 0: GAR.
	NoChunks bool
	// StaleRange keeps the Range header at the end of the first chunk: ECR.
	StaleRange bool
	// EmptyPutFails answers 500 to a PUT without a body that ends an upload of
	// several PATCHes (seen at ECR).
	EmptyPutFails bool
	// NoStatus answers 404 to GET of an upload.
	NoStatus bool
	// Location is how an upload's location is written.
	Location Location
	// UploadHost replaces scheme and host of an upload's location, such as
	// http://127.0.0.2:80; no one listens there.
	UploadHost string
	// Deadline is the age in which an upload has to end, else the connection is
	// cut and the upload is gone: GHCR, 10 minutes.
	Deadline time.Duration
	// Expiry is how long an upload lives without a request.
	Expiry time.Duration
}

// A Location is a way to write an upload's location. Each has a _state that
// changes from answer to answer, and old ones stop working.
type Location string

// The locations.
const (
	Absolute  Location = ""          // with scheme and host: distribution
	Relative  Location = "relative"  // ACR, GAR
	OnStorage Location = "onStorage" // at the storage host, which refuses Authorization
)

// Limits is what the registry does not let people do.
type Limits struct {
	// ReadOnly answers 403 DENIED to every write.
	ReadOnly bool
	// Full answers writes of blobs and manifests with a quota error.
	Full bool
	// MustExist wants repositories to be made first, with [Server.Create].
	MustExist MustExist
}

// A MustExist says how a repository that is not there is refused.
type MustExist string

// The ways.
const (
	CreatedOnPush  MustExist = ""
	MustExistAsECR MustExist = "ecr" // 404 NAME_UNKNOWN
	MustExistAsGAR MustExist = "gar" // 403 DENIED "… (or it may not exist)", reads too
)
