package survey

import (
	"context"
	"fmt"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/state"
)

// list fills rows. With hints it is read only for the tags that carry referrers.
func (s *source) list(ctx context.Context) error {
	hinted := s.hinted()
	if hinted != nil && !s.wantsReferrers() {
		s.hint(hinted)
		return nil
	}
	var err error
	if s.roll, err = s.look.roll(ctx, s.reg, s.caps, s.repo, state.Source, s.links); err != nil {
		return err
	}
	fresh, err := s.listRows(ctx)
	if err != nil {
		return err
	}
	s.whole = s.whole && hinted == nil
	s.names = sortedNames(s.rows)
	if hinted != nil {
		s.hint(hinted)
	}
	if s.caps.BulkDigests && s.wantsReferrers() {
		return s.subjects(ctx, fresh)
	}
	return nil
}

// listRows reads the list, what has changed of it where that is enough, and returns
// the manifests that have to be read to know what they refer to.
func (s *source) listRows(ctx context.Context) (fresh []v1.Hash, err error) {
	take := func(row providers.Row) {
		if row.Digest.Hex != "" && s.manifestRow(row) {
			fresh = append(fresh, row.Digest)
		}
		for _, tag := range row.Tags {
			s.rows[tag] = tagRow{s.text(tag, row.Digest), types.MediaType(s.words.one(string(row.MediaType))), row.Pushed, row.Tagged, row.Archived, s.wantedOf(row.Children)}
		}
	}
	if s.roll.known() && s.timeless() && (!s.wantsReferrers() || !s.roll.mark.Manifests.IsZero()) {
		ok, err := s.listChanged(ctx, take)
		if ok || err != nil {
			return fresh, err
		}
		fresh, s.rows, s.untagged, s.referrers = nil, map[string]tagRow{}, nil, nil
	}
	if err := s.roll.whole(ctx, take); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	s.whole = true
	return fresh, nil
}

// timeless reports whether no rule asks when a tag was pushed, nor for what has no
// tag: state does not know that.
func (s *source) timeless() bool {
	return !slices.ContainsFunc(s.links, func(l Link) bool {
		t := l.Rule.Tags
		return t.MinAge != 0 || t.MaxAge != 0 || t.Untagged || t.Newest != nil && t.Newest.By == policy.ByPushed
	})
}

// listChanged takes what has changed, over what state knows.
func (s *source) listChanged(ctx context.Context, take func(providers.Row)) (ok bool, err error) {
	for name, tag := range s.known {
		s.rows[name] = tagRow{digest: tag.Digest}
	}
	ok, err = s.roll.changed(ctx, providers.ChangedTags, take)
	if ok && s.wantsReferrers() {
		ok, err = s.changedManifests(ctx, take)
	}
	if _, ours := err.(*stateError); err != nil && !ours {
		err = fmt.Errorf("source: %w", err)
	}
	return ok, err
}

// changedManifests takes the manifests without a tag that have come, and what state
// knows of those that were there. A manifest's tags are told by the other list.
func (s *source) changedManifests(ctx context.Context, take func(providers.Row)) (ok bool, err error) {
	known, err := s.opts.State.Referring(ctx, s.repo)
	if err != nil {
		return false, &stateError{err}
	}
	ok, err = s.roll.changed(ctx, providers.ChangedManifests, func(row providers.Row) {
		delete(known, row.Digest)
		if len(row.Tags) == 0 {
			take(row)
		}
	})
	for manifest, subject := range known {
		s.refers(subject, v1.Descriptor{Digest: manifest})
	}
	return ok, err
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
		return !tagged && (!s.caps.Subjects || artifact(row))
	}
	return false
}

// artifact reports whether a row is of an artifact, which is likely to refer to
// something whatever the list says of that. An image's type is that of its config.
func artifact(row providers.Row) bool {
	switch types.MediaType(row.ArtifactType) {
	case "", types.OCIConfigJSON, types.DockerConfigJSON:
		return false
	}
	return true
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
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				s.unread = true
				return nil
			}
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
	if err := s.forgetSubjects(ctx, fresh); err != nil || len(learned) == 0 {
		return err
	}
	if err := s.opts.State.SetSubjects(ctx, s.repo, learned); err != nil {
		return &stateError{err}
	}
	return nil
}

// forgetSubjects drops what state knows of manifests that a whole list has no more,
// where it will be believed without a list.
func (s *source) forgetSubjects(ctx context.Context, listed []v1.Hash) error {
	if !s.whole || s.roll.next.Manifests.IsZero() {
		return nil
	}
	known, err := s.opts.State.Referring(ctx, s.repo)
	if err != nil {
		return &stateError{err}
	}
	for _, digest := range listed {
		delete(known, digest)
	}
	var left []v1.Hash
	for digest := range known {
		left = append(left, digest)
	}
	if len(left) == 0 {
		return nil
	}
	if err := s.opts.State.ForgetSubjects(ctx, s.repo, left); err != nil {
		return &stateError{err}
	}
	return nil
}

// remember tells state what was seen of the tags, where that is news, and then how
// far the list is known. Where that will be believed, every tag that is listed is
// told, and not only those that a rule wants.
func (s *source) remember(ctx context.Context) error {
	if s.err != nil {
		return nil
	}
	if s.marks() && !s.roll.next.Tags.IsZero() {
		for name, row := range s.rows {
			if _, resolved := s.seen[name]; !resolved && row.digest.Hex != "" {
				s.seen[name] = row.digest
			}
		}
	}
	if err := s.rememberTags(ctx); err != nil || !s.marks() {
		return err
	}
	return s.rememberMark(ctx)
}

// marks reports whether what has changed will be asked for from here on.
func (s *source) marks() bool {
	return s.roll != nil && s.roll.caps.Changes && len(s.job.Hints) == 0 && (s.roll.next != state.Mark{} || s.roll.mark != state.Mark{})
}

func (s *source) rememberMark(ctx context.Context) error {
	r := s.roll
	if s.unread || !s.wantsReferrers() { // what was not read is looked at again, by whoever wants it
		r.next.Manifests = r.mark.Manifests
	}
	return r.remember(ctx)
}

func (s *source) rememberTags(ctx context.Context) error {
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
