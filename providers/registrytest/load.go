package registrytest

import (
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// Load puts a manifest with everything below it and everything that refers to
// it into a repository, and tags it. No request is made or counted.
func (s *Server) Load(repo string, m *content.Manifest, tags ...string) error {
	for _, part := range m.All() {
		for _, b := range part.Blobs {
			if err := s.backend.put(repo, b); err != nil {
				return fmt.Errorf("load %s: %w", repo, err)
			}
		}
		if err := s.LoadManifest(repo, part.Manifest); err != nil {
			return err
		}
	}
	return s.LoadManifest(repo, m.Manifest, tags...)
}

// LoadManifest puts one manifest and its tags, whatever it names.
func (s *Server) LoadManifest(repo string, m providers.Manifest, tags ...string) error {
	parsed, err := read(m)
	if err != nil {
		return fmt.Errorf("load %s: %w", repo, err)
	}
	for _, tag := range append(tags, "") {
		s.store.put(repo, tag, parsed, func(Putting) (answerer, bool) { return nil, true })
	}
	return nil
}

// LoadBlob puts one blob.
func (s *Server) LoadBlob(repo string, b content.Blob) error {
	s.store.create(repo)
	return s.backend.put(repo, b)
}

// Repositories lists the repositories, sorted.
func (s *Server) Repositories() []string { return s.store.names() }

// Tags returns the tags of a repository with their digests.
func (s *Server) Tags(repo string) map[string]v1.Hash {
	tags, _ := s.store.tags(repo)
	hashes := make(map[string]v1.Hash, len(tags))
	for tag, digest := range tags {
		hashes[tag], _ = v1.NewHash(digest) // it was one when it was stored
	}
	return hashes
}

// Manifests lists the digests of a repository's manifests, sorted.
func (s *Server) Manifests(repo string) []string {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	var digests []string
	if r := s.store.repos[repo]; r != nil {
		for digest := range r.manifests {
			digests = append(digests, digest)
		}
	}
	slices.Sort(digests)
	return digests
}

// Resolve returns the manifest under a tag or a digest.
func (s *Server) Resolve(repo, ref string) (providers.Manifest, bool) {
	m, ok := s.store.resolve(repo, ref)
	return m.Manifest, ok
}

// Has reports whether a repository has a blob.
func (s *Server) Has(repo string, digest v1.Hash) bool {
	_, ok := s.backend.blob(repo, digest.String())
	return ok
}

// HasAnywhere reports whether any repository has a blob.
func (s *Server) HasAnywhere(digest v1.Hash) bool {
	return slices.ContainsFunc(s.Repositories(), func(repo string) bool { return s.Has(repo, digest) })
}

// Referrers lists a manifest's referrers, as the API would.
func (s *Server) Referrers(repo string, subject v1.Hash) []v1.Descriptor {
	return s.store.referrers(repo, subject.String())
}
