package providers

import (
	"encoding"
	"fmt"
	"maps"
	"time"
)

// A Tri is what is known of one ability of a host. The zero value is Maybe:
// try it once and remember the answer.
type Tri int8

const (
	Maybe Tri = iota
	Yes
	No
)

var _ encoding.TextMarshaler = Maybe

func (t Tri) String() string { return [...]string{"unknown", "yes", "no"}[t] }

// MarshalText prints unknown, yes or no.
func (t Tri) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads unknown, yes or no.
func (t *Tri) UnmarshalText(text []byte) error {
	for _, v := range []Tri{Maybe, Yes, No} {
		if v.String() == string(text) {
			*t = v
			return nil
		}
	}
	return fmt.Errorf("%q is not one of unknown, yes, no", text)
}

// Caps is what a host can do, as data: the planner reads it, people are shown
// it, a test turns it off. It is a snapshot, taken again for each job. What is
// learned by trying (mount, referrers, sparse indexes) is kept in state and laid
// over it with [Caps.With].
type Caps struct {
	Catalog     Tri  // lists its repositories
	BulkDigests bool // Rows carry every manifest with its digest, so that no tag is asked for on its own
	TagDigests  bool // Rows carry the digests of tags, most often; what has no tag is not in them
	PushTimes   bool // Rows carry the time at which a digest was pushed
	TagTimes    bool // Rows carry the time at which a tag was last moved
	Import      int  // imports images of as many manifests, see [Registry.Import]; 0 is none
	Changes     bool // tells what has changed since a time, see [Registry.Changed]
	Subjects    bool // Rows carry the subject: a row without one, and of no artifact, refers to nothing

	Mount              Tri           // mounts blobs from another repository of the host
	MountNeedsManifest bool          // a layer can be mounted only once a manifest names it
	Chunks             Tri           // takes an upload in several PATCH requests, and resumes it
	UploadDeadline     time.Duration // an upload older than this is cut off; 0 is none

	// UntaggedLife is how long a manifest stays that was put by its digest alone,
	// unless by then an index that stays lists it, or it has a subject; 0 is for good.
	UntaggedLife time.Duration

	Referrers   Tri // answers the referrers API (OCI distribution-spec v1.1)
	Fallback    Tri // keeps what is put under a fallback tag (same, "Referrers Tag Schema"); GitLab does not
	SparseIndex Tri // takes an index some of whose children are missing
	Schema1     Tri // takes Docker schema 1 manifests
	Immutable   Tri // refuses to move a tag

	Names       Names // what repositories may be called
	MaxManifest int64 // bytes of a manifest; 0 is the [MaxManifest] of all
	MaxBlob     int64 // bytes of a layer; 0 is no bound that is known

	Quotas []RateQuota // what the host publishes; requests keep within them

	// CountsPulls says that the host allows so many manifests to be read in a time.
	// Pulls is how many these are; nil while it has not said so, or sets no bound.
	CountsPulls bool
	Pulls       *Pulls

	// Public says that anyone may read; it decides no request, only words.
	Public bool

	// Learned says of an ability, by its name below, where it was learned; see
	// [Caps.Source]. It is never written once it is set.
	Learned map[string]Source
}

// A Source is where an ability of a host was learned.
type Source string

const (
	Documented Source = "documented"      // the host's documentation says so
	Account    Source = "account setting" // asked of the cloud's API
	Tried      Source = "tried"           // by a request that was taken or refused
	Stated     Source = "policy"          // the policy says so
	Guessed    Source = "unknown"         // nobody knows yet
)

// The abilities that are learned by trying, by the names under which state and
// the policy's "capabilities" know them.
const (
	CapMount     = "mount"
	CapChunks    = "chunks"
	CapReferrers = "referrers"
	CapFallback  = "fallbackTags"
	CapSparse    = "sparseIndex"
	CapSchema1   = "schema1"
	CapCatalog   = "catalog"
	CapChanges   = "changes" // that a host which should tell what has changed does not
)

// What else [Caps.Source] knows by name.
const (
	CapImmutable = "immutable"
	CapRows      = "rows" // BulkDigests, TagDigests, PushTimes and TagTimes
	CapNames     = "names"
	CapSizes     = "sizes"
	CapQuotas    = "quotas"
)

// Source is where the ability of that name was learned: as Learned says, else
// Documented, or Guessed where c says Maybe.
func (c Caps) Source(name string) Source {
	if at, ok := c.fields()[name]; ok && *at == Maybe || name == CapImmutable && c.Immutable == Maybe {
		return Guessed
	}
	if s, ok := c.Learned[name]; ok {
		return s
	}
	return Documented
}

// With lays facts (by the names above) over c wherever c itself says Maybe. That
// a host does not tell what has changed is believed against c.
func (c Caps) With(facts map[string]Tri) Caps {
	c = c.withoutChanges(facts, Tried)
	for name, at := range c.fields() {
		if v := facts[name]; *at == Maybe && v != Maybe {
			*at = v
			c.Learned = c.learn(name, Tried)
		}
	}
	return c
}

// From notes that the abilities of these names were learned at s.
func (c Caps) From(s Source, names ...string) Caps {
	for _, name := range names {
		c.Learned = c.learn(name, s)
	}
	return c
}

// learn copies: a Caps that was handed out does not change.
func (c Caps) learn(name string, s Source) map[string]Source {
	learned := maps.Clone(c.Learned)
	if learned == nil {
		learned = map[string]Source{}
	}
	learned[name] = s
	return learned
}

// ManifestLimit is the size in bytes above which the host takes no manifest.
func (c Caps) ManifestLimit() int64 {
	if c.MaxManifest > 0 {
		return c.MaxManifest
	}
	return MaxManifest
}

// Override sets facts, which the policy states, whatever c says.
func (c Caps) Override(facts map[string]Tri) Caps {
	c = c.withoutChanges(facts, Stated)
	for name, at := range c.fields() {
		if v, ok := facts[name]; ok && v != Maybe {
			*at = v
			c.Learned = c.learn(name, Stated)
		}
	}
	return c
}

func (c Caps) withoutChanges(facts map[string]Tri, from Source) Caps {
	if c.Changes && facts[CapChanges] == No {
		c.Changes = false
		c.Learned = c.learn(CapChanges, from)
	}
	return c
}

func (c *Caps) fields() map[string]*Tri {
	return map[string]*Tri{
		CapMount: &c.Mount, CapChunks: &c.Chunks, CapReferrers: &c.Referrers,
		CapFallback: &c.Fallback, CapSparse: &c.SparseIndex, CapSchema1: &c.Schema1, CapCatalog: &c.Catalog,
	}
}
