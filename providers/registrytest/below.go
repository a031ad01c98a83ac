package registrytest

import (
	"context"
	"io"
	"iter"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// Below returns the part of a registry whose repositories' names begin with
// folder and a slash, as a registry of its own: the suite runs so in a corner of a
// live service. To close it does not close reg.
func Below(reg providers.Registry, folder string) providers.Registry {
	return &below{reg: reg, folder: folder + "/"}
}

// A below spells every method out: one that is added later cannot slip past it.
type below struct {
	reg    providers.Registry
	folder string
}

var _ providers.Registry = (*below)(nil)

func (b *below) Host() string { return b.reg.Host() }

func (b *below) Caps(ctx context.Context) (providers.Caps, error) { return b.reg.Caps(ctx) }

func (b *below) Whoami(ctx context.Context) (providers.Identity, error) { return b.reg.Whoami(ctx) }

func (b *below) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range b.reg.Repositories(ctx, b.folder+prefix) {
			if !yield(strings.TrimPrefix(name, b.folder), err) {
				return
			}
		}
	}
}

func (b *below) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return b.reg.Rows(ctx, b.folder+repo)
}

func (b *below) Changed(ctx context.Context, repo string, what providers.Changing, since time.Time) iter.Seq2[providers.Row, error] {
	return b.reg.Changed(ctx, b.folder+repo, what, since)
}

func (b *below) Head(ctx context.Context, repo, ref string) (v1.Descriptor, error) {
	return b.reg.Head(ctx, b.folder+repo, ref)
}

func (b *below) Manifest(ctx context.Context, repo, ref string) (providers.Manifest, error) {
	return b.reg.Manifest(ctx, b.folder+repo, ref)
}

func (b *below) PutManifest(ctx context.Context, repo, ref string, m providers.Manifest, opts providers.PutOptions) (providers.Receipt, error) {
	return b.reg.PutManifest(ctx, b.folder+repo, ref, m, opts)
}

func (b *below) Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	return b.reg.Referrers(ctx, b.folder+repo, subject)
}

func (b *below) Stat(ctx context.Context, repo string, blob v1.Hash) (int64, error) {
	return b.reg.Stat(ctx, b.folder+repo, blob)
}

func (b *below) Open(ctx context.Context, repo string, desc v1.Descriptor, offset int64) (io.ReadCloser, error) {
	return b.reg.Open(ctx, b.folder+repo, desc, offset)
}

func (b *below) Mount(ctx context.Context, repo, from string, blob v1.Hash) (bool, *providers.Session, error) {
	return b.reg.Mount(ctx, b.folder+repo, b.folder+from, blob)
}

func (b *below) Put(ctx context.Context, repo string, desc v1.Descriptor, body io.ReaderAt, opts providers.UploadOptions) (*providers.Session, error) {
	return b.reg.Put(ctx, b.folder+repo, desc, body, opts)
}

func (b *below) Expect(repos ...string) {
	all := make([]string, len(repos))
	for i, repo := range repos {
		all[i] = b.folder + repo
	}
	b.reg.Expect(all...)
}

func (b *below) TryPush(ctx context.Context, repo string) error {
	return b.reg.TryPush(ctx, b.folder+repo)
}

func (b *below) Ensure(ctx context.Context, repo string) error {
	return b.reg.Ensure(ctx, b.folder+repo)
}

func (b *below) Close() error { return nil }
