package survey

import (
	"context"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
)

// selected is a rule's verdict on a tag.
type selected = policy.Selection

// choose asks the rules which tags they want, and resolves those. A tag that has
// moved may be held back for its age and let another one in among the newest, so
// the rules are asked again until they want nothing more.
func (s *source) choose(ctx context.Context) error {
	for range 8 {
		s.judge()
		todo := s.unresolved()
		if len(todo) == 0 {
			return nil
		}
		if err := s.resolve(ctx, todo); err != nil {
			return err
		}
	}
	return nil
}

// judge asks each rule about all tags.
func (s *source) judge() {
	s.verdicts = map[string]map[string]selected{}
	infos := make([]policy.TagInfo, 0, len(s.names))
	for _, name := range s.names {
		infos = append(infos, policy.TagInfo{Name: name, Pushed: s.pushed(name), FirstSeen: s.firstSeen(name)})
	}
	for _, l := range s.links {
		if s.verdicts[l.Rule.Name] != nil {
			continue
		}
		byTag := map[string]selected{}
		for _, v := range l.Rule.SelectTags(s.at, infos) {
			if v.Taken || !v.CoolUntil.IsZero() {
				byTag[v.Tag] = v
			}
		}
		s.verdicts[l.Rule.Name] = byTag
	}
}

// pushed is the time that rules go by: the tag's own where the host has one, and
// otherwise its content's. For lag only the tag's own will do, as a tag may move
// to old content.
func (s *source) pushed(name string) time.Time {
	if at := s.rows[name].tagged; !at.IsZero() {
		return at
	}
	return s.rows[name].pushed
}

// firstSeen is when the tag was first seen with the digest that it has now.
func (s *source) firstSeen(name string) time.Time {
	known, ok := s.known[name]
	if now, resolved := s.digest(name); !ok || resolved && now != known.Digest {
		return s.at
	}
	return known.FirstSeen
}

// digest returns the tag's digest, if it has been resolved.
func (s *source) digest(name string) (v1.Hash, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.seen[name]
	return d, ok
}

// unresolved returns the tags that a rule wants and whose digest is not known.
// What the listing told, and what no rule lets move, is taken as it is.
func (s *source) unresolved() []string {
	var todo []string
	for _, name := range s.names {
		wanted, fixed := false, true
		for _, l := range s.links {
			if _, ok := s.verdicts[l.Rule.Name][name]; ok {
				wanted, fixed = true, fixed && l.Rule.Immutable(name)
			}
		}
		if _, done := s.digest(name); !wanted || done || s.gone[name] != nil || s.rows[name].archived {
			continue
		}
		if d := s.told(name, fixed); d.Hex != "" {
			s.seen[name] = d
			continue
		}
		todo = append(todo, name)
	}
	return todo
}

// told returns the digest that the tag has without asking for it.
func (s *source) told(name string, fixed bool) v1.Hash {
	if d := s.rows[name].digest; d.Hex != "" {
		return d
	}
	if fixed {
		return s.known[name].Digest
	}
	return v1.Hash{}
}

// resolve asks for each tag: a HEAD where its manifest may be known already, and
// otherwise the manifest itself, which is wanted anyway.
func (s *source) resolve(ctx context.Context, names []string) error {
	if len(s.known) == 0 {
		s.awaitTargets(ctx)
	}
	var g errgroup.Group
	g.SetLimit(s.opts.Width)
	for _, name := range names {
		g.Go(func() error {
			if s.rationed(ctx) || s.mayBeThere(name) {
				s.head(ctx, name)
			} else {
				s.readTag(ctx, name)
			}
			return nil
		})
	}
	_ = g.Wait() // its functions never fail; each tag keeps its own error
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// awaitTargets waits until the targets are listed, or for Options.Patience: a
// slow target makes a question dearer and holds nothing back.
func (s *source) awaitTargets(ctx context.Context) {
	patience := time.NewTimer(s.opts.Patience)
	defer patience.Stop()
	for _, l := range s.links {
		select {
		case <-s.targets[l.To].listed:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// mayBeThere reports whether a digest may be enough to know of the tag: state
// knows it, a target lists it, or it is held back for its age.
func (s *source) mayBeThere(name string) bool {
	if _, known := s.known[name]; known {
		return true
	}
	for _, l := range s.links {
		v, wanted := s.verdicts[l.Rule.Name][name]
		if !wanted {
			continue
		}
		if !v.Taken {
			return true
		}
		to := s.targets[l.To]
		select {
		case <-to.listed:
		default:
			continue
		}
		tag, err := l.Rule.MapTag(l.Target, l.From.Registry, l.From.Repo, name)
		if _, there := to.tags[tag]; there && err == nil {
			return true
		}
	}
	return false
}

// see notes the digest of a tag, or why it has none.
func (s *source) see(name string, digest v1.Hash, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.gone[name] = err
		return
	}
	s.seen[name] = digest
}

// referrerTags returns the listed tags that carry referrers, with their digest
// where it is told without a question.
func (s *source) referrerTags() map[string]v1.Hash {
	tags := map[string]v1.Hash{}
	for name := range s.rows {
		if _, _, ok := providers.ReferrerTag(name); !ok {
			continue
		}
		fixed := true
		for _, l := range s.links {
			fixed = fixed && l.Rule.Immutable(name)
		}
		tags[name] = s.told(name, fixed)
	}
	return tags
}
