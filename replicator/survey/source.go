package survey

import (
	"context"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// A source is one source repository, read once for all targets.
type source struct {
	*look
	place plan.Place
	links []Link
	reg   providers.Registry
	caps  providers.Caps
	repo  state.Repo
	roll  *roll
	err   error // why it could not be read

	known     map[string]state.SourceTag     // what state knows of its tags
	rows      map[string]tagRow              // its tags, as listed
	names     []string                       // sorted
	untagged  []v1.Hash                      // manifests without a tag, of a bulk listing
	referrers map[v1.Hash][]v1.Descriptor    // of a bulk listing, by subject
	whole     bool                           // the listing was complete
	unread    bool                           // some untagged manifest could not be read
	verdicts  map[string]map[string]selected // by rule, by tag

	words     words
	heads     once[string, resolved]
	tags      once[string, v1.Hash] // of manifests that were read by tag
	manifests once[v1.Hash, plan.Manifest]
	lists     once[v1.Hash, []v1.Descriptor]

	mu    sync.Mutex
	seen  map[string]v1.Hash // digests of tags that were resolved in this survey
	gone  map[string]error   // tags that could not be resolved
	asked []v1.Hash

	ration  *ration
	pulls   *providers.Pulls // as they were when the source was listed; nil is no bound
	roots   map[v1.Hash]rooted
	allowed map[v1.Hash]error // by root, why it may not be read
	promise int               // manifests that may still be read

	budget  *budget
	granted map[v1.Hash]bool // by root, whether it may be asked about again
	charged map[v1.Hash]bool // subjects besides
	noAPI   bool
}

// A tagRow is what a listing says of one tag.
type tagRow struct {
	digest   v1.Hash
	media    types.MediaType
	pushed   time.Time // when its content arrived
	tagged   time.Time // when the tag was moved to it
	archived bool
	children int // that some rule wants, of an index whose list tells
}

// read lists the repository, and resolves the tags that a rule may want.
func (s *source) read(ctx context.Context) error {
	var err error
	if s.reg, s.caps, err = s.open(ctx, sideSource, s.place); err != nil {
		return err
	}
	s.repo = state.Repo{Host: s.reg.Host(), Name: s.place.Repo}
	s.known, s.rows = map[string]state.SourceTag{}, map[string]tagRow{}
	s.seen, s.gone = map[string]v1.Hash{}, map[string]error{}
	s.granted, s.charged = map[v1.Hash]bool{}, map[v1.Hash]bool{}
	s.ration, s.allowed = s.look.ration(s.repo.Host), map[v1.Hash]error{}
	if s.budget, err = s.look.budget(ctx, s.place.Registry, s.repo.Host); err != nil {
		return err
	}
	for tag, err := range s.opts.State.SourceTags(ctx, s.repo) {
		if err != nil {
			return &stateError{err}
		}
		s.known[tag.Name] = tag
	}
	if err := s.list(ctx); err != nil {
		return err
	}
	if s.whole && s.wantsReferrers() {
		images := len(s.names)
		if s.api() == providers.No {
			images = 0
		}
		s.budget.hold(s.place.Repo, images)
	}
	if err := s.choose(ctx); err != nil {
		return err
	}
	return s.count(ctx)
}

// hinted returns the hinted tags, nil if the whole repository is to be read: a
// rule that takes the newest cannot judge a tag alone.
func (s *source) hinted() []string {
	for _, l := range s.links {
		if l.Rule.Tags.Newest != nil {
			return nil
		}
	}
	return s.job.Hints
}

func (s *source) hint(tags []string) {
	s.names = slices.Compact(slices.Sorted(slices.Values(tags)))
}

func (s *source) wantsReferrers() bool {
	return slices.ContainsFunc(s.links, func(l Link) bool { return l.Rule.ReferrersOn() })
}

func (s *source) refers(subject v1.Hash, d v1.Descriptor) {
	if s.referrers == nil {
		s.referrers = map[v1.Hash][]v1.Descriptor{}
	}
	s.referrers[subject] = append(s.referrers[subject], d)
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
