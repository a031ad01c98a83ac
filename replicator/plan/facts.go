package plan

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// Facts is everything that a plan for one target repository follows from: what
// is wanted of which sources, what was read of them, what the target holds. The
// survey fills it in rounds, led by [Missing].
type Facts struct {
	At      time.Time // when the survey was made: the only clock a plan has
	Target  Target
	Sources map[Place]*Source // may be shared by the facts of several targets
	Wants   []Want            // in any order
	Left    []Refusal         // what is wanted and could not be surveyed, or is not due yet
	Hints   []string          // if not empty, only these tags of the sources were looked at

	// Prices is what reading costs at the registries that matter and have a price,
	// in USD per GB of 1e9 bytes.
	Prices map[string]float64
	// Elsewhere has for each digest that was asked about the repositories of the
	// rules' readers that are believed to hold it, best first at each registry.
	Elsewhere map[v1.Hash][]Place
}

// A Want is one tag or digest of a source that one rule selects for the target.
type Want struct {
	Rule      *Rule
	From      Place
	Ref       string          // tag or digest at the source
	Tag       string          // at the target; "" is by digest only
	Digest    v1.Hash         // at the source
	MediaType types.MediaType // where the source told it without being read
	Pushed    time.Time
}

// A Rule is what a plan needs to know of a rule for one target.
type Rule struct {
	Name          string
	Selection     string // fingerprint of what the rule selects of an image's content
	Platforms     policy.Platforms
	MediaTypes    policy.TypeFilter // of the roots
	ArtifactTypes policy.TypeFilter // of the roots, and of referrers
	Referrers     bool
	Import        bool              // the target is to read images itself
	Children      bool              // the source is asked about each child of an index too
	Recheck       time.Duration     // an image's referrers are asked for again after this long
	RecheckSaid   time.Duration     // what the policy says of that; 0 is the same
	CopyForeign   bool              // send foreign layers too
	VerifyEvery   time.Duration     // a target's tag is looked at again after this long
	OnConflict    policy.OnConflict // "" is overwrite
	OnGone        policy.OnGone     // "" is restore
	Readers       []policy.Reader   // may be read instead of the source, best first
}

func (r *Rule) rewrites() bool {
	return r.Platforms.Mode == policy.Rewrite && len(r.Platforms.Only) > 0
}

// keeps reports whether a target's tag that somebody else moved stays as it is.
func (r *Rule) keeps() bool { return r.OnConflict == policy.Keep || r.OnConflict == policy.Fail }

// A Target is what is known of the target repository.
type Target struct {
	Place  Place
	Caps   providers.Caps
	Absent bool // the repository does not exist yet
	Listed bool // Tags has every tag; otherwise a tag that it lacks may be there
	// Changes says that Tags has what has changed since the list was last read whole:
	// for all other tags that we put, what state says is so until it is read again.
	Changes bool

	// Tags is what the target says of its tags: the digest, or zero where only
	// the name is known yet.
	Tags map[string]v1.Hash
	// Ghosts are tags that were asked for and are not there, whatever the list says.
	Ghosts map[string]bool
	// Ours is what state says that we put.
	Ours map[string]state.TargetTag
	// Seen has the manifests that were looked for by digest, and whether they are there.
	Seen map[v1.Hash]bool
	// Refers has who the target lists as referring to a subject, by its API or
	// fallback index, where that was asked.
	Refers map[v1.Hash][]v1.Hash
	// Where has for each digest that state was asked about the repositories of the
	// registry that are believed to hold it, sorted; the target itself comes first.
	Where map[v1.Hash][]string
	// Failed has what could not be asked, by tag or digest.
	Failed map[string]Failure
}

// A Source is what was read of one source repository, for all its targets.
type Source struct {
	Place Place
	// API is whether the registry answers the referrers API.
	API providers.Tri
	// Tags has the tags that carry referrers (cosign's and the fallback scheme's),
	// with their digest, or zero where only the name is known yet.
	Tags map[string]v1.Hash
	// Pulls is how many manifests the registry lets us read in a time; nil is no bound
	// that is known. Waits has the roots that are not read for it, with how many
	// manifests each has.
	Pulls *providers.Pulls
	Waits map[v1.Hash]int
	// Manifests is what was read, by digest.
	Manifests map[v1.Hash]Manifest
	// Referrers is what the API, or a bulk listing, told by subject.
	Referrers map[v1.Hash][]v1.Descriptor
	// Checked is when state says that a subject's referrers were last asked for.
	Checked map[v1.Hash]time.Time
	// PutOff has the roots whose referrers are not asked for again in this survey,
	// although they are due: the source's limits do not allow it.
	PutOff map[v1.Hash]bool
	// Failed has what could not be read, by tag or digest. A subject whose
	// referrers could not be listed is under [ReferrersKey].
	Failed map[string]Failure
}

// ReferrersKey is the key in Source.Failed of the question for subject's referrers.
func ReferrersKey(subject v1.Hash) string { return "referrers of " + subject.String() }

// A Manifest is a manifest as far as planning needs it.
type Manifest struct {
	providers.Content
	Digest v1.Hash
	Size   int64
	Raw    []byte // only of an index that a rule may rewrite
}

// Descriptor returns the descriptor of m.
func (m Manifest) Descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: m.MediaType, Size: m.Size, Digest: m.Digest}
}

// A Failure is an error as a fact: what a plan can print and compare.
type Failure struct {
	Kind   providers.Kind
	Side   string // Source or Target
	Reason string
	Hint   string
	Until  time.Time // of what waits
}

// Left is what becomes of what is wanted and failed so.
func (f Failure) Left() Left {
	if f.Kind == providers.Waiting {
		return LeftWaiting
	}
	return LeftFailed
}

// Fail makes a Failure of err, which came of asking side.
func Fail(side string, err error) Failure {
	return Failure{Kind: providers.KindOf(err), Side: side, Reason: err.Error(), Hint: providers.HintOf(err), Until: providers.UntilOf(err)}
}
