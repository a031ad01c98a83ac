package oci

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// A Remaker is a registry at which a repository has to be made before it is pushed to:
// what is pushed to one that somebody deleted since it was found or made has it made
// anew, once. Providers embed it instead of the registry.
type Remaker struct {
	*Registry
	// Anew carries out a push to a repository, and does it again after it has made what
	// was missing; [Ensured.Push] does most of that. It is set before the first push.
	Anew func(ctx context.Context, repo string, push func() error) error
}

// Mount is [Registry.Mount].
func (r *Remaker) Mount(ctx context.Context, repo, from string, blob v1.Hash) (mounted bool, s *providers.Session, err error) {
	err = r.Anew(ctx, repo, func() error {
		mounted, s, err = r.Registry.Mount(ctx, repo, from, blob)
		return err
	})
	return mounted, s, err
}

// Put is [Registry.Put].
func (r *Remaker) Put(ctx context.Context, repo string, desc v1.Descriptor, body io.ReaderAt, opts providers.UploadOptions) (s *providers.Session, err error) {
	err = r.Anew(ctx, repo, func() error {
		s, err = r.Registry.Put(ctx, repo, desc, body, opts)
		opts.From = nil // it is gone with the repository
		return err
	})
	return s, err
}

// PutManifest is [Registry.PutManifest].
func (r *Remaker) PutManifest(ctx context.Context, repo, ref string, m providers.Manifest, opts providers.PutOptions) (got providers.Receipt, err error) {
	err = r.Anew(ctx, repo, func() error {
		got, err = r.Registry.PutManifest(ctx, repo, ref, m, opts)
		return err
	})
	return got, err
}
