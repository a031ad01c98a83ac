package main

import (
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// verify compares the targets with the source without transship's help: every
// tag has the source's digest, everything below it and about it is there and
// hashes to its digest, and what the target cannot list by the referrers API is
// under fallback tags. It returns all that is wrong, joined.
func (w *world) verify() error {
	var wrong []error
	for _, t := range w.targets() {
		rename := func(repo string) string { return w.at(t, repo) }
		wrong = append(wrong, registrytest.Equal(w.home.Server, t.Server, rename), t.VerifyAll())
		if t.Quirks().NoReferrers {
			wrong = append(wrong, w.verifyFallback(t))
		}
	}
	return errors.Join(wrong...)
}

// verifyFallback looks whether every referrer of the source is in its subject's
// fallback index at t (OCI distribution-spec v1.1, "Referrers Tag Schema").
func (w *world) verifyFallback(t *side) error {
	var wrong []error
	for m := range w.home.manifests() {
		subject, err := v1.NewHash(m.digest)
		if err != nil {
			return err
		}
		referrers := w.home.Referrers(m.repo, subject)
		if len(referrers) == 0 {
			continue
		}
		listed, err := t.fallback(w.at(t, m.repo), subject)
		if err != nil {
			wrong = append(wrong, err)
		}
		for _, r := range referrers {
			if err == nil && !slices.ContainsFunc(listed, func(d v1.Descriptor) bool { return d.Digest == r.Digest }) {
				wrong = append(wrong, fmt.Errorf("%s: %s/%s is not among the referrers of %s", t.name, m.repo, r.Digest, subject))
			}
		}
	}
	return errors.Join(wrong...)
}

// fallback reads a subject's fallback index.
func (s *side) fallback(repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	tag := providers.FallbackTag(subject)
	raw, ok := s.Resolve(repo, tag)
	if !ok {
		return nil, fmt.Errorf("%s: %s:%s is missing", s.name, repo, tag)
	}
	index, err := providers.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %s:%s: %w", s.name, repo, tag, err)
	}
	return index.Children, nil
}
