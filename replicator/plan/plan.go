package plan

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
)

// A Place is a repository of a registry, by the registry's name in the policy.
type Place struct {
	Registry string `json:"registry"`
	Repo     string `json:"repository"`
}

func (p Place) String() string { return p.Registry + "/" + p.Repo }

// A Plan is the work that makes one target repository hold what its sources
// held when both were listed. Nothing in an image waits for another image: its
// blobs come first, then its children, then its referrers, and last its own
// manifest, once under each of its tags, so that a tag never names an incomplete
// image. The order is the order of the tag list; it is for reading, no barrier.
//
// A Plan is a value: equal facts give equal plans, byte for byte in JSON.
type Plan struct {
	At     time.Time `json:"at"` // when the survey was made
	Target Place     `json:"target"`
	Create bool      `json:"create,omitempty"` // the repository may have to be made first
	Images []Image   `json:"images,omitempty"`
	Kept   []Refusal `json:"kept,omitempty"`
	InStep int       `json:"inStep"` // wanted tags that need nothing

	// InStepOf is InStep by rule.
	InStepOf map[string]int `json:"inStepOf,omitempty"`
	Cost     Cost           `json:"cost"`

	// Prices is what reading costs at each registry that may be read and has a price,
	// in USD per GB of 1e9 bytes; Mountless says that the target's registry is known to
	// mount nothing.
	Prices    map[string]float64 `json:"prices,omitempty"`
	Mountless bool               `json:"mountless,omitempty"`

	// Pulls is how many manifests are to be read of each source whose registry allows
	// so many in a time.
	Pulls []Pulls `json:"pulls,omitempty"`

	// Rechecks is what the limits of source registries do to the rules' recheck.
	Rechecks []Slowed `json:"rechecks,omitempty"`

	// Found is what turned out to be in step although state did not know it, Held
	// the manifests that were looked for and are at the target although state did
	// not know it, Lost those that are not there although state says so, and Verified
	// the tags that are in step and were due to be looked at: all are for state to
	// remember or forget, and no work.
	Found    []Found   `json:"found,omitempty"`
	Held     []v1.Hash `json:"held,omitempty"`
	Lost     []v1.Hash `json:"lost,omitempty"`
	Verified []string  `json:"verified,omitempty"`
}

// A Slowed is a rule whose unchanged images are asked about less often than it
// says, as a tenth of what their registry may be asked allows no more.
type Slowed struct {
	Rule     string        `json:"rule"`
	Registry string        `json:"registry"`
	Said     time.Duration `json:"said"`   // nanoseconds
	Every    time.Duration `json:"every"`  // nanoseconds
	PutOff   int           `json:"putOff"` // images that were due in this pass and have to wait
}

// A Found is a tag of the target that is as it should be, complete, or that the
// rule's filters leave out for good. Of a manifest that is wanted by its digest
// alone the tag is empty: that one is no tag for state to remember.
type Found struct {
	Rule      string    `json:"rule"`
	Tag       string    `json:"tag,omitempty"`
	Source    v1.Hash   `json:"source"`
	Digest    v1.Hash   `json:"digest"`
	Selection string    `json:"selection,omitempty"`
	PutAt     time.Time `json:"putAt,omitzero"` // when we put this digest, if state knows

	Referrers []v1.Hash `json:"referrers,omitempty"` // what refers to it at the source and is at the target
}

// An Image is a manifest with everything below it and about it.
type Image struct {
	Rule      string  `json:"rule"`
	From      Place   `json:"from"`
	Root      Node    `json:"root"`
	Tags      []Tag   `json:"tags,omitempty"`      // none: the root is put by digest
	Referrers []Node  `json:"referrers,omitempty"` // in the order to put them: a subject before those that refer to it
	Selection string  `json:"selection,omitempty"` // fingerprint for state
	Merged    []Merge `json:"merged,omitempty"`    // to remember once the image is there

	// Secured says that the target has the root under a tag already, where what no
	// tag holds ends by itself: what is below it stays.
	Secured bool `json:"secured,omitempty"`

	// Readers are the registries that may be read instead of From, best first.
	Readers []policy.Reader `json:"readers,omitempty"`
}

// A Merge is a tag of the source that carries referrers: cosign's, or a fallback
// tag, whose index is not copied and whose entries are all among the image's
// referrers, or at the target already.
type Merge struct {
	Tag    string  `json:"tag"`
	Digest v1.Hash `json:"digest"` // at the source
}

// A Node is one manifest to put, after its blobs and its children.
type Node struct {
	v1.Descriptor
	ArtifactType string  `json:"artifact,omitempty"`
	Source       v1.Hash `json:"source,omitzero"`    // digest at the source, where a rewrite made another
	Raw          []byte  `json:"raw,omitempty"`      // bytes of a rewritten index; elsewhere they are read from the source
	Here         bool    `json:"here,omitempty"`     // the target repository holds it, with all that is below
	Blobs        []Blob  `json:"blobs,omitempty"`    // each digest once
	Children     []Node  `json:"children,omitempty"` // those that are selected
	Subject      v1.Hash `json:"subject,omitzero"`   // of a referrer; zero for one that has only a cosign tag
	Tag          string  `json:"tag,omitempty"`      // a cosign tag under which the referrer is put, instead of its digest
	Fallback     bool    `json:"fallback,omitempty"` // add it to its subject's fallback index too: the target lacks the referrers API, or, of one that is Here, does not list it
	Indexed      bool    `json:"indexed,omitempty"`  // of one that is Fallback: the source's fallback index lists it, so it need not say itself what it refers to
}

// A Blob is a config or a layer below a Node.
type Blob struct {
	v1.Descriptor
	Have Have     `json:"have"`
	From []string `json:"from,omitempty"` // repositories of the target registry that are believed to hold it, best first

	// Readers are places at other registries that are believed to hold what is to
	// be sent, in the order of the image's readers.
	Readers []Place `json:"readers,omitempty"`
}

// Have says how a blob is expected to get to its repository. It is what is
// known at planning: carrying the plan out may find a better or a worse way.
type Have string

const (
	Here    Have = "here"    // the repository holds it
	Mount   Have = "mount"   // a sibling holds it
	Shared  Have = "shared"  // an image of this run brings it to the registry first
	Upload  Have = "upload"  // it is read and sent
	Import  Have = "import"  // the target reads it from the source itself
	Foreign Have = "foreign" // its bytes stay where its urls say
)

// A Tag is one name to put a root under, and why.
type Tag struct {
	Name   string    `json:"name"`
	Why    Why       `json:"why"`
	Before v1.Hash   `json:"before,omitzero"` // digest at the target now, where it is known and another
	Pushed time.Time `json:"pushed,omitzero"` // of the wanted content, for lag

	// Of a tag that is right and not put: whether state knows it so, and when we
	// put it, if state knows that.
	Known bool      `json:"known,omitempty"`
	PutAt time.Time `json:"putAt,omitzero"`
}

// A Why says what putting a tag means.
type Why string

const (
	New       Why = "new"       // the target does not have the tag
	Update    Why = "update"    // we put it, and the source moved
	Overwrite Why = "overwrite" // somebody else put it, and the rule says overwrite
	Restore   Why = "restore"   // we put it, and it left the target
	Mend      Why = "mend"      // the tag is right, and something below it is missing
	Attach    Why = "attach"    // the tag is right; new referrers go to it. It is not put again
)

// Puts reports whether the tag is written; mending and attaching write below it.
func (w Why) Puts() bool { return w != Mend && w != Attach }

// A Refusal is a wanted tag that is left as it is, with the reason.
type Refusal struct {
	Rule   string  `json:"rule"`
	From   Place   `json:"from"`
	Ref    string  `json:"ref"` // source tag or digest
	Tag    string  `json:"tag,omitempty"`
	Kind   Left    `json:"kind"`
	Source v1.Hash `json:"source,omitzero"`
	Target v1.Hash `json:"target,omitzero"`
	Reason string  `json:"reason"`
	Hint   string  `json:"hint,omitempty"`

	Cause providers.Kind `json:"cause,omitempty"` // of LeftFailed: what kind of failure it was
	Side  string         `json:"side,omitempty"`  // of LeftFailed: who was asked, "source" or "target"
	// Until is when what waits may come.
	Until time.Time `json:"until,omitzero"`
}

// Left classifies a Refusal.
type Left string

const (
	LeftConflict  Left = "conflict"  // the target has another digest, and the rule keeps it or fails
	LeftCollision Left = "collision" // two sources want the same tag with different digests
	LeftRefused   Left = "refused"   // the target cannot hold it
	LeftCooling   Left = "cooling"   // younger than minAge
	LeftGone      Left = "gone"      // left the target without us, and the rule leaves it or it was restored today
	LeftFailed    Left = "failed"    // it could not be surveyed: the reason is the error
	LeftWaiting   Left = "waiting"   // the source allows no more manifests now
	LeftArchived  Left = "archived"  // listed, but not readable at the source
	LeftSkipped   Left = "skipped"   // nothing to bring: filtered by type, or gone at the source since it was listed
)

// Failed reports whether the refusal makes the run end with "some items failed".
func (r Refusal) Failed(onConflictFail bool) bool {
	return r.Kind == LeftFailed || r.Kind == LeftCollision || r.Kind == LeftRefused ||
		r.Kind == LeftConflict && onConflictFail
}

// Cost is what a plan is expected to move. Bytes are counted once per digest and
// target registry.
type Cost struct {
	Tags      int     `json:"tags"`      // to be put
	Manifests int     `json:"manifests"` // to be put, by tag or digest
	Uploads   int     `json:"uploads"`   // blobs to send
	Mounts    int     `json:"mounts"`
	Present   int     `json:"present"`
	Bytes     int64   `json:"bytes"`           // to send
	Saved     int64   `json:"saved"`           // not sent: mounted, shared or present
	Read      int64   `json:"read"`            // to read, each digest once in the whole run
	Price     float64 `json:"price,omitempty"` // USD for Read, where registries have an egressPrice

	Imports  int   `json:"imports,omitempty"`  // blobs that targets read themselves
	Imported int64 `json:"imported,omitempty"` // their bytes, which do not pass through us

	// Nearer is what of Read comes from other registries than the source, sorted by
	// name; what it saves is in Price already.
	Nearer []Nearer `json:"nearer,omitempty"`
}

// MediaType tells whether n is an index.
func (n Node) IsIndex() bool {
	return n.MediaType == types.OCIImageIndex || n.MediaType == types.DockerManifestList
}
