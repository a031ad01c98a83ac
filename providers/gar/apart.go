package gar

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// A sighting is whether a repository was there when it was last asked for.
type sighting struct {
	there bool
	until time.Time
}

// seenFor is how long a sighting is believed, for the words of errors alone.
const seenFor = time.Minute

// apart tells a repository that is missing from a permission that is, which the
// registry answers alike: the API knows.
func (r *Registry) apart(ctx context.Context, repo string, err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	// The answer to a HEAD has no words.
	if !ok || e.Kind != providers.Denied || e.Status != http.StatusForbidden || e.Code != "" && !strings.Contains(e.Err.Error(), maybeAbsent) || r.plain(ctx) {
		return err
	}
	at := r.host.place(repo)
	there, known := r.look(ctx, at)
	now := *e
	switch {
	case !known:
		return err
	case there:
		now.Hint = cmp.Or(missingPermission(e.Err.Error()), "grant artifactregistry.repositories.downloadArtifacts on "+r.host.resource(at))
	default:
		now.Kind = providers.NotFound
		now.Hint = "make the repository " + at.key() + " in " + r.host.Location + ", or let create do it; check the project and the host's location"
	}
	return &now
}

// look asks whether a repository is there; it is not known where we may not look.
func (r *Registry) look(ctx context.Context, at place) (there, known bool) {
	r.mu.Lock()
	last, ok := r.seen[at.key()]
	r.mu.Unlock()
	if ok && time.Now().Before(last.until) {
		return last.there, true
	}
	_, err := r.get(ctx, at)
	if err != nil && providers.KindOf(err) != providers.NotFound {
		return false, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[at.key()] = sighting{err == nil, time.Now().Add(seenFor)}
	if err != nil {
		r.ensured.Forget(at.key()) // somebody deleted it: Ensure makes it again
	}
	return err == nil, true
}

// sighted reports whether the repository of a path was there when it was last asked for.
func (r *Registry) sighted(repo string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[r.host.place(repo).key()].there
}

// Head is [providers.Registry]'s; as below, a repository that is missing is told from
// a permission that is.
func (r *Registry) Head(ctx context.Context, repo, ref string) (v1.Descriptor, error) {
	d, err := r.Registry.Head(ctx, repo, ref)
	return d, r.apart(ctx, repo, err)
}

// Manifest is [providers.Registry]'s.
func (r *Registry) Manifest(ctx context.Context, repo, ref string) (providers.Manifest, error) {
	m, err := r.Registry.Manifest(ctx, repo, ref)
	return m, r.apart(ctx, repo, err)
}

// Referrers is [providers.Registry]'s.
func (r *Registry) Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	list, err := r.Registry.Referrers(ctx, repo, subject)
	return list, r.apart(ctx, repo, err)
}

// Stat is [providers.Registry]'s.
func (r *Registry) Stat(ctx context.Context, repo string, blob v1.Hash) (int64, error) {
	size, err := r.Registry.Stat(ctx, repo, blob)
	return size, r.apart(ctx, repo, err)
}

// Open is [providers.Registry]'s.
func (r *Registry) Open(ctx context.Context, repo string, desc v1.Descriptor, offset int64) (io.ReadCloser, error) {
	body, err := r.Registry.Open(ctx, repo, desc, offset)
	return body, r.apart(ctx, repo, err)
}

// TryPush is [providers.Registry]'s.
func (r *Registry) TryPush(ctx context.Context, repo string) error {
	return r.apart(ctx, repo, r.Registry.TryPush(ctx, repo))
}
