package providers

import (
	"context"
	"io"
	"iter"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Registry is one host as the engine sees it: bulk questions first, single
// writes second. Methods are safe for concurrent use. Every error they return
// is or wraps an [Error] with a [Kind]; a context that ends is returned as its
// cause and is not an Error. Retries, limits and sign-in happen behind the
// methods: an error that comes back is worth no immediate second try.
//
// A repository is a path on the host, a ref a tag or a digest ("sha256:…").
type Registry interface {
	// Host is the name people know the registry by: host[:port], or a path.
	Host() string

	// Caps is what the host is known to do; what is learned by trying is not in it.
	Caps(ctx context.Context) (Caps, error)

	// Whoami signs in and says whom the host takes us for. A credential that the
	// host refuses is Denied, and the error names the identity that was tried;
	// nobody at a host that asks nobody is [Anonymous].
	Whoami(ctx context.Context) (Identity, error)

	// Expect tells which repositories will be asked for, so that they may share what
	// asking takes, such as a token. It asks nobody, and promises nothing.
	Expect(repos ...string)

	// Repositories yields the repositories whose name starts with prefix, in any
	// order. It stops after the first error: Unsupported where the host has no
	// catalog, Denied where we may not see it.
	Repositories(ctx context.Context, prefix string) iter.Seq2[string, error]

	// Rows yields the tags of repo and, where Caps says BulkDigests, every
	// manifest, in any order and in as few calls as the host allows. It stops
	// after the first error; a repository that does not exist is NotFound.
	Rows(ctx context.Context, repo string) iter.Seq2[Row, error]

	// Changed yields what was changed in repo at since or later, what was changed last
	// first, in as few calls as that takes: tags, or manifests with some of their tags.
	// since and [Row.Changed] are of the host's own clock. What was changed last is
	// told however long ago that is, and what was deleted is not told at all. It stops
	// after the first error; Unsupported says that the host cannot tell, or does not
	// keep to the order, and that [Registry.Rows] is to be asked.
	Changed(ctx context.Context, repo string, what Changing, since time.Time) iter.Seq2[Row, error]

	// Head resolves ref without reading the manifest: media type, size, digest.
	Head(ctx context.Context, repo, ref string) (v1.Descriptor, error)

	// Manifest reads a manifest, at most [MaxManifest] bytes. Its digest has been
	// computed from the bytes, and equals ref if that is a digest; otherwise, or
	// where the host's own digest header disagrees, the error is Invalid.
	Manifest(ctx context.Context, repo, ref string) (Manifest, error)

	// PutManifest writes m's bytes under ref, a tag or m's own digest.
	// Incomplete: the host misses something that m names. Conflict: the tag is
	// immutable or locked, or not what opts ask for.
	PutManifest(ctx context.Context, repo, ref string, m Manifest, opts PutOptions) (Receipt, error)

	// Referrers lists the manifests whose subject is the given one (OCI
	// distribution-spec v1.1, "Listing Referrers"), all pages. Where the host
	// lacks the API the error is Unsupported; the fallback tag is the caller's.
	Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error)

	// Stat asks whether repo has the blob (HEAD) and returns its size in bytes.
	Stat(ctx context.Context, repo string, blob v1.Hash) (int64, error)

	// Open returns desc's bytes from offset on; a read that breaks goes on by
	// itself where it stopped, within the retry budget. Bytes are not verified.
	// A negative desc.Size is unknown. The caller closes.
	Open(ctx context.Context, repo string, desc v1.Descriptor, offset int64) (io.ReadCloser, error)

	// Mount asks for the blob from another repository of the host (OCI
	// distribution-spec v1.1, "Mounting a blob from another repository"). When it
	// is refused, which is no error, the session that the host opened instead, if
	// it did, is for Put.
	Mount(ctx context.Context, repo, from string, blob v1.Hash) (mounted bool, s *Session, err error)

	// Put uploads desc in the fewest requests that the host allows. body is read
	// from several offsets if a request has to be repeated; its ReadAt may block
	// until bytes are there, and an error from it breaks the upload off without
	// committing. After an error Put returns the session to go on from, if the
	// host allows that.
	Put(ctx context.Context, repo string, desc v1.Descriptor, body io.ReaderAt, opts UploadOptions) (*Session, error)

	// Import has the host itself read a manifest, with everything below it, from
	// another registry into repo, under no tag. It returns once the host says that it
	// has it all, which may take minutes. Unsupported where Caps.Import is 0, and for
	// what the host does not import; Denied also where the source refuses the host.
	Import(ctx context.Context, repo string, from ImportSource) error

	// TryPush asks whether repo can be pushed to: it begins an upload and gives it
	// up, so that nothing stays there but, at hosts that know no way to give one up,
	// an upload that ends by itself. It makes no repository: one that is missing is
	// NotFound, or no error where pushing makes it. Denied: we may not write.
	TryPush(ctx context.Context, repo string) error

	// Ensure makes sure that repo can be pushed to, where the host wants
	// repositories made first; elsewhere it does nothing.
	Ensure(ctx context.Context, repo string) error

	// Close ends what the registry keeps open: idle connections, open files.
	Close() error
}

// MaxManifest is the size in bytes above which no manifest is read or written.
const MaxManifest = 4 << 20

// A Row is what a listing says about one manifest or one tag. A digest may come
// in several rows. Fields a host does not tell are zero.
type Row struct {
	Digest       v1.Hash // zero where the listing has names only
	Tags         []string
	MediaType    types.MediaType
	ArtifactType string
	Size         int64     // of the image, as the host counts it; bytes
	Pushed       time.Time // when the digest arrived; never the time of a tag
	Tagged       time.Time // when the row's one tag was last moved
	Subject      v1.Hash   // of a referrer, where the listing has it
	Archived     bool      // listed, but not readable until it is restored

	// Children are what the row's index lists, where the listing tells that: digests
	// and platforms, enough to count what there is to read.
	Children []v1.Descriptor
	Changed  time.Time // when what the row tells of was last changed; where Caps.Changes
}

// A Changing is what [Registry.Changed] looks at.
type Changing int8

const (
	ChangedTags Changing = iota
	ChangedManifests
)

func (c Changing) String() string { return [...]string{"tags", "manifests"}[c] }

// PutOptions narrows a PutManifest.
type PutOptions struct {
	// IfMatch puts only if the tag still has this digest, where the host honours
	// the condition; zero puts in any case.
	IfMatch v1.Hash
	// IfAbsent puts only if the tag is not there, where the host honours that.
	IfAbsent bool
}

// A Receipt is what the host said when it took a manifest.
type Receipt struct {
	// Subject is the digest in the OCI-Subject header: the host says that it will
	// list the manifest as a referrer. Zero where it said nothing.
	Subject v1.Hash
}

// UploadOptions say where a Put goes on, and who hears how far it has come.
type UploadOptions struct {
	// From is the upload to go on with; nil begins one. A session that the host
	// no longer knows, or that cannot be right, is replaced.
	From *Session
	// Keep, if it is not nil, is told of the session once the host has opened it
	// and after each piece that it has acknowledged, where the host can go on from
	// it: the process may be killed before Put returns. It is called by one
	// goroutine at a time, holds the upload up, and is not called once Put has
	// returned.
	Keep func(Session)
}

// A Session is an upload that has begun at a host. It may be kept in state and
// outlive the process; Location can hold a secret and is never printed.
type Session struct {
	Location  string    // absolute URL
	Committed int64     // bytes the host has acknowledged
	Started   time.Time // when the host opened it
	New       bool      // no byte has been sent to it; never kept
}

// String keeps the location out of logs.
func (s *Session) String() string { return "[upload session]" }
