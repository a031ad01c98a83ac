package survey

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// head resolves a tag without reading its manifest.
func (s *source) head(ctx context.Context, tag string) (v1.Hash, error) {
	d, err := s.heads.do(ctx, tag, func() (v1.Descriptor, error) {
		d, err := s.reg.Head(ctx, s.place.Repo, tag)
		if err != nil {
			err = fmt.Errorf("source: %w", err)
		}
		s.see(tag, d.Digest, err)
		return d, err
	})
	return d.Digest, err
}

// media is the type that a tag's manifest has, where it was told.
func (s *source) media(tag string) string {
	if m := s.rows[tag].media; m != "" {
		return string(m)
	}
	s.heads.mu.Lock()
	defer s.heads.mu.Unlock()
	if c := s.heads.calls[tag]; c != nil {
		return string(c.value.MediaType)
	}
	return ""
}

// readTag reads the manifest that a tag names now. Its digest is the truth, even
// where a listing said another.
func (s *source) readTag(ctx context.Context, tag string) (plan.Manifest, error) {
	return s.tags.do(ctx, tag, func() (plan.Manifest, error) {
		m, err := s.fetch(ctx, tag)
		s.see(tag, m.Digest, err)
		if err != nil {
			return m, err
		}
		return s.manifests.do(ctx, m.Digest, func() (plan.Manifest, error) { return m, nil })
	})
}

// manifest reads a manifest by digest, once in a survey.
func (s *source) manifest(ctx context.Context, digest v1.Hash) (plan.Manifest, error) {
	return s.manifests.do(ctx, digest, func() (plan.Manifest, error) { return s.fetch(ctx, digest.String()) })
}

// fetch reads ref, hands the bytes on, and returns what they say.
func (s *source) fetch(ctx context.Context, ref string) (plan.Manifest, error) {
	m, err := s.reg.Manifest(ctx, s.place.Repo, ref)
	if err != nil {
		return plan.Manifest{}, fmt.Errorf("source: %w", err)
	}
	c, err := providers.Parse(m)
	if err != nil {
		return plan.Manifest{}, fmt.Errorf("source: %s/%s: %w", s.reg.Host(), s.place.Repo, err)
	}
	s.opts.Keep(m)
	out := plan.Manifest{Content: c, Digest: m.Digest, Size: int64(len(m.Raw))}
	if providers.IsIndex(c.MediaType) && s.rewrites() {
		out.Raw = m.Raw
	}
	return out, nil
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
