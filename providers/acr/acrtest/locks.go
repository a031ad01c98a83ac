package acrtest

import (
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// A Lock is what ACR calls changeableAttributes.
type Lock struct {
	Delete bool `json:"deleteEnabled"`
	Write  bool `json:"writeEnabled"`
	List   bool `json:"listEnabled"`
	Read   bool `json:"readEnabled"`
}

var unlocked = Lock{true, true, true, true}

// attributes are what the metadata API knows of a repository beyond its content.
type attributes struct {
	lock  Lock
	locks map[string]Lock // of tags and digests that have another than unlocked
	times map[string]times
	at    time.Time
}

// times are a tag's.
type times struct {
	digest           string
	created, updated time.Time
}

// repo returns what is known of a repository. The lock is held.
func (s *Server) repo(name string) *attributes {
	r := s.repos[name]
	if r == nil {
		r = &attributes{lock: unlocked, locks: map[string]Lock{}, times: map[string]times{}, at: time.Now()}
		s.repos[name] = r
	}
	return r
}

// Lock changes the lock of a tag or a manifest, of the repository itself where ref
// is "".
func (s *Server) Lock(repo, ref string, change func(*Lock)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lockOf(repo, ref)
	change(&l)
	s.setLock(repo, ref, l)
}

func (s *Server) lockOf(repo, ref string) Lock {
	r := s.repo(repo)
	if ref == "" {
		return r.lock
	}
	if l, ok := r.locks[ref]; ok {
		return l
	}
	return unlocked
}

func (s *Server) setLock(repo, ref string, l Lock) {
	if ref == "" {
		s.repo(repo).lock = l
		return
	}
	s.repo(repo).locks[ref] = l
}

func disallowed() *registrytest.Refusal {
	return refuse(405, "REGISTRY_DISALLOWED_OPERATION", "The operation is disallowed on this registry, repository or image. View troubleshooting steps at "+
		"https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation", map[string]string{})
}

// lockedOut refuses to read or delete what is locked.
func (s *Server) lockedOut(a *registrytest.Ask) *registrytest.Refusal {
	digest := a.Ref
	if i, ok := s.imageFor(a); ok {
		digest = i.Digest.String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo, tag, manifest := s.lockOf(a.Repo, ""), s.lockOf(a.Repo, a.Ref), s.lockOf(a.Repo, digest)
	switch a.Class {
	case registrytest.ManifestGet, registrytest.ManifestHead:
		if !repo.Read || !tag.Read || !manifest.Read {
			return disallowed()
		}
	case registrytest.ManifestDelete:
		if !repo.Delete || !tag.Delete || !manifest.Delete {
			return disallowed()
		}
	}
	return nil
}

func (s *Server) imageFor(a *registrytest.Ask) (registrytest.Image, bool) {
	reads := a.Class == registrytest.ManifestGet || a.Class == registrytest.ManifestHead || a.Class == registrytest.ManifestDelete
	if !reads || strings.Contains(a.Ref, ":") {
		return registrytest.Image{}, false
	}
	return s.Image(a.Repo, a.Ref)
}

// put refuses to write what is locked. The tag's lock and the manifest's are
// independent: a tag that is locked does not move, and a manifest that is locked
// is not written again. The front's own lock is held.
func (s *Server) put(p registrytest.Putting) *registrytest.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lockOf(p.Repo, "").Write || p.Tag != "" && !s.lockOf(p.Repo, p.Tag).Write || !s.lockOf(p.Repo, p.Digest).Write {
		return disallowed()
	}
	return s.geoPut(p)
}

// stored notes when a tag was moved.
func (s *Server) stored(p registrytest.Putting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repo(p.Repo).at = time.Now()
	if p.Tag != "" {
		s.repo(p.Repo).tag(p.Tag, p.Digest, time.Now())
	}
}

// tag returns a tag's times; one that has another digest than before was moved now.
func (r *attributes) tag(name, digest string, now time.Time) times {
	t, known := r.times[name]
	switch {
	case !known:
		t = times{digest, now, now}
	case t.digest != digest:
		t.digest, t.updated = digest, now
	default:
		return t
	}
	r.times[name] = t
	return t
}

// SetTagged sets when a tag was last moved.
func (s *Server) SetTagged(repo, tag string, at time.Time) {
	i, ok := s.Image(repo, tag)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repo(repo).times[tag] = times{i.Digest.String(), at, at}
}
