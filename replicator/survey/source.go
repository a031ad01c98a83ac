package survey

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

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
	err   error // why it could not be read

	known     map[string]state.SourceTag     // what state knows of its tags
	rows      map[string]tagRow              // its tags, as listed
	names     []string                       // sorted
	untagged  []v1.Hash                      // manifests without a tag, of a bulk listing
	referrers map[v1.Hash][]v1.Descriptor    // of a bulk listing, by subject
	whole     bool                           // the listing was complete
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
}

// read lists the repository, and resolves the tags that a rule may want.
func (s *source) read(ctx context.Context) error {
	var err error
	if s.reg, s.caps, err = s.open(ctx, "source", s.place); err != nil {
		return err
	}
	s.repo = state.Repo{Host: s.reg.Host(), Name: s.place.Repo}
	s.known, s.rows = map[string]state.SourceTag{}, map[string]tagRow{}
	s.seen, s.gone = map[string]v1.Hash{}, map[string]error{}
	s.granted, s.charged = map[v1.Hash]bool{}, map[v1.Hash]bool{}
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
	return s.choose(ctx)
}

// list fills rows. With hints it is read only for the tags that carry referrers.
func (s *source) list(ctx context.Context) error {
	hinted := s.hinted()
	if hinted != nil && !s.wantsReferrers() {
		s.hint(hinted)
		return nil
	}
	var fresh []v1.Hash
	for row, err := range s.reg.Rows(ctx, s.place.Repo) {
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		if row.Digest.Hex != "" && s.manifestRow(row) {
			fresh = append(fresh, row.Digest)
		}
		for _, tag := range row.Tags {
			s.rows[tag] = tagRow{s.text(tag, row.Digest), types.MediaType(s.words.one(string(row.MediaType))), row.Pushed, row.Tagged, row.Archived}
		}
	}
	s.whole = hinted == nil
	s.names = sortedNames(s.rows)
	if hinted != nil {
		s.hint(hinted)
	}
	if s.caps.BulkDigests && s.wantsReferrers() {
		return s.subjects(ctx, fresh)
	}
	return nil
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

// manifestRow notes a manifest that has no tag, or that refers to another, with a
// tag or without. It reports whether the manifest has to be read to know what it
// refers to. What is in an archive refers to nothing that can be copied.
func (s *source) manifestRow(row providers.Row) (unknown bool) {
	tagged := len(row.Tags) > 0
	if !tagged && !row.Archived {
		s.untagged = append(s.untagged, row.Digest)
	}
	switch {
	case row.Archived:
	case row.Subject.Hex != "":
		s.refers(row.Subject, v1.Descriptor{Digest: row.Digest, MediaType: row.MediaType, ArtifactType: row.ArtifactType})
	default:
		return !tagged && !s.caps.Subjects
	}
	return false
}

func (s *source) refers(subject v1.Hash, d v1.Descriptor) {
	if s.referrers == nil {
		s.referrers = map[v1.Hash][]v1.Descriptor{}
	}
	s.referrers[subject] = append(s.referrers[subject], d)
}

// subjects finds out what untagged manifests of a bulk listing refer to. Each is
// read once in its life; one that cannot be read is looked at again next time.
func (s *source) subjects(ctx context.Context, fresh []v1.Hash) error {
	known, err := s.opts.State.Subjects(ctx, s.repo, fresh)
	if err != nil {
		return &stateError{err}
	}
	learned := map[v1.Hash]v1.Hash{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(s.opts.Width)
	for _, digest := range fresh {
		if subject, told := known[digest]; told {
			if subject.Hex != "" {
				s.refers(subject, v1.Descriptor{Digest: digest})
			}
			continue
		}
		g.Go(func() error {
			m, err := s.manifest(ctx, digest)
			if err != nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			learned[digest] = v1.Hash{}
			if m.Subject != nil {
				learned[digest] = m.Subject.Digest
			}
			return nil
		})
	}
	_ = g.Wait() // its functions never fail
	for _, digest := range fresh {
		if subject := learned[digest]; subject.Hex != "" {
			s.refers(subject, v1.Descriptor{Digest: digest})
		}
	}
	if len(learned) == 0 {
		return nil
	}
	if err := s.opts.State.SetSubjects(ctx, s.repo, learned); err != nil {
		return &stateError{err}
	}
	return nil
}

// remember tells state what was seen of the tags, where that is news.
func (s *source) remember(ctx context.Context) error {
	if s.err != nil {
		return nil
	}
	var news []state.SourceTag
	for _, name := range sortedNames(s.seen) {
		if s.known[name].Digest != s.seen[name] {
			news = append(news, state.SourceTag{Name: name, Digest: s.seen[name]})
		}
	}
	if len(news) > 0 {
		if err := s.opts.State.SeeSource(ctx, s.repo, s.at, news); err != nil {
			return &stateError{err}
		}
	}
	var left []string
	for _, name := range sortedNames(s.known) {
		if _, listed := s.rows[name]; !listed {
			left = append(left, name)
		}
	}
	if s.whole && len(s.rows) > 0 && len(left) > 0 {
		if err := s.opts.State.ForgetSource(ctx, s.repo, left); err != nil {
			return &stateError{err}
		}
	}
	return nil
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
