package transfer

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// A world is a source, some targets, and a Transfer between them.
type world struct {
	t       *testing.T
	source  *registrytest.Server
	targets []*registrytest.Server
	regs    map[string]providers.Registry
	caps    map[string]providers.Caps
	store   *sqlite.Store
	journal *notes
	opts    Options
	tr      *Transfer
}

// newWorld starts a source and n targets, "t0" and so on. Change may set quirks,
// w.caps and w.opts before anything is opened.
func newWorld(t *testing.T, n int, change func(*world)) *world {
	t.Helper()
	w := &world{t: t, source: registrytest.New(t, registrytest.Options{}),
		regs: map[string]providers.Registry{}, caps: map[string]providers.Caps{}, journal: &notes{}}
	for range n {
		w.targets = append(w.targets, registrytest.New(t, registrytest.Options{}))
	}
	w.opts = Options{SpoolDir: filepath.Join(t.TempDir(), "spool"), SpoolBytes: 1 << 30, Journal: w.journal}
	if change != nil {
		change(w)
	}
	w.regs["src"] = w.client("src", w.source)
	for i, s := range w.targets {
		w.regs[nameOf(i)] = w.client(nameOf(i), s)
	}
	var err error
	if w.store, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	w.opts.State = w.store
	w.opts.Registries = func(name string) (providers.Registry, error) {
		if reg := w.regs[name]; reg != nil {
			return reg, nil
		}
		return nil, fmt.Errorf("no registry %q", name)
	}
	w.start()
	t.Cleanup(func() { w.tr.Close() })
	return w
}

func nameOf(i int) string { return fmt.Sprintf("t%d", i) }

func (w *world) client(name string, s *registrytest.Server) providers.Registry {
	w.t.Helper()
	reg, err := oci.New(oci.Options{Host: s.Host(), PlainHTTP: true, Push: true, Caps: w.caps[name],
		Retry: oci.Retry{Min: time.Millisecond, Max: 4 * time.Millisecond}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { reg.Close() })
	return reg
}

// start makes the Transfer, or a new one after a "restart".
func (w *world) start() {
	w.t.Helper()
	if w.tr != nil {
		if err := w.tr.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	var err error
	if w.tr, err = New(w.opts); err != nil {
		w.t.Fatal(err)
	}
}

// load puts a corpus into the source and returns the plans that bring it to all targets.
func (w *world) load(c content.Corpus) []plan.Plan {
	w.t.Helper()
	if err := w.source.LoadCorpus(c); err != nil {
		w.t.Fatal(err)
	}
	w.source.ResetCounts()
	var plans []plan.Plan
	for i := range w.targets {
		for _, e := range c {
			plans = append(plans, plan.Plan{Target: plan.Place{Registry: nameOf(i), Repo: e.Repo}, Images: []plan.Image{imageOf(e)}})
		}
	}
	return plans
}

func imageOf(e content.Entry) plan.Image {
	img := plan.Image{Rule: "r", From: plan.Place{Registry: "src", Repo: e.Repo}, Root: nodeOf(e.Manifest)}
	for _, tag := range e.Tags {
		img.Tags = append(img.Tags, plan.Tag{Name: tag, Why: plan.New})
	}
	refer(e.Manifest, &img.Referrers)
	return img
}

func nodeOf(m *content.Manifest) plan.Node {
	n := plan.Node{Descriptor: m.Descriptor()}
	for _, b := range m.Blobs {
		n.Blobs = append(n.Blobs, plan.Blob{Descriptor: b.Descriptor, Have: plan.Upload})
	}
	for _, c := range m.Children {
		n.Children = append(n.Children, nodeOf(c))
	}
	return n
}

func refer(m *content.Manifest, all *[]plan.Node) {
	for _, r := range m.Referrers {
		n := nodeOf(r)
		n.Subject = m.Digest
		*all = append(*all, n)
		refer(r, all)
	}
	for _, c := range m.Children {
		refer(c, all)
	}
}

func (w *world) run(plans []plan.Plan) []Result {
	w.t.Helper()
	if err := w.tr.Run(w.t.Context(), plans...); err != nil {
		w.t.Fatal(err)
	}
	return w.journal.take()
}

// mustAll fails the test for each image that failed.
func (w *world) mustAll(results []Result) {
	w.t.Helper()
	for _, r := range results {
		if r.Err != nil {
			w.t.Errorf("%s: %v", r.Target, r.Err)
		}
	}
}

// verify resolves every tag of the plans at its target to the last byte.
func (w *world) verify(plans []plan.Plan) {
	w.t.Helper()
	for _, p := range plans {
		s := w.server(p.Target.Registry)
		for _, img := range p.Images {
			for _, tag := range img.Tags {
				if got := s.Tags(p.Target.Repo)[tag.Name]; got != img.Root.Digest {
					w.t.Errorf("%s:%s is %s, want %s", p.Target, tag.Name, got, img.Root.Digest)
				} else if err := s.Verify(p.Target.Repo, tag.Name); err != nil {
					w.t.Errorf("%s:%s: %v", p.Target, tag.Name, err)
				}
			}
		}
	}
}

func (w *world) server(name string) *registrytest.Server {
	for i, s := range w.targets {
		if nameOf(i) == name {
			return s
		}
	}
	return w.source
}

func (w *world) figures(results []Result) state.Figures {
	var sum state.Figures
	for _, r := range results {
		sum.Add(r.Figures)
	}
	return sum
}

// notes is a Journal.
type notes struct {
	mu  sync.Mutex
	all []Result
}

func (n *notes) Image(_ context.Context, r Result) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, r)
}

func (n *notes) take() []Result {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.all
	n.all = nil
	return all
}

func one(repo, tag string, m *content.Manifest) content.Corpus {
	return content.Corpus{{Repo: repo, Manifest: m, Tags: []string{tag}}}
}

// noReadTwice fails if a blob left the source more than once.
func (w *world) noReadTwice() {
	w.t.Helper()
	c := w.source.Counts()
	for _, d := range c.Busiest() {
		if n := c.Digests[d].Reads; n > 1 {
			w.t.Errorf("%s left the source %d times", d, n)
		}
	}
}

// Thirty repositories share layers, and go to three targets: each blob leaves
// the source once and enters each target once, and the figures say so.
func TestSharedLayersGoOnce(t *testing.T) {
	w := newWorld(t, 3, nil)
	corpus := content.Shared(1, 0.02)
	shape := corpus.Shape()
	plans := w.load(corpus)
	results := w.run(plans)
	w.mustAll(results)
	w.verify(plans)
	w.noReadTwice()
	src := w.source.Counts()
	if src.BytesOut != shape.UniqueBytes {
		t.Errorf("%d bytes left the source, want %d", src.BytesOut, shape.UniqueBytes)
	}
	for i, s := range w.targets {
		c := s.Counts()
		in := blobsIn(c)
		if in != shape.UniqueBytes || c.MountsAccepted != int64(shape.Mounts) || c.MountsRefused != 0 {
			t.Errorf("target %d: %d bytes in (want %d), %d mounted (want %d), %d refused", i, in, shape.UniqueBytes, c.MountsAccepted, shape.Mounts, c.MountsRefused)
		}
		if n := c.Of(registrytest.BlobHead, registrytest.ManifestHead, registrytest.ManifestGet); n != 0 {
			t.Errorf("target %d was asked %d questions", i, n)
		}
	}
	f := w.figures(results)
	want := state.Figures{Copied: 90, Manifests: 90, BlobsSent: int64(3 * shape.Blobs), Mounted: int64(3 * shape.Mounts),
		BytesRead: shape.UniqueBytes, BytesSent: 3 * shape.UniqueBytes, BytesSaved: 3 * (shape.SummedBytes - shape.UniqueBytes),
		BytesMounted: 3 * (shape.SummedBytes - shape.UniqueBytes)}
	if f != want {
		t.Errorf("figures\n got %+v\nwant %+v", f, want)
	}
	has, err := w.store.Has(t.Context(), state.Repo{Host: w.targets[0].Host(), Name: corpus[0].Repo}, digests(plans[0].Images[0]))
	if err != nil || len(has) != len(digests(plans[0].Images[0])) {
		t.Errorf("state knows %d of %d: %v", len(has), len(digests(plans[0].Images[0])), err)
	}
}

// Where nothing can be mounted, blobs still leave the source once.
func TestWithoutMountsTheSourceIsReadOnce(t *testing.T) {
	w := newWorld(t, 3, func(w *world) {
		for _, s := range w.targets {
			s.Set(func(q *registrytest.Quirks) { q.NoMount = true })
		}
	})
	corpus := content.Shared(2, 0.02)
	plans := w.load(corpus)
	w.mustAll(w.run(plans))
	w.verify(plans)
	w.noReadTwice()
	if n := w.source.Counts().BytesOut; n != corpus.Shape().UniqueBytes {
		t.Errorf("%d bytes left the source, want %d", n, corpus.Shape().UniqueBytes)
	}
	learned, err := w.store.Learned(t.Context(), w.targets[0].Host(), time.Time{})
	if yes, known := learned[providers.CapMount]; err != nil || !known || yes {
		t.Errorf("learned %v, %v; want that it does not mount", learned, err)
	}
}

// A registry that hides layers until a manifest names them: those who wait mount
// after that, nobody waits in a circle, and the refusals are not remembered.
func TestHiddenLayers(t *testing.T) {
	w := newWorld(t, 1, func(w *world) {
		w.targets[0].Set(func(q *registrytest.Quirks) { q.HiddenLayers = true })
		w.caps["t0"] = providers.Caps{Mount: providers.Yes, MountNeedsManifest: true}
	})
	corpus := content.Shared(3, 0.02)
	plans := w.load(corpus)
	w.mustAll(w.run(plans))
	w.verify(plans)
	w.noReadTwice()
	if c := w.targets[0].Counts(); c.MountsRefused != 0 || c.MountsAccepted == 0 {
		t.Errorf("%d mounted, %d refused", c.MountsAccepted, c.MountsRefused)
	}
}

// The whole of the baseline corpus: indexes, referrers, cosign tags, aliases.
func TestEverythingArrives(t *testing.T) {
	for _, fallback := range []bool{false, true} {
		t.Run(fmt.Sprintf("fallback=%v", fallback), func(t *testing.T) {
			w := newWorld(t, 2, func(w *world) {
				for _, s := range w.targets {
					s.Set(func(q *registrytest.Quirks) { q.NoReferrers = fallback })
				}
			})
			corpus := content.Baseline(4, 0.01)
			plans := w.load(corpus)
			w.mustAll(w.run(plans))
			w.verify(plans)
			w.noReadTwice()
			for _, p := range plans {
				for _, n := range p.Images[0].Referrers {
					if fallback {
						w.wantFallback(p, n)
					} else if len(w.server(p.Target.Registry).Referrers(p.Target.Repo, n.Subject)) == 0 {
						t.Errorf("%s: %s is not listed", p.Target, n.Digest)
					}
				}
			}
		})
	}
}

func (w *world) wantFallback(p plan.Plan, n plan.Node) {
	w.t.Helper()
	m, ok := w.server(p.Target.Registry).Resolve(p.Target.Repo, providers.FallbackTag(n.Subject))
	if !ok || !strings.Contains(string(m.Raw), n.Digest.String()) {
		w.t.Errorf("%s: the fallback index lacks %s", p.Target, n.Digest)
	}
}

func digests(img plan.Image) []v1.Hash {
	all := []v1.Hash{img.Root.Digest}
	for _, b := range blobsOf(&img) {
		all = append(all, b.Digest)
	}
	return all
}

// blobsIn is what was committed of blobs, in bytes.
func blobsIn(c registrytest.Counts) int64 {
	var n int64
	for _, d := range c.Digests {
		n += d.BytesIn
	}
	return n
}

// Images of one repository bring each other's layers at the same time: that is no
// circle, and no reason to send one twice.
func TestImagesOfARepositoryShareUploads(t *testing.T) {
	w := newWorld(t, 1, func(w *world) {
		w.targets[0].Set(func(q *registrytest.Quirks) { q.Latency = time.Millisecond })
	})
	var layers []content.Blob
	for i := range 24 {
		layers = append(layers, content.Layer(fmt.Sprintf("shared %d", i), 2000))
	}
	var corpus content.Corpus
	for i := range 12 {
		mine := append(slices.Clone(layers[2*i:]), layers[:2*i]...)
		name := fmt.Sprintf("image %d", i)
		corpus = append(corpus, content.Entry{Repo: "app", Manifest: content.Image(name, mine), Tags: []string{fmt.Sprintf("v%d", i)}})
	}
	plans := w.load(corpus)
	for _, p := range plans[1:] {
		plans[0].Images = append(plans[0].Images, p.Images...)
	}
	w.mustAll(w.run(plans[:1]))
	w.verify(plans)
	for d, n := range w.targets[0].Counts().Digests {
		if n.Uploads > 1 {
			t.Errorf("%s was sent %d times", d, n.Uploads)
		}
	}
}
