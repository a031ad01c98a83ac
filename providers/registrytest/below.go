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

// Flat is Below for a registry whose names have two elements: what is a slash below
// folder is "--" there.
func Flat(reg providers.Registry, folder string) providers.Registry {
	return &below{reg: reg, folder: folder + "/", slash: flatSlash}
}

const flatSlash = "--"

// A below spells every method out: one that is added later cannot slip past it.
type below struct {
	reg    providers.Registry
	folder string
	slash  string // what stands for a slash, "" for itself
}

// at is a repository's name at the registry, and of the one below folder.
func (b *below) at(repo string) string {
	if b.slash != "" {
		repo = strings.ReplaceAll(repo, "/", b.slash)
	}
	return b.folder + repo
}

func (b *below) of(name string) string {
	name = strings.TrimPrefix(name, b.folder)
	if b.slash != "" {
		name = strings.ReplaceAll(name, b.slash, "/")
	}
	return name
}

var _ providers.Registry = (*below)(nil)

func (b *below) Host() string { return b.reg.Host() }

func (b *below) Caps(ctx context.Context) (providers.Caps, error) { return b.reg.Caps(ctx) }

func (b *below) Whoami(ctx context.Context) (providers.Identity, error) { return b.reg.Whoami(ctx) }

func (b *below) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range b.reg.Repositories(ctx, b.at(prefix)) {
			if !yield(b.of(name), err) {
				return
			}
		}
	}
}

func (b *below) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return b.reg.Rows(ctx, b.at(repo))
}

func (b *below) Changed(ctx context.Context, repo string, what providers.Changing, since time.Time) iter.Seq2[providers.Row, error] {
	return b.reg.Changed(ctx, b.at(repo), what, since)
}

func (b *below) Head(ctx context.Context, repo, ref string) (v1.Descriptor, error) {
	return b.reg.Head(ctx, b.at(repo), ref)
}

func (b *below) Manifest(ctx context.Context, repo, ref string) (providers.Manifest, error) {
	return b.reg.Manifest(ctx, b.at(repo), ref)
}

func (b *below) PutManifest(ctx context.Context, repo, ref string, m providers.Manifest, opts providers.PutOptions) (providers.Receipt, error) {
	return b.reg.PutManifest(ctx, b.at(repo), ref, m, opts)
}

func (b *below) Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	return b.reg.Referrers(ctx, b.at(repo), subject)
}

func (b *below) Stat(ctx context.Context, repo string, blob v1.Hash) (int64, error) {
	return b.reg.Stat(ctx, b.at(repo), blob)
}

func (b *below) Open(ctx context.Context, repo string, desc v1.Descriptor, offset int64) (io.ReadCloser, error) {
	return b.reg.Open(ctx, b.at(repo), desc, offset)
}

func (b *below) Mount(ctx context.Context, repo, from string, blob v1.Hash) (bool, *providers.Session, error) {
	return b.reg.Mount(ctx, b.at(repo), b.at(from), blob)
}

func (b *below) Put(ctx context.Context, repo string, desc v1.Descriptor, body io.ReaderAt, opts providers.UploadOptions) (*providers.Session, error) {
	return b.reg.Put(ctx, b.at(repo), desc, body, opts)
}

func (b *below) Expect(repos ...string) {
	all := make([]string, len(repos))
	for i, repo := range repos {
		all[i] = b.at(repo)
	}
	b.reg.Expect(all...)
}

func (b *below) Import(ctx context.Context, repo string, from providers.ImportSource) error {
	return b.reg.Import(ctx, b.folder+repo, from)
}

func (b *below) TryPush(ctx context.Context, repo string) error {
	return b.reg.TryPush(ctx, b.at(repo))
}

func (b *below) Ensure(ctx context.Context, repo string) error {
	return b.reg.Ensure(ctx, b.at(repo))
}

func (b *below) Close() error { return nil }
