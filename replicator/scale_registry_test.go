package replicator_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
)

// A hollow is a registry of any size that takes no memory for it: what a name or
// a digest stands for is computed from it. Its digests are numbers in disguise
// and no sums, so that one can be turned back into its repository and tag; no one
// above [providers.Registry] can tell.
//
// An image has a config and a layer of its own, a layer that its repository
// shares, and one of sixteen bases. Writing to a hollow panics.
type hollow struct {
	providers.Registry // of the methods that are not here
	host               string
	repos, tags        int
	bulk               bool // rows carry digests
	void               bool // it has repositories and no tag
	refs               int  // referrers of each image

	lists, heads, reads, referrers atomic.Int64 // requests; a list call has a thousand tags
	took                           atomic.Int64 // nanoseconds of all of them, made of pages, heads and the like
}

const hollowPage = 1000

func (h *hollow) Host() string { return h.host }

func (h *hollow) Close() error { return nil }

func (h *hollow) Caps(context.Context) (providers.Caps, error) {
	c := providers.Caps{Catalog: providers.Yes, Mount: providers.Yes, Referrers: providers.Yes, SparseIndex: providers.Yes}
	c.BulkDigests, c.PushTimes = h.bulk, h.bulk
	return c, nil
}

func (h *hollow) Repositories(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for r := range h.repos {
			if name := hollowRepo(r); strings.HasPrefix(name, prefix) && !yield(name, nil) {
				return
			}
		}
	}
}

func hollowRepo(r int) string { return fmt.Sprintf("team-%02d/service-%04d", r%50, r) }

func (h *hollow) Rows(_ context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		defer h.since(time.Now())
		r, ok := h.number(repo)
		if h.lists.Add(1); h.void || !ok {
			yield(providers.Row{}, absent(repo))
			return
		}
		for t := range h.tags {
			if t > 0 && t%hollowPage == 0 {
				h.lists.Add(1)
			}
			row := providers.Row{Tags: []string{hollowTag(t)}}
			if h.bulk {
				row.Digest, row.MediaType, row.Pushed = disguise(aManifest, r, t), types.OCIManifestSchema1, hollowTime(t)
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func hollowTag(t int) string { return fmt.Sprintf("v1.%d.%d", t/100, t%100) }

func hollowTime(t int) time.Time { return time.Unix(1_700_000_000+int64(t), 0) }

func (h *hollow) number(repo string) (r int, ok bool) {
	_, digits, _ := strings.Cut(repo, "service-")
	_, err := fmt.Sscanf(digits, "%d", &r)
	return r, err == nil && r < h.repos
}

// find returns the numbers that a reference stands for.
func (h *hollow) find(repo, ref string) (kind, r, t int, err error) {
	if digest, e := v1.NewHash(ref); e == nil {
		kind, r, t := undisguise(digest)
		if known := kind == aManifest || kind >= aReferrer && kind < aReferrer+h.refs; h.void || !known || r >= h.repos || t >= h.tags {
			return 0, 0, 0, absent(repo)
		}
		return kind, r, t, nil
	}
	r, ok := h.number(repo)
	var hundreds, rest int
	if _, e := fmt.Sscanf(ref, "v1.%d.%d", &hundreds, &rest); e != nil || !ok || h.void {
		return 0, 0, 0, absent(repo)
	}
	return aManifest, r, 100*hundreds + rest, nil
}

func (h *hollow) Head(_ context.Context, repo, ref string) (v1.Descriptor, error) {
	defer h.since(time.Now())
	h.heads.Add(1)
	kind, r, t, err := h.find(repo, ref)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: disguise(kind, r, t), Size: 1100}, nil
}

func (h *hollow) Manifest(_ context.Context, repo, ref string) (providers.Manifest, error) {
	defer h.since(time.Now())
	h.reads.Add(1)
	kind, r, t, err := h.find(repo, ref)
	if err != nil {
		return providers.Manifest{}, err
	}
	if kind != aManifest {
		return hollowReferrer(kind, r, t), nil
	}
	const layer = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":%d,"digest":"%s"}`
	raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":7023,"digest":"%s"},"layers":[`+
		layer+","+layer+","+layer+`],"annotations":{"org.opencontainers.image.created":"%s","org.opencontainers.image.revision":"%040x"}}`,
		disguise(aConfig, r, t), 28_000_000, disguise(aLayer, 1<<20, r%16), 9_000_000, disguise(aLayer, 1<<21, r),
		1_000_000+t%1000, disguise(aLayer, r, t), hollowTime(t).UTC().Format(time.RFC3339), r<<20|t)
	return providers.Manifest{MediaType: types.OCIManifestSchema1, Digest: disguise(aManifest, r, t), Raw: []byte(raw)}, nil
}

// hollows finds a hollow by its name.
func hollows(regs map[string]*hollow) func(string) (providers.Registry, error) {
	return func(name string) (providers.Registry, error) { return regs[name], nil }
}

// hollowReferrer is an artifact about the image of tag t, with one small layer.
func hollowReferrer(kind, r, t int) providers.Manifest {
	const text = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.example.sbom",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"%s"},` +
		`"layers":[{"mediaType":"application/spdx+json","size":4000,"digest":"%s"}],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1100,"digest":"%s"}}`
	raw := fmt.Sprintf(text, disguise(aConfig, 1<<22, 0), disguise(aLayer, 1<<23|kind, r<<17|t), disguise(aManifest, r, t))
	return providers.Manifest{MediaType: types.OCIManifestSchema1, Digest: disguise(kind, r, t), Raw: []byte(raw)}
}

func (h *hollow) Referrers(_ context.Context, _ string, subject v1.Hash) (list []v1.Descriptor, err error) {
	defer h.since(time.Now())
	h.referrers.Add(1)
	if kind, r, t := undisguise(subject); kind == aManifest {
		for i := range h.refs {
			list = append(list, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: disguise(aReferrer+i, r, t), Size: 700,
				ArtifactType: "application/vnd.example.sbom"})
		}
	}
	return list, nil
}

func (h *hollow) since(start time.Time) { h.took.Add(int64(time.Since(start))) }

func absent(repo string) error {
	return &providers.Error{Kind: providers.NotFound, Op: "look", Ref: repo, Err: errors.New("not there")}
}

// The kinds of content of a hollow.
const (
	aManifest = iota + 1
	aConfig
	aLayer
	aReferrer // and the next ones: the second, and so on
)

// disguise makes a digest of numbers: the first half is their mixture, so that
// digests are spread as sums are, and the second half has them as they are.
func disguise(kind, r, t int) v1.Hash {
	var b [32]byte
	x := uint64(kind)<<60 ^ uint64(r)<<30 ^ uint64(t)
	for i := range 2 {
		x ^= x >> 30
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 27
		x *= 0x94d049bb133111eb
		x ^= x >> 31
		for n := range 8 {
			b[8*i+n] = byte(x >> (8 * n))
		}
	}
	b[16] = byte(kind)
	for n := range 4 {
		b[17+n], b[21+n] = byte(r>>(8*n)), byte(t>>(8*n))
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(b[:])}
}

func undisguise(h v1.Hash) (kind, r, t int) {
	b, err := hex.DecodeString(h.Hex)
	if err != nil || len(b) != 32 {
		return 0, 0, 0
	}
	for n := 3; n >= 0; n-- {
		r, t = r<<8|int(b[17+n]), t<<8|int(b[21+n])
	}
	return int(b[16]), r, t
}

func (*hollow) Expect(...string) {}
