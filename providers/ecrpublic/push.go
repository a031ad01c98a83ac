package ecrpublic

import (
	"context"
	"errors"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// What is pushed to a repository that somebody deleted since it was found or made
// has it made anew, once, as at ECR.

// Mount is [oci.Registry.Mount].
func (r *Registry) Mount(ctx context.Context, repo, from string, blob v1.Hash) (mounted bool, s *providers.Session, err error) {
	err = r.push(ctx, repo, func() error {
		mounted, s, err = r.Registry.Mount(ctx, repo, from, blob)
		return err
	})
	return mounted, s, err
}

// Put is [oci.Registry.Put].
func (r *Registry) Put(ctx context.Context, repo string, desc v1.Descriptor, body io.ReaderAt, opts providers.UploadOptions) (s *providers.Session, err error) {
	err = r.push(ctx, repo, func() error {
		s, err = r.Registry.Put(ctx, repo, desc, body, opts)
		opts.From = nil // it is gone with the repository
		return err
	})
	return s, err
}

// PutManifest is [oci.Registry.PutManifest].
func (r *Registry) PutManifest(ctx context.Context, repo, ref string, m providers.Manifest, opts providers.PutOptions) (got providers.Receipt, err error) {
	err = r.push(ctx, repo, func() error {
		got, err = r.Registry.PutManifest(ctx, repo, ref, m, opts)
		return err
	})
	return got, err
}

func (r *Registry) push(ctx context.Context, repo string, push func() error) error {
	return r.ensured.Push(repo, push, func(err error) bool {
		e, ok := errors.AsType[*providers.Error](err)
		return ok && e.Code == "NAME_UNKNOWN" && r.makes()
	}, func() error { return r.Ensure(ctx, repo) })
}
