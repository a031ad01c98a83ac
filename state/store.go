package state

import (
	"context"
	"fmt"
	"iter"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Store remembers. Methods are safe for concurrent use, hold no transaction
// longer than the call, and write in batches; times are kept to the microsecond.
// An error is [ErrClosed], [ErrFull], a context's cause, or a fault of the
// database, wrapped with the operation.
type Store interface {
	Facts
	Work
	Schedule
	History
	Close() error
}

// A Repo is a repository at a registry, the key of most facts.
type Repo struct {
	Host string `json:"host"` // as providers.Registry.Host tells it
	Name string `json:"name"`
}

func (r Repo) String() string { return r.Host + "/" + r.Name }

// A SourceTag is what was last seen of a tag at a source.
type SourceTag struct {
	Name      string
	Digest    v1.Hash   // zero where only the name is known yet
	FirstSeen time.Time // when this name with this digest was first seen
}

// A TargetTag is a tag at a target that we put, or adopted as it was.
type TargetTag struct {
	Name       string
	Rule       string    // that put it
	Source     v1.Hash   // digest at the source when it was put; zero if adopted
	Selection  string    // policy fingerprint of what the rule selected of the content
	Digest     v1.Hash   // digest at the target
	PutAt      time.Time // zero if adopted
	VerifiedAt time.Time // last time the target was seen to have it, complete
	RestoredAt time.Time // last time it was put again after it had vanished; zero if never
	Restored   v1.Hash   // digest that was restored then
}

// The sides of a repository, which is read for other facts as a source than as a target.
const (
	Source = "source"
	Target = "target"
)

// A Mark is how far the list of a repository is known: what was changed there before
// is in state. Tags and Manifests are times of the host's own clock, and zero where
// the list has to be read whole.
type Mark struct {
	Tags, Manifests time.Time
	Swept           time.Time // when it was last read whole, by our clock
}

// A Present is content that a repository holds: a blob or a manifest.
type Present struct {
	Digest v1.Hash
	Size   int64
}

// An Upload is a session at a target that a later run can go on with. Location
// can hold a secret: it is never printed.
type Upload struct {
	Repo      Repo
	Digest    v1.Hash
	Location  string `json:"-"`
	Committed int64
	Started   time.Time
}

// String leaves the location out.
func (u Upload) String() string {
	return fmt.Sprintf("upload of %s to %s, %d bytes committed", u.Digest, u.Repo, u.Committed)
}

// A Refusal is a mount from one repository of a host to another that the host
// would not do.
type Refusal struct {
	From, To string
	Until    time.Time
}

// A Record is what one image brought to one target repository.
type Record struct {
	Repo    Repo
	Tags    []TargetTag // upserted by name
	Present []Present   // upserted; order does not matter
}

// Facts is the memory of the world.
type Facts interface {
	// SourceTags yields what is known of repo's tags, sorted by name (bytewise).
	SourceTags(ctx context.Context, repo Repo) iter.Seq2[SourceTag, error]
	// SeeSource records tags as seen at the given time. FirstSeen of the argument
	// is ignored: it becomes at where the name is new, or its known digest is
	// another one; a zero digest keeps the one that is known.
	SeeSource(ctx context.Context, repo Repo, at time.Time, tags []SourceTag) error
	// ForgetSource drops tags that left the source.
	ForgetSource(ctx context.Context, repo Repo, names []string) error

	// TargetTags yields what we put into repo, sorted by name (bytewise).
	TargetTags(ctx context.Context, repo Repo) iter.Seq2[TargetTag, error]
	// Put records what an image brought, in one transaction.
	Put(ctx context.Context, r Record) error
	// Verified sets VerifiedAt of the named tags of repo.
	Verified(ctx context.Context, repo Repo, at time.Time, names []string) error
	// ForgetTags drops tags of a target.
	ForgetTags(ctx context.Context, repo Repo, names []string) error

	// Locate returns for each digest the repositories of host that are believed to
	// hold it, sorted, at most limit of them (0 is all). Unknown digests are absent.
	Locate(ctx context.Context, host string, digests []v1.Hash, limit int) (map[v1.Hash][]string, error)
	// Has returns those of digests that repo is believed to hold.
	Has(ctx context.Context, repo Repo, digests []v1.Hash) (map[v1.Hash]bool, error)
	// Forget drops the belief that repo holds digests.
	Forget(ctx context.Context, repo Repo, digests []v1.Hash) error

	// Checked returns when the referrers of each subject in the source repository
	// were last asked for; those never asked for are absent.
	Checked(ctx context.Context, repo Repo, subjects []v1.Hash) (map[v1.Hash]time.Time, error)
	// SetChecked records that they were asked for at the given time.
	SetChecked(ctx context.Context, repo Repo, at time.Time, subjects []v1.Hash) error
	// Subjects returns the subject of each untagged manifest of repo that was read
	// before: zero if it has none; manifests never read are absent.
	Subjects(ctx context.Context, repo Repo, manifests []v1.Hash) (map[v1.Hash]v1.Hash, error)
	// SetSubjects records them.
	SetSubjects(ctx context.Context, repo Repo, subjects map[v1.Hash]v1.Hash) error
	// Referring returns the untagged manifests of repo that were read before and
	// have a subject, with it.
	Referring(ctx context.Context, repo Repo) (map[v1.Hash]v1.Hash, error)
	// ForgetSubjects drops manifests that left repo.
	ForgetSubjects(ctx context.Context, repo Repo, manifests []v1.Hash) error

	// Mark returns how far repo's list is known on a side, [Source] or [Target]; zero
	// if that is not known.
	Mark(ctx context.Context, repo Repo, side string) (Mark, error)
	// SetMark records it.
	SetMark(ctx context.Context, repo Repo, side string, m Mark) error

	// Learned returns what trying has told of host, by capability name, as far as
	// it was learned after since.
	Learned(ctx context.Context, host string, since time.Time) (map[string]bool, error)
	// Learn records one such fact.
	Learn(ctx context.Context, host, capability string, yes bool, at time.Time) error
	// Refusals returns the refused mounts of host that still hold at the given time.
	Refusals(ctx context.Context, host string, at time.Time) ([]Refusal, error)
	// Refuse records one.
	Refuse(ctx context.Context, host string, r Refusal) error

	// Uploads returns the open upload sessions of host.
	Uploads(ctx context.Context, host string) ([]Upload, error)
	// SaveUpload upserts one by repository and digest.
	SaveUpload(ctx context.Context, u Upload) error
	// DropUpload forgets one.
	DropUpload(ctx context.Context, repo Repo, digest v1.Hash) error
}
