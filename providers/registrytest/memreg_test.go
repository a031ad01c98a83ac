package registrytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// A memreg is the plainest registry that keeps the contract: it shows that the
// suite asks for nothing that cannot be had.
type memreg struct {
	mu    sync.Mutex
	store *store
	blobs map[string][]byte // by repository and digest

	// The ways to be wrong that TestConformanceFindsFaults switches on.
	anyBytes, anyManifest, twice, plain, nameless, traces bool
}

var _ providers.Registry = (*memreg)(nil)

func newMemreg() *memreg { return &memreg{store: newStore(), blobs: map[string][]byte{}} }

func (m *memreg) err(kind providers.Kind, op, ref, why string) error {
	if m.plain {
		return errors.New(why)
	}
	return &providers.Error{Kind: kind, Op: op, Ref: "mem/" + ref, Err: errors.New(why)}
}

func (m *memreg) Host() string { return "mem" }
func (m *memreg) Close() error { return nil }

func (m *memreg) Caps(context.Context) (providers.Caps, error) {
	return providers.Caps{BulkDigests: true, Mount: providers.Yes}, nil
}

func (m *memreg) Changed(context.Context, string, providers.Changing, time.Time) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		yield(providers.Row{}, m.err(providers.Unsupported, "list changes", "", "no times are kept"))
	}
}

func (m *memreg) Import(_ context.Context, repo string, _ providers.ImportSource) error {
	return m.err(providers.Unsupported, "import", repo, "nothing is imported")
}

func (m *memreg) Ensure(ctx context.Context, repo string) error {
	m.store.create(repo)
	return context.Cause(ctx)
}

func (m *memreg) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if ctx.Err() != nil {
			yield("", context.Cause(ctx))
			return
		}
		for _, name := range m.store.names() {
			if strings.HasPrefix(name, prefix) && !yield(name, nil) {
				return
			}
		}
	}
}

func (m *memreg) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		tags, ok := m.store.tags(repo)
		if ctx.Err() != nil || !ok {
			yield(providers.Row{}, cmpErr(ctx, m.err(providers.NotFound, "list tags", repo, "no such repository")))
			return
		}
		for _, tag := range slices.Sorted(maps.Keys(tags)) {
			digest, _ := v1.NewHash(tags[tag])
			row := providers.Row{Digest: digest, Tags: []string{tag}}
			if !yield(row, nil) || m.twice && !yield(row, nil) {
				return
			}
		}
	}
}

// cmpErr prefers the end of the context.
func cmpErr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (m *memreg) Head(ctx context.Context, repo, ref string) (v1.Descriptor, error) {
	found, err := m.Manifest(ctx, repo, ref)
	return found.Descriptor(), err
}

func (m *memreg) Manifest(ctx context.Context, repo, ref string) (providers.Manifest, error) {
	found, ok := m.store.resolve(repo, ref)
	if ctx.Err() != nil || !ok {
		return providers.Manifest{}, cmpErr(ctx, m.err(providers.NotFound, "read manifest", repo+":"+ref, "not there"))
	}
	return found.Manifest, nil
}

func (m *memreg) PutManifest(ctx context.Context, repo, ref string, put providers.Manifest, opts providers.PutOptions) (providers.Receipt, error) {
	if ctx.Err() != nil {
		return providers.Receipt{}, context.Cause(ctx)
	}
	at := repo + ":" + ref
	tag := ref
	if strings.Contains(ref, ":") {
		tag = ""
		if ref != put.Digest.String() {
			return providers.Receipt{}, m.err(providers.Invalid, "put manifest", at, "not its digest")
		}
	}
	parsed, err := read(put)
	if err != nil {
		return providers.Receipt{}, err
	}
	if !m.complete(repo, parsed) {
		return providers.Receipt{}, m.err(providers.Incomplete, "put manifest", at, "something is missing")
	}
	check := func(p Putting) (answerer, bool) {
		return nil, (opts.IfMatch == (v1.Hash{}) || opts.IfMatch.String() == p.Present) && (!opts.IfAbsent || p.Present == "")
	}
	if _, ok := m.store.put(repo, tag, parsed, check); !ok {
		return providers.Receipt{}, m.err(providers.Conflict, "put manifest", at, "the tag moved")
	}
	return providers.Receipt{}, nil
}

func (m *memreg) complete(repo string, s stored) bool {
	if m.anyManifest {
		return true
	}
	for _, b := range s.content.Blobs() {
		if _, ok := m.get(repo, b.Digest); !ok && !providers.Foreign(b) {
			return false
		}
	}
	for _, c := range s.content.Children {
		if _, ok := m.store.resolve(repo, c.Digest.String()); !ok {
			return false
		}
	}
	return true
}

func (m *memreg) Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	return m.store.referrers(repo, subject.String()), context.Cause(ctx)
}

func (m *memreg) get(repo string, digest v1.Hash) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.blobs[repo+"@"+digest.String()]
	return data, ok
}

func (m *memreg) Stat(ctx context.Context, repo string, blob v1.Hash) (int64, error) {
	data, ok := m.get(repo, blob)
	if ctx.Err() != nil || !ok {
		return 0, cmpErr(ctx, m.err(providers.NotFound, "stat blob", repo+"@"+blob.String(), "not there"))
	}
	return int64(len(data)), nil
}

func (m *memreg) Open(ctx context.Context, repo string, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	data, ok := m.get(repo, d.Digest)
	if ctx.Err() != nil || !ok {
		return nil, cmpErr(ctx, m.err(providers.NotFound, "read blob", repo+"@"+d.Digest.String(), "not there"))
	}
	return io.NopCloser(bytes.NewReader(data[offset:])), nil
}

func (m *memreg) Mount(ctx context.Context, repo, from string, blob v1.Hash) (bool, *providers.Session, error) {
	data, ok := m.get(from, blob)
	if ctx.Err() != nil || !ok {
		return false, nil, context.Cause(ctx)
	}
	m.set(repo, blob, data)
	return true, nil, nil
}

func (m *memreg) set(repo string, blob v1.Hash, data []byte) {
	m.store.create(repo)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[repo+"@"+blob.String()] = data
}

func (m *memreg) Put(ctx context.Context, repo string, d v1.Descriptor, body io.ReaderAt, _ providers.UploadOptions) (*providers.Session, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	data, err := io.ReadAll(io.NewSectionReader(body, 0, d.Size))
	if err != nil {
		return nil, err
	}
	if content.Hash(data) != d.Digest && !m.anyBytes {
		return nil, m.err(providers.Invalid, "put blob", repo+"@"+d.Digest.String(), "other bytes")
	}
	m.set(repo, d.Digest, data)
	return nil, nil
}

func TestConformance(t *testing.T) {
	Conformance(t, Harness{OpenStore: func(*testing.T) providers.Registry { return newMemreg() }})
}

func (m *memreg) Whoami(ctx context.Context) (providers.Identity, error) {
	if ctx.Err() != nil || m.nameless {
		return providers.Identity{}, context.Cause(ctx)
	}
	return providers.Identity{Name: providers.Anonymous, From: "memory"}, nil
}

func (m *memreg) Expect(...string) {}

func (m *memreg) TryPush(ctx context.Context, repo string) error {
	if m.traces {
		m.store.create(repo)
	}
	return context.Cause(ctx)
}
