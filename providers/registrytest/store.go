package registrytest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// A store holds what is above the blobs: repositories, their manifests byte for
// byte, their tags, and who refers to whom. Safe for concurrent use.
type store struct {
	mu    sync.RWMutex
	repos map[string]*repository
}

type repository struct {
	manifests map[string]stored // by digest
	tags      map[string]string // tag -> digest
	referrers map[string][]string
	named     map[string]bool // blobs that a manifest names, or once named

	// Derived, nil when something has changed; see sort.
	order    []string            // digests
	tagOrder []string            // tags
	names    map[string][]string // tags by digest
}

// A stored manifest with what it says, read once.
type stored struct {
	providers.Manifest
	content providers.Content
	pushed  time.Time
}

func newStore() *store { return &store{repos: map[string]*repository{}} }

// create makes repo, if it is not there.
func (s *store) create(repo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repo(repo)
}

func (s *store) repo(name string) *repository {
	r := s.repos[name]
	if r == nil {
		r = &repository{manifests: map[string]stored{}, tags: map[string]string{}, referrers: map[string][]string{}, named: map[string]bool{}}
		s.repos[name] = r
	}
	return r
}

func (s *store) exists(repo string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.repos[repo] != nil
}

// names lists the repositories, sorted.
func (s *store) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.repos))
}

// resolve returns the manifest under ref, a tag or a digest.
func (s *store) resolve(repo, ref string) (stored, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.repos[repo]
	if r == nil {
		return stored{}, false
	}
	if digest, ok := r.tags[ref]; ok {
		ref = digest
	}
	m, ok := r.manifests[ref]
	return m, ok
}

// tags lists the tags of repo, sorted.
func (s *store) tags(repo string) (tags map[string]string, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.repos[repo]
	if r == nil {
		return nil, false
	}
	return maps.Clone(r.tags), true
}

// put keeps a manifest, under a tag unless that is "". check sees what is
// there, under the same lock, and may refuse.
func (s *store) put(repo, tag string, m stored, check func(Putting) (answerer, bool)) (answerer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repo)
	digest := m.Digest.String()
	old, again := r.manifests[digest]
	if f, ok := check(Putting{Repo: repo, Tag: tag, Present: r.tags[tag], Digest: digest, Content: m.content,
		Tags: func() int { return r.tagged(digest) }, Images: len(r.manifests), Fresh: !again}); !ok {
		return f, false
	}
	r.names = nil
	if tag != "" {
		r.tags[tag] = digest
	}
	if m.pushed = time.Now(); again {
		m.pushed = old.pushed
	}
	if !again && m.content.Subject != nil {
		subject := m.content.Subject.Digest.String()
		r.referrers[subject] = append(r.referrers[subject], digest)
	}
	r.manifests[digest] = m
	for _, b := range m.content.Blobs() {
		r.named[b.Digest.String()] = true
	}
	return nil, true
}

// tagged counts the tags of a digest.
func (r *repository) tagged(digest string) (n int) {
	for _, d := range r.tags {
		if d == digest {
			n++
		}
	}
	return n
}

// named reports whether a manifest of repo names the blob.
func (s *store) named(repo, digest string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.repos[repo]
	return r != nil && r.named[digest]
}

// inUse reports whether a manifest that repo has now names the blob.
func (s *store) inUse(repo, digest string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.repos[repo]
	if r == nil {
		return false
	}
	for _, m := range r.manifests {
		if slices.ContainsFunc(m.content.Blobs(), func(d v1.Descriptor) bool { return d.Digest.String() == digest }) {
			return true
		}
	}
	return false
}

// remove takes a tag away, or a manifest with all its tags.
func (s *store) remove(repo, ref string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[repo]
	if r == nil {
		return false
	}
	r.names = nil
	if _, ok := r.tags[ref]; ok {
		delete(r.tags, ref)
		return true
	}
	m, ok := r.manifests[ref]
	if !ok {
		return false
	}
	delete(r.manifests, ref)
	maps.DeleteFunc(r.tags, func(_, digest string) bool { return digest == ref })
	if m.content.Subject != nil {
		subject := m.content.Subject.Digest.String()
		r.referrers[subject] = slices.DeleteFunc(r.referrers[subject], func(d string) bool { return d == ref })
	}
	return true
}

// referrers describes the manifests whose subject is the given digest, in the
// order in which they came.
func (s *store) referrers(repo, subject string) []v1.Descriptor {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []v1.Descriptor{}
	r := s.repos[repo]
	if r == nil {
		return list
	}
	for _, digest := range r.referrers[subject] {
		m := r.manifests[digest]
		d := m.Descriptor()
		d.ArtifactType, d.Annotations = m.content.ArtifactType, m.content.Annotations
		list = append(list, d)
	}
	return list
}

// read turns a manifest into what is stored.
func read(m providers.Manifest) (stored, error) {
	c, err := providers.Parse(m)
	if err != nil {
		return stored{}, fmt.Errorf("store manifest: %w", err)
	}
	return stored{Manifest: m, content: c}, nil
}
