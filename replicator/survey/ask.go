package survey

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// A resolved is what a HEAD tells of a tag.
type resolved struct {
	digest v1.Hash
	media  types.MediaType
}

// head resolves a tag without reading its manifest.
func (s *source) head(ctx context.Context, tag string) (v1.Hash, error) {
	r, err := s.heads.do(ctx, tag, func() (resolved, error) {
		d, err := s.reg.Head(ctx, s.place.Repo, tag)
		if err != nil {
			err = fmt.Errorf("source: %w", err)
		}
		d.Digest = s.text(tag, d.Digest)
		s.see(tag, d.Digest, err)
		return resolved{d.Digest, types.MediaType(s.words.one(string(d.MediaType)))}, err
	})
	return r.digest, err
}

// text returns digest in the copy that is in memory already, if state knows the
// tag with it: most often it does.
func (s *source) text(tag string, digest v1.Hash) v1.Hash {
	if known := s.known[tag].Digest; known == digest {
		return known
	}
	return digest
}

// media is the type that a tag's manifest has, where it was told.
func (s *source) media(tag string) types.MediaType {
	if m := s.rows[tag].media; m != "" {
		return m
	}
	r, _ := s.heads.told(tag)
	return r.media
}

// readTag reads the manifest that a tag names now. Its digest is the truth, even
// where a listing said another.
func (s *source) readTag(ctx context.Context, tag string) (plan.Manifest, error) {
	var m plan.Manifest
	digest, err := s.tags.do(ctx, tag, func() (v1.Hash, error) {
		var err error
		m, err = s.fetch(ctx, tag)
		s.see(tag, m.Digest, err)
		return m.Digest, err
	})
	if err != nil {
		return plan.Manifest{}, err
	}
	return s.manifests.do(ctx, digest, func() (plan.Manifest, error) {
		if m.Digest == digest {
			return m, nil
		}
		return s.fetch(ctx, digest.String())
	})
}

// manifest reads a manifest by digest, once in a survey.
func (s *source) manifest(ctx context.Context, digest v1.Hash) (plan.Manifest, error) {
	return s.manifests.do(ctx, digest, func() (plan.Manifest, error) { return s.fetch(ctx, digest.String()) })
}

// fetch reads ref, hands the bytes on, and returns what they say.
func (s *source) fetch(ctx context.Context, ref string) (plan.Manifest, error) {
	s.ration.pay(s)
	m, err := s.reg.Manifest(ctx, s.place.Repo, ref)
	if err != nil {
		return plan.Manifest{}, fmt.Errorf("source: %w", err)
	}
	c, err := providers.Parse(m)
	if err != nil {
		return plan.Manifest{}, fmt.Errorf("source: %s/%s: %w", s.reg.Host(), s.place.Repo, err)
	}
	s.opts.Keep(m)
	s.slim(&c)
	out := plan.Manifest{Content: c, Digest: m.Digest, Size: int64(len(m.Raw))}
	if providers.IsIndex(c.MediaType) && s.rewrites() {
		out.Raw = m.Raw
	}
	return out, nil
}

// slim leaves of c what a plan needs, as a survey holds many: the bytes have it all.
func (s *source) slim(c *providers.Content) {
	c.Annotations = nil
	c.MediaType = types.MediaType(s.words.one(string(c.MediaType)))
	c.ArtifactType = s.words.one(c.ArtifactType)
	if c.Config != nil {
		c.Config = s.slimmed(*c.Config)
	}
	layers := make([]v1.Descriptor, len(c.Layers))
	for i, d := range c.Layers {
		layers[i] = *s.slimmed(d)
	}
	c.Layers = layers
}

func (s *source) slimmed(d v1.Descriptor) *v1.Descriptor {
	return &v1.Descriptor{MediaType: types.MediaType(s.words.one(string(d.MediaType))), Digest: d.Digest, Size: d.Size, URLs: d.URLs}
}

func (s *source) rewrites() bool {
	for _, l := range s.links {
		if len(l.Rule.Platforms.Only) > 0 {
			return true
		}
	}
	return false
}

// whoRefers asks who refers to subject. A host without the API is learned once; then
// the fallback tags say it.
func (s *source) whoRefers(ctx context.Context, subject v1.Hash) ([]v1.Descriptor, error) {
	return s.lists.do(ctx, subject, func() ([]v1.Descriptor, error) {
		if s.lacksAPI() {
			return nil, nil
		}
		list, err := s.reg.Referrers(ctx, s.place.Repo, subject)
		switch providers.KindOf(err) {
		case providers.Unsupported:
			return nil, s.learnNoAPI(ctx)
		case providers.NotFound:
			err = nil // the host does not list what refers to something it lacks
		}
		if err != nil {
			return nil, fmt.Errorf("source: %w", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, subject)
		return list, nil
	})
}

func (s *source) lacksAPI() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noAPI
}

func (s *source) learnNoAPI(ctx context.Context) error {
	s.mu.Lock()
	was := s.noAPI
	s.noAPI = true
	s.mu.Unlock()
	if was {
		return nil
	}
	if err := s.opts.State.Learn(ctx, s.reg.Host(), providers.CapReferrers, false, s.at); err != nil {
		return &stateError{err}
	}
	return nil
}

// api is whether the referrers API is to be asked: a bulk listing has told all.
func (s *source) api() providers.Tri {
	if s.caps.BulkDigests || s.lacksAPI() {
		return providers.No
	}
	return s.caps.Referrers
}
