package registrytest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// Verify resolves ref (a tag or a digest) to its last byte: every manifest below
// it and every referrer of each is there and hashes to its digest, and so does
// every blob, with the size that its descriptor says. It returns all that is
// wrong, joined; foreign layers may be missing.
func (s *Server) Verify(repo, ref string) error {
	v := s.verifier(repo, sums{})
	v.manifest(ref, 0)
	return errors.Join(v.wrong...)
}

// VerifyAll verifies every tag of every repository. Each blob is hashed once.
func (s *Server) VerifyAll() error {
	var wrong []error
	hashed := sums{}
	for _, repo := range s.Repositories() {
		v := s.verifier(repo, hashed)
		for _, tag := range slices.Sorted(maps.Keys(s.Tags(repo))) {
			v.manifest(tag, 0)
		}
		wrong = append(wrong, v.wrong...)
	}
	return errors.Join(wrong...)
}

// A verifier walks what is below references of one repository, each digest once.
type verifier struct {
	s      *Server
	repo   string
	seen   map[string]bool
	hashed sums
	wrong  []error
}

func (s *Server) verifier(repo string, hashed sums) *verifier {
	return &verifier{s: s, repo: repo, seen: map[string]bool{}, hashed: hashed}
}

// sums are the digests of what was hashed, by the digest under which it is kept:
// the repositories of a server share the bytes.
type sums map[string]string

// of hashes what is stored under digest, unless it was before.
func (h sums) of(digest string, stored data) (string, error) {
	if got, ok := h[digest]; ok {
		return got, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(stored, 0, stored.Size())); err != nil {
		return "", err
	}
	h[digest] = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return h[digest], nil
}

func (v *verifier) fail(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Errorf(v.s.Host()+"/"+v.repo+": "+format, args...))
}

func (v *verifier) manifest(ref string, depth int) {
	m, ok := v.s.store.resolve(v.repo, ref)
	if !ok {
		v.fail("manifest %s is missing", ref)
		return
	}
	digest := m.Digest.String()
	if v.seen[digest] || depth > providers.MaxDepth {
		return
	}
	v.seen[digest] = true
	if got := v.digestOf(m); got != digest {
		v.fail("manifest %s has bytes of %s", digest, got)
	}
	for _, b := range m.content.Blobs() {
		v.blob(b)
	}
	for _, child := range m.content.Children {
		v.manifest(child.Digest.String(), depth+1)
	}
	for _, r := range v.s.store.referrers(v.repo, digest) {
		v.manifest(r.Digest.String(), depth)
	}
}

func (v *verifier) digestOf(m stored) string {
	raw := m.Raw
	if providers.IsSchema1(m.MediaType) {
		payload, err := content.Schema1Payload(raw)
		if err != nil {
			v.fail("manifest %s: %v", m.Digest, err)
			return ""
		}
		raw = payload
	}
	return content.Hash(raw).String()
}

func (v *verifier) blob(d v1.Descriptor) {
	digest := d.Digest.String()
	if v.seen[digest] {
		return
	}
	v.seen[digest] = true
	stored, ok := v.s.backend.blob(v.repo, digest)
	if !ok {
		if !providers.Foreign(d) {
			v.fail("blob %s is missing", digest)
		}
		return
	}
	if d.Size >= 0 && stored.Size() != d.Size {
		v.fail("blob %s has %d bytes, its descriptor says %d", digest, stored.Size(), d.Size)
	}
	got, err := v.hashed.of(digest, stored)
	if err != nil {
		v.fail("blob %s: %v", digest, err)
	} else if got != digest {
		v.fail("blob %s has bytes of %s", digest, got)
	}
}

// Equal verifies that target holds every tag of source, with the digest that
// source has, complete, and with every referrer. rename maps a source repository
// to its name at the target, nil is the same name; "" leaves it out.
func Equal(source, target *Server, rename func(repo string) string) error {
	var wrong []error
	hashed := sums{}
	for _, repo := range source.Repositories() {
		to := repo
		if rename != nil {
			to = rename(repo)
		}
		if to != "" {
			wrong = append(wrong, equalRepo(source, target, repo, to, hashed))
		}
	}
	return errors.Join(wrong...)
}

func equalRepo(source, target *Server, repo, to string, hashed sums) error {
	var wrong []error
	v := target.verifier(to, hashed)
	there := target.Tags(to)
	for tag, digest := range source.Tags(repo) {
		if there[tag] != digest {
			wrong = append(wrong, fmt.Errorf("%s/%s:%s is %s, the source has %s", target.Host(), to, tag, there[tag], digest))
			continue
		}
		v.manifest(tag, 0)
		wrong = append(wrong, sameReferrers(source, target, repo, to, digest.String(), 0))
	}
	return errors.Join(append(wrong, v.wrong...)...)
}

// sameReferrers verifies that the target lists what the source lists, also of
// children and of referrers.
func sameReferrers(source, target *Server, repo, to, digest string, depth int) error {
	m, ok := source.store.resolve(repo, digest)
	if !ok || depth > providers.MaxDepth {
		return nil
	}
	var wrong []error
	there := target.store.referrers(to, digest)
	for _, r := range source.store.referrers(repo, digest) {
		if !slices.ContainsFunc(there, func(d v1.Descriptor) bool { return d.Digest == r.Digest }) {
			wrong = append(wrong, fmt.Errorf("%s/%s@%s lacks its referrer %s", target.Host(), to, digest, r.Digest))
		}
		wrong = append(wrong, sameReferrers(source, target, repo, to, r.Digest.String(), depth+1))
	}
	for _, child := range m.content.Children {
		wrong = append(wrong, sameReferrers(source, target, repo, to, child.Digest.String(), depth+1))
	}
	return errors.Join(wrong...)
}
