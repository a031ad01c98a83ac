package registrytest

import (
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Expire takes away the manifests of repo that may go, and that neither a tag nor a
// subject of their own nor an index that stays holds, and returns how many: what
// registries do that keep nothing untagged. Without may, all such go.
func (s *Server) Expire(repo string, may func(v1.Hash) bool) int {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	r := s.store.repos[repo]
	if r == nil {
		return 0
	}
	stays := map[string]bool{}
	for digest, m := range r.manifests {
		if m.content.Subject != nil || may != nil && !may(m.Digest) {
			r.hold(digest, stays)
		}
	}
	for _, digest := range r.tags {
		r.hold(digest, stays)
	}
	before := len(r.manifests)
	maps.DeleteFunc(r.manifests, func(digest string, _ stored) bool { return !stays[digest] })
	for subject, list := range r.referrers {
		r.referrers[subject] = slices.DeleteFunc(list, func(d string) bool { return !stays[d] })
	}
	r.names = nil
	return before - len(r.manifests)
}

// hold notes that a manifest stays, with all that is below it.
func (r *repository) hold(digest string, stays map[string]bool) {
	m, ok := r.manifests[digest]
	if !ok || stays[digest] {
		return
	}
	stays[digest] = true
	for _, c := range m.content.Children {
		r.hold(c.Digest.String(), stays)
	}
}
