package registrytest

import (
	"context"
	"errors"
	"fmt"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest/content"
)

// DeleteBlob takes a blob out of one repository, as a broken garbage collection
// does: manifests go on naming it.
func (s *Server) DeleteBlob(repo string, digest v1.Hash) error {
	return s.backend.driver.Delete(context.Background(), linkPath(repo, digest.String()))
}

// Sweep takes the blobs out of a repository that none of its manifests names, as a
// garbage collection does that does not wait, and returns their digests, sorted.
func (s *Server) Sweep(repo string) ([]v1.Hash, error) {
	var swept []v1.Hash
	for _, digest := range s.Blobs(repo) {
		if s.store.inUse(repo, digest.String()) {
			continue
		}
		if err := s.DeleteBlob(repo, digest); err != nil {
			return swept, fmt.Errorf("sweep %s: %w", repo, err)
		}
		swept = append(swept, digest)
	}
	return swept, nil
}

// Blobs lists the digests of the blobs that a repository has, sorted.
func (s *Server) Blobs(repo string) []v1.Hash {
	var all []v1.Hash
	names, _ := s.backend.driver.List(context.Background(), layersPath(repo)) // there may be none
	for _, name := range names {
		digest := v1.Hash{Algorithm: "sha256", Hex: path.Base(name)}
		if s.Has(repo, digest) {
			all = append(all, digest)
		}
	}
	return all
}

// RemoveRepository takes a repository away with all that is in it.
func (s *Server) RemoveRepository(repo string) error {
	var wrong error
	for _, digest := range s.Blobs(repo) {
		wrong = errors.Join(wrong, s.DeleteBlob(repo, digest))
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	delete(s.store.repos, repo)
	return wrong
}

// CorruptBlob flips the lowest bit of one byte of a blob in every repository.
func (s *Server) CorruptBlob(digest v1.Hash, at int64) error {
	return s.damage(digest, func(d data) data { return damaged{data: d, size: d.Size(), flip: at} })
}

// ResizeBlob makes a blob shorter, or longer by zeroes, in every repository.
func (s *Server) ResizeBlob(digest v1.Hash, size int64) error {
	return s.damage(digest, func(d data) data { return damaged{data: d, size: size, flip: -1} })
}

// MendBlob undoes CorruptBlob and ResizeBlob.
func (s *Server) MendBlob(digest v1.Hash) error {
	return s.damage(digest, func(d data) data {
		for {
			worse, ok := d.(damaged)
			if !ok {
				return d
			}
			d = worse.data
		}
	})
}

func (s *Server) damage(digest v1.Hash, change func(data) data) error {
	path := blobPath(digest.String())
	d := s.backend.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.find(path)
	if n == nil {
		return fmt.Errorf("no blob %s to damage", digest)
	}
	n.data = change(n.data)
	return nil
}

// A damaged blob is one with other bytes than its digest says.
type damaged struct {
	data
	size int64
	flip int64 // -1 is nowhere
}

func (d damaged) Size() int64 { return d.size }

func (d damaged) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.data.ReadAt(p, off)
	for ; n < len(p) && off+int64(n) < d.size; n++ {
		p[n], err = 0, nil
	}
	if at := d.flip - off; d.flip >= 0 && at >= 0 && at < int64(n) {
		p[at] ^= 1
	}
	return n, err
}

// Remove takes a manifest with its tags away, or a tag: the child of an index
// included, whose parent goes on naming it.
func (s *Server) Remove(repo, ref string) error {
	if !s.store.remove(repo, ref) {
		return fmt.Errorf("no %s in %s to remove", ref, repo)
	}
	return nil
}

// Retag moves a tag to a manifest that the repository has.
func (s *Server) Retag(repo, tag string, digest v1.Hash) error {
	m, ok := s.store.resolve(repo, digest.String())
	if !ok {
		return fmt.Errorf("no manifest %s in %s to tag %s", digest, repo, tag)
	}
	return s.LoadManifest(repo, m.Manifest, tag)
}

// CorruptManifest flips the lowest bit of a manifest's last byte but one, which
// is white space or a quote, and leaves its digest.
func (s *Server) CorruptManifest(repo, ref string) error {
	m, ok := s.store.resolve(repo, ref)
	if !ok {
		return fmt.Errorf("no %s in %s to damage", ref, repo)
	}
	m.Raw = append([]byte(nil), m.Raw...)
	m.Raw[len(m.Raw)-2] ^= 1
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.repos[repo].manifests[m.Digest.String()] = m
	return nil
}

// ForgetUploads makes every upload that has begun unknown.
func (s *Server) ForgetUploads() {
	s.uploads.mu.Lock()
	defer s.uploads.mu.Unlock()
	clear(s.uploads.open)
}

// LoadCorpus loads all of a corpus.
func (s *Server) LoadCorpus(c content.Corpus) error {
	for _, e := range c {
		if err := s.Load(e.Repo, e.Manifest, e.Tags...); err != nil {
			return err
		}
	}
	return nil
}
