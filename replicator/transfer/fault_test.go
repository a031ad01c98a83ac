package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

func simple(name string, sizes ...int64) *content.Manifest {
	var layers []content.Blob
	for i, size := range sizes {
		layers = append(layers, content.Layer(name+string(rune('a'+i)), size))
	}
	return content.Image(name, layers)
}

// onlyErr returns the error of the one result there is.
func onlyErr(t *testing.T, results []Result) error {
	t.Helper()
	if len(results) != 1 {
		t.Fatalf("%d results, want 1", len(results))
	}
	return results[0].Err
}

// Wrong content at the source lands nowhere, fails its image alone, and says
// what is wrong; a fault on the way is read again and heals.
func TestWrongBytesNeverCommit(t *testing.T) {
	bad, good := simple("bad", 400<<10), simple("good", 300<<10)
	layer := bad.Blobs[1].Digest
	for name, damage := range map[string]func(*registrytest.Server) error{
		"corrupt": func(s *registrytest.Server) error { return s.CorruptBlob(layer, 1000) },
		"short":   func(s *registrytest.Server) error { return s.ResizeBlob(layer, 300<<10) },
		"long":    func(s *registrytest.Server) error { return s.ResizeBlob(layer, 500<<10) },
		"missing": func(s *registrytest.Server) error { return s.DeleteBlob("bad", layer) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, nil)
			plans := w.load(content.Corpus{{Repo: "bad", Manifest: bad, Tags: []string{"v1"}}, {Repo: "good", Manifest: good, Tags: []string{"v1"}}})
			if err := damage(w.source); err != nil {
				t.Fatal(err)
			}
			results := w.run(plans)
			for _, r := range results {
				if r.Target.Repo == "good" {
					w.mustAll([]Result{r})
					continue
				}
				kind := providers.Invalid
				if name == "missing" {
					kind = providers.NotFound
				}
				if r.Err == nil || r.Side != Source || providers.KindOf(r.Err) != kind || providers.HintOf(r.Err) == "" {
					t.Errorf("error %v (side %q, kind %v, hint %q)", r.Err, r.Side, providers.KindOf(r.Err), providers.HintOf(r.Err))
				}
				if r.Err != nil && !strings.Contains(r.Err.Error(), layer.Hex) {
					t.Errorf("%v does not name the blob", r.Err)
				}
				if r.Figures.Failed != 1 || r.Figures.Copied != 0 {
					t.Errorf("figures %+v", r.Figures)
				}
			}
			w.verify(plans[1:])
			if w.targets[0].Has("bad", layer) || len(w.targets[0].Tags("bad")) > 0 {
				t.Error("wrong content has landed")
			}
		})
	}
}

func TestAFlippedBitOnTheWayHeals(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.opts.BlobWidth = 1 }) // the layer goes first
	m := simple("app", 400<<10)
	plans := w.load(one("app", "v1", m))
	w.source.Next(1, registrytest.BlobGet, registrytest.Fault{Break: registrytest.Flip, At: 70 << 10})
	results := w.run(plans)
	w.mustAll(results)
	w.verify(plans)
	if n := results[0].Figures.BytesRead2; n != 400<<10 {
		t.Errorf("%d bytes counted as read again, want %d", n, 400<<10)
	}
}

// What the plan believed to be there is not: the manifest is refused, the belief
// forgotten, the blob and the child brought, in the same run.
func TestIncompleteHeals(t *testing.T) {
	t.Run("and is told", func(t *testing.T) { incompleteHeals(t, func(*registrytest.Quirks) {}) })
	t.Run("and is called invalid", func(t *testing.T) {
		incompleteHeals(t, func(q *registrytest.Quirks) { q.LackIsInvalid = true })
	})
}

func incompleteHeals(t *testing.T, quirks func(*registrytest.Quirks)) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(quirks) })
	a, b := simple("a", 5000), simple("b", 6000)
	ix := content.Index([]*content.Manifest{a, b})
	plans := w.load(one("app", "v1", ix))
	root := &plans[0].Images[0].Root
	root.Children[0].Here, root.Children[0].Blobs = true, nil // stale: it is not there
	for i := range root.Children[1].Blobs {
		root.Children[1].Blobs[i].Have = plan.Here // stale too
	}
	repo := state.Repo{Host: w.targets[0].Host(), Name: "app"}
	if err := w.store.Put(t.Context(), state.Record{Repo: repo, Present: []state.Present{{Digest: b.Blobs[0].Digest}}}); err != nil {
		t.Fatal(err)
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
	has, err := w.store.Has(t.Context(), repo, []v1.Hash{b.Blobs[0].Digest})
	if err != nil || !has[b.Blobs[0].Digest] {
		t.Errorf("after mending state knows %v, %v", has, err)
	}
}

// A target that misses a layer for a moment, as distribution 2.8 does while another
// sends it again, is given the manifest again.
func TestIncompleteForAMoment(t *testing.T) {
	w := newWorld(t, 1, nil)
	plans := w.load(one("app", "v1", simple("a", 5000)))
	w.targets[0].Next(1, registrytest.ManifestPut, registrytest.Fault{Status: 400, Code: "MANIFEST_BLOB_UNKNOWN"})
	w.mustAll(w.run(plans))
	w.verify(plans)
}

// Where looking for what a target may miss fails at the target, its refusal is told
// beside; where it fails at the source, that is why.
func TestWhyLooked(t *testing.T) {
	refused := onSide(Target, &providers.Error{Kind: providers.Invalid, Op: "put manifest", Status: 400, Err: errors.New("no")})
	lacks := onSide(Target, &providers.Error{Kind: providers.Incomplete, Op: "put manifest", Status: 400, Err: errors.New("no")})
	denied := onSide(Target, &providers.Error{Kind: providers.Denied, Op: "stat blob", Err: errors.New("not you")})
	waits := onSide(Source, &providers.Error{Kind: providers.Waiting, Op: "get blob", Err: errors.New("later")})
	if err := whyLooked(refused, denied); providers.KindOf(err) != providers.Invalid || sideOf(err) != Target || !strings.Contains(err.Error(), "not you") {
		t.Errorf("a refusal, and no look: %v", err)
	}
	if err := whyLooked(lacks, denied); err != denied {
		t.Errorf("something is missing, and no look: %v", err)
	}
	if err := whyLooked(refused, waits); err != waits {
		t.Errorf("what is missing comes later: %v", err)
	}
}

// A target may want the bytes of foreign layers: the error says how they are brought.
func TestForeignLayerIsWanted(t *testing.T) {
	for _, calls := range []bool{true, false} {
		w := newWorld(t, 1, func(w *world) {
			w.targets[0].Set(func(q *registrytest.Quirks) { q.WantsForeign, q.LackIsInvalid = true, calls })
		})
		base := content.Foreign("base", 99)
		plans := w.load(one("app", "v1", content.Image("win", []content.Blob{content.Layer("app", 5000), base})))
		root := &plans[0].Images[0].Root
		root.Blobs = append(root.Blobs, plan.Blob{Descriptor: base.Descriptor, Have: plan.Foreign})
		err := onlyErr(t, w.run(plans))
		if !strings.Contains(providers.HintOf(err), "foreignLayers: copy") {
			t.Errorf("called invalid %t: %v, hint %q", calls, err, providers.HintOf(err))
		}
	}
}

// A manifest that the target calls invalid, while it lacks nothing, is put once: the
// error is the target's own, and what was brought for it is not brought again.
func TestInvalidIsNotHealed(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	w := newWorld(t, 1, func(w *world) {
		w.opts.Now = func() time.Time { // state hears of each blob as it lands
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(flushAfter)
			return now
		}
	})
	m := content.Image("invalid", []content.Blob{content.Layer("invalid's", 3000)})
	plans := w.load(one("app", "v1", m))
	puts := 0
	w.targets[0].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if class != registrytest.ManifestPut || !strings.HasSuffix(r.URL.Path, "/v1") {
			return nil
		}
		puts++
		return &registrytest.Fault{Status: 400, Code: "MANIFEST_INVALID", Message: "we like no such"}
	})
	err := onlyErr(t, w.run(plans))
	if providers.KindOf(err) != providers.Invalid || !strings.Contains(err.Error(), "we like no such") || puts != 1 {
		t.Errorf("put %d times: %v", puts, err)
	}
	has, err := w.store.Has(t.Context(), state.Repo{Host: w.targets[0].Host(), Name: "app"}, []v1.Hash{m.Blobs[0].Digest, m.Blobs[1].Digest})
	for _, b := range m.Blobs {
		if err != nil || !has[b.Digest] {
			t.Errorf("state forgot %s: %v", b.Digest, err)
		}
	}
}

// A second refusal ends the image, and where children were left out on purpose
// it says what to do.
func TestSparseRefused(t *testing.T) {
	w := newWorld(t, 1, nil)
	ix := content.Index([]*content.Manifest{simple("a", 5000), simple("b", 6000)})
	plans := w.load(one("app", "v1", ix))
	root := &plans[0].Images[0].Root
	root.Children = root.Children[:1]
	err := onlyErr(t, w.run(plans))
	if providers.KindOf(err) != providers.Incomplete || !strings.Contains(providers.HintOf(err), "rewrite") {
		t.Errorf("got %v, hint %q", err, providers.HintOf(err))
	}
	learned, _ := w.store.Learned(t.Context(), w.targets[0].Host(), time.Time{})
	if yes, known := learned[providers.CapSparse]; !known || yes {
		t.Errorf("learned %v", learned)
	}
	if len(w.targets[0].Tags("app")) > 0 {
		t.Error("the tag was put")
	}
}

func TestImmutable(t *testing.T) {
	for _, style := range []registrytest.Immutable{registrytest.ImmutableECR, registrytest.ImmutableACR, registrytest.ImmutableQuay, registrytest.ImmutableHarbor, registrytest.ImmutableGAR} {
		t.Run(string(style), func(t *testing.T) {
			w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.Immutable = style }) })
			old, now := simple("old", 5000), simple("new", 6000)
			same := w.load(one("same", "v1", now))
			other := w.load(one("other", "v1", now))
			for repo, m := range map[string]*content.Manifest{"same": now, "other": old} {
				if err := w.targets[0].Load(repo, m, "v1"); err != nil {
					t.Fatal(err)
				}
			}
			w.mustAll(w.run(same))
			err := onlyErr(t, w.run(other))
			if providers.KindOf(err) != providers.Conflict || !strings.Contains(providers.HintOf(err), "immutable") {
				t.Errorf("got %v, hint %q", err, providers.HintOf(err))
			}
		})
	}
}

// Someone else writes the same fallback index between our read and our write.
func TestFallbackIndexIsMergedWithAnotherWriter(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) })
	subject := simple("app", 5000)
	subject.Referrers = []*content.Manifest{content.Refer(subject, "application/x.sbom", "ours")}
	theirs := content.Refer(subject, "application/x.sig", "theirs")
	tag, index := content.Fallback(subject, theirs)
	plans := w.load(one("app", "v1", subject))
	var once sync.Once
	w.targets[0].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if class == registrytest.ManifestPut && strings.HasSuffix(r.URL.Path, tag) {
			once.Do(func() {
				if err := w.targets[0].Load("app", theirs); err != nil {
					t.Error(err)
				}
				if err := w.targets[0].LoadManifest("app", index.Manifest, tag); err != nil {
					t.Error(err)
				}
			})
		}
		return nil
	})
	w.mustAll(w.run(plans))
	w.verify(plans)
	m, _ := w.targets[0].Resolve("app", tag)
	for name, d := range map[string]v1.Hash{"ours": subject.Referrers[0].Digest, "theirs": theirs.Digest} {
		if n := strings.Count(string(m.Raw), d.String()); n != 1 {
			t.Errorf("%s is listed %d times in %s", name, n, m.Raw)
		}
	}
	if m.MediaType != types.OCIImageIndex {
		t.Errorf("media type %s", m.MediaType)
	}
}

// The image that uploads a shared layer fails; the next in line takes over.
func TestLeaderFails(t *testing.T) {
	w := newWorld(t, 1, nil)
	shared := content.Layer("shared", 300<<10)
	var corpus content.Corpus
	for _, name := range []string{"a", "b", "c", "d"} {
		corpus = append(corpus, content.Entry{Repo: name, Manifest: content.Image(name, []content.Blob{shared}), Tags: []string{"v1"}})
	}
	plans := w.load(corpus)
	var mu sync.Mutex
	first := ""
	w.targets[0].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if class != registrytest.UploadPut || !strings.Contains(r.URL.RawQuery, shared.Digest.Hex) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		repo := strings.Split(r.URL.Path, "/")[2]
		if first == "" {
			first = repo
		}
		if repo == first {
			return &registrytest.Fault{Status: 403, Code: "DENIED", Message: "no"}
		}
		return nil
	})
	failed := 0
	for _, r := range w.run(plans) {
		if r.Err != nil {
			failed++
			if r.Target.Repo != first || r.Side != Target || providers.KindOf(r.Err) != providers.Denied {
				t.Errorf("%s: %v", r.Target, r.Err)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d images failed, want the one that was refused", failed)
	}
	w.noReadTwice()
}

// A target that refuses us is not asked for every image again; others go on.
func TestRefusedTargetIsLeftAlone(t *testing.T) {
	w := newWorld(t, 2, func(w *world) {
		w.opts.Width = 1
		w.targets[0].Set(func(q *registrytest.Quirks) { q.ReadOnly = true })
	})
	var corpus content.Corpus
	for i := range 12 {
		corpus = append(corpus, content.Entry{Repo: "app", Manifest: simple("app"+string(rune('a'+i)), 2000), Tags: []string{"v" + string(rune('a'+i))}})
	}
	var plans []plan.Plan
	for i, p := range w.load(corpus) {
		if i%12 == 0 {
			plans = append(plans, plan.Plan{Target: p.Target})
		}
		last := &plans[len(plans)-1]
		last.Images = append(last.Images, p.Images...)
	}
	for _, r := range w.run(plans) {
		if ok := r.Target.Registry == "t1"; ok != (r.Err == nil) {
			t.Errorf("%s: %v", r.Target, r.Err)
		}
	}
	w.verify(plans[1:])
	if n := w.targets[0].Counts().Writes(); n > 3*3 {
		t.Errorf("%d writes were tried on a target that refuses them", n)
	}
}

// Two stops: the soft one lets what is in flight finish, the hard one does not;
// neither is a failure, and the next run goes on.
func TestStops(t *testing.T) {
	for _, hard := range []bool{false, true} {
		t.Run(map[bool]string{false: "soft", true: "hard"}[hard], func(t *testing.T) {
			stop := make(chan struct{})
			w := newWorld(t, 1, func(w *world) { w.opts.Width, w.opts.BlobWidth, w.opts.Stop = 1, 1, stop })
			corpus := content.Corpus{{Repo: "a", Manifest: simple("a", 1<<20, 2<<20), Tags: []string{"v1"}}, {Repo: "a", Manifest: simple("b", 5000), Tags: []string{"v2"}}}
			plans := w.load(corpus)
			plans[0].Images = append(plans[0].Images, plans[1].Images...)
			plans = plans[:1]
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why := errors.New("second Ctrl-C")
			halt := sync.OnceFunc(func() { close(stop) })
			if hard {
				halt = func() { cancel(why) }
			}
			w.source.Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
				if class == registrytest.BlobGet {
					halt()
				}
				return nil
			})
			err := w.tr.Run(ctx, plans...)
			if hard && !errors.Is(err, why) || !hard && !errors.Is(err, ErrInterrupted) {
				t.Errorf("Run returned %v", err)
			}
			results := w.journal.take()
			if len(results) != 2 {
				t.Fatalf("%d results", len(results))
			}
			for _, r := range results {
				if !errors.Is(r.Err, ErrInterrupted) || r.Figures.Failed != 0 {
					t.Errorf("%s: %v, %+v", r.Target, r.Err, r.Figures)
				}
			}
			if n := w.figures(results).BlobsSent; !hard && n != 1 {
				t.Errorf("%d blobs were sent after the soft stop, want the one in flight", n)
			}
			w.opts.Stop = nil
			w.start()
			w.mustAll(w.run(plans))
			w.verify(plans)
			if n, most := w.source.Counts().BytesOut, corpus.Shape().UniqueBytes; !hard && n > most {
				t.Errorf("%d bytes left the source, want %d: what was read before the stop was read again", n, most)
			}
		})
	}
}

// After a restart a half-read blob goes on where it was.
func TestRestartGoesOnReading(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.opts.BlobWidth = 1 })
	m := simple("app", 8<<20)
	plans := w.load(one("app", "v1", m))
	ctx, cancel := context.WithCancelCause(t.Context())
	w.source.Next(1, registrytest.BlobGet, registrytest.Fault{Break: registrytest.Stall, At: 4 << 20})
	done := make(chan error)
	go func() { done <- w.tr.Run(ctx, plans...) }()
	for w.mark(m.Blobs[1].Digest) < 3<<20 {
		time.Sleep(time.Millisecond)
	}
	cancel(errors.New("killed"))
	<-done
	w.journal.take()
	w.source.ResetCounts()
	w.start()
	w.mustAll(w.run(plans))
	w.verify(plans)
	if n := w.source.Counts().BytesOut; n > 6<<20 {
		t.Errorf("%d bytes were read after the restart, want no more than what was missing", n)
	}
}

func (w *world) mark(d v1.Hash) int64 {
	w.tr.read.mu.Lock()
	defer w.tr.read.mu.Unlock()
	return w.tr.read.marks[d]
}

// A blob larger than the spool goes past it, to each target.
func TestLargerThanTheSpool(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*registrytest.Server) error
		fail   bool
	}{
		{"right", func(*registrytest.Server) error { return nil }, false},
		{"corrupt", func(s *registrytest.Server) error { return s.CorruptBlob(content.Layer("biga", 3<<20).Digest, 5) }, true},
		{"short", func(s *registrytest.Server) error {
			return s.ResizeBlob(content.Layer("biga", 3<<20).Digest, 2<<20)
		}, true},
		{"long", func(s *registrytest.Server) error {
			return s.ResizeBlob(content.Layer("biga", 3<<20).Digest, 4<<20)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 2, func(w *world) { w.opts.SpoolBytes = 1 << 20 })
			plans := w.load(one("app", "v1", simple("big", 3<<20, 100<<10, 900<<10)))
			if err := tt.change(w.source); err != nil {
				t.Fatal(err)
			}
			results := w.run(plans)
			if tt.fail {
				for _, r := range results {
					if providers.KindOf(r.Err) != providers.Invalid || r.Side != Source {
						t.Errorf("%v", r.Err)
					}
				}
				if len(w.targets[0].Tags("app")) > 0 {
					t.Error("the tag was put")
				}
				return
			}
			w.mustAll(results)
			w.verify(plans)
			if n := w.figures(results).BytesRead2; n != 3<<20 {
				t.Errorf("%d bytes counted as read again, want %d", n, 3<<20)
			}
		})
	}
}

// A broken upload of a blob past the spool begins again; all arrives.
func TestStreamSurvivesAReset(t *testing.T) {
	for _, chunks := range []bool{false, true} {
		w := newWorld(t, 1, func(w *world) {
			w.opts.SpoolBytes, w.opts.BlobWidth = 1<<20, 1
			if chunks {
				w.caps["t0"] = providers.Caps{Chunks: providers.Yes}
			}
		})
		plans := w.load(one("app", "v1", simple("big", 3<<20)))
		w.targets[0].Next(1, registrytest.UploadPut, registrytest.Fault{Break: registrytest.ResetUpload, At: 2 << 20})
		w.mustAll(w.run(plans))
		w.verify(plans)
	}
}

// Tiny spool, much work: everything arrives, and nothing gets stuck.
func TestTinySpool(t *testing.T) {
	w := newWorld(t, 3, func(w *world) {
		w.opts.SpoolBytes = 800 << 10
		for _, s := range w.targets {
			s.Set(func(q *registrytest.Quirks) { q.NoMount = true })
		}
	})
	plans := w.load(content.Shared(9, 0.01))
	w.mustAll(w.run(plans))
	w.verify(plans)
}

// Two images that each upload what the other needs would wait for each other's
// manifest where layers are hidden.
func TestNoCircleOfWaits(t *testing.T) {
	w := newWorld(t, 1, func(w *world) {
		w.opts.BlobWidth = 1
		w.targets[0].Set(func(q *registrytest.Quirks) { q.HiddenLayers = true })
		w.caps["t0"] = providers.Caps{MountNeedsManifest: true}
	})
	x, y := content.Layer("x", 300<<10), content.Layer("y", 300<<10)
	a, b := content.Image("a", []content.Blob{x, y}), content.Image("b", []content.Blob{x, y})
	plans := w.load(content.Corpus{{Repo: "a", Manifest: a, Tags: []string{"v1"}}, {Repo: "b", Manifest: b, Tags: []string{"v1"}}})
	// Of equal size, so the plan's order is kept: a begins with x, b with y.
	slices.SortFunc(plans[0].Images[0].Root.Blobs, byDigest(x.Digest))
	slices.SortFunc(plans[1].Images[0].Root.Blobs, byDigest(y.Digest))
	w.mustAll(w.run(plans))
	w.verify(plans)
	w.noReadTwice()
}

func byDigest(first v1.Hash) func(a, b plan.Blob) int {
	rank := func(b plan.Blob) int {
		if b.Digest == first {
			return 0
		}
		return 1
	}
	return func(a, b plan.Blob) int { return rank(a) - rank(b) }
}

func TestWaitsRefuseCircles(t *testing.T) {
	a, b, c := &work{}, &work{}, &work{}
	g := &waits{}
	if !g.enter(a, b) || !g.enter(b, c) || !g.enter(a, c) {
		t.Fatal("a wait without a circle was refused")
	}
	if g.enter(c, a) || g.enter(b, a) || g.enter(a, a) {
		t.Error("a circle was closed")
	}
	g.exit(a, b)
	g.exit(a, c)
	if !g.enter(c, a) {
		t.Error("a wait that is over still counts")
	}
}

// What state believes to be mountable and is not is forgotten; the blob comes
// another way in the same run.
func TestStaleMount(t *testing.T) {
	w := newWorld(t, 1, nil)
	m := simple("app", 300<<10)
	plans := w.load(one("app", "v1", m))
	layer := m.Blobs[1].Digest
	for i := range plans[0].Images[0].Root.Blobs {
		plans[0].Images[0].Root.Blobs[i].From = []string{"gone"}
	}
	gone := state.Repo{Host: w.targets[0].Host(), Name: "gone"}
	if err := w.store.Put(t.Context(), state.Record{Repo: gone, Present: []state.Present{{Digest: layer}}}); err != nil {
		t.Fatal(err)
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
	if has, err := w.store.Has(t.Context(), gone, []v1.Hash{layer}); err != nil || len(has) > 0 {
		t.Errorf("the stale fact is still there: %v, %v", has, err)
	}
	if refused, _ := w.store.Refusals(t.Context(), w.targets[0].Host(), time.Now()); len(refused) > 0 {
		t.Errorf("a stale fact was remembered as a refusal: %v", refused)
	}
}

func TestMendAndAttachDoNotPutTheTag(t *testing.T) {
	w := newWorld(t, 1, nil)
	subject := simple("app", 5000)
	if err := w.source.Load("app", subject, "v1"); err != nil {
		t.Fatal(err)
	}
	if err := w.targets[0].Load("app", subject, "v1"); err != nil {
		t.Fatal(err)
	}
	subject.Referrers = []*content.Manifest{content.Refer(subject, "application/x.sbom", "sbom")}
	plans := w.load(one("app", "v1", subject))
	img := &plans[0].Images[0]
	img.Root.Here, img.Tags[0].Why = true, plan.Attach
	results := w.run(plans)
	w.mustAll(results)
	if n := len(w.targets[0].Referrers("app", subject.Digest)); n != 1 {
		t.Errorf("%d referrers", n)
	}
	if n := w.targets[0].Counts().Of(registrytest.ManifestPut); n != 1 || results[0].Figures.Copied != 0 {
		t.Errorf("%d manifests put, %d tags copied", n, results[0].Figures.Copied)
	}
}

// A manifest that the survey has read is not read again.
func TestKeptManifestsAreNotReadAgain(t *testing.T) {
	w := newWorld(t, 2, nil)
	m := simple("app", 5000)
	plans := w.load(one("app", "v1", m))
	w.tr.Keep(m.Manifest)
	w.mustAll(w.run(plans))
	if n := w.source.Counts().Of(registrytest.ManifestGet, registrytest.ManifestHead); n != 0 {
		t.Errorf("%d manifest reads", n)
	}
}

// A manifest that names no subject, and that only a fallback index calls a
// referrer, says nothing about the target's referrers API.
func TestUnnamedSubjectTeachesNothing(t *testing.T) {
	w := newWorld(t, 1, nil)
	subject, about := simple("app", 5000), simple("about", 100)
	corpus := one("app", "v1", subject)
	plans := w.load(append(corpus, content.Entry{Repo: "app", Manifest: about, Tags: []string{"x"}}))
	n := nodeOf(about)
	n.Subject, n.Fallback, n.Indexed = subject.Digest, true, true
	plans[0].Images[0].Referrers = []plan.Node{n}
	w.mustAll(w.run(plans[:1]))
	w.wantFallback(plans[0], n)
	learned, err := w.store.Learned(t.Context(), w.targets[0].Host(), time.Time{})
	if yes, told := learned[providers.CapReferrers]; err != nil || told {
		t.Errorf("learned that the referrers API is there: %v, %v", yes, err)
	}
}

// A blob that is damaged at the source is read twice in a run for each target at the
// most, however many images name it, and looked at again in the next.
func TestDamagedBlobIsReadTwice(t *testing.T) {
	now := time.Now()
	w := newWorld(t, 2, func(w *world) {
		w.opts.Width = 1
		w.opts.Now = func() time.Time { return now }
	})
	layer := content.Layer("damaged", 300<<10)
	var corpus content.Corpus
	for i := range 6 {
		name := fmt.Sprintf("image %d", i)
		corpus = append(corpus, content.Entry{Repo: "app", Manifest: content.Image(name, []content.Blob{layer}), Tags: []string{fmt.Sprintf("v%d", i)}})
	}
	plans := w.load(corpus)
	if err := w.source.CorruptBlob(layer.Digest, 5); err != nil {
		t.Fatal(err)
	}
	for i := range plans {
		plans[i].At = now
	}
	for _, r := range w.run(plans) {
		if providers.KindOf(r.Err) != providers.Invalid || r.Side != Source || providers.HintOf(r.Err) == "" {
			t.Errorf("%s: %v", r.Target, r.Err)
		}
	}
	// Targets share a read while it goes on: two may come to both of theirs one after
	// the other.
	if n := w.source.Counts().Digests[layer.Digest.String()].Reads; n > 4 {
		t.Errorf("it left the source %d times", n)
	}
	if err := w.source.MendBlob(layer.Digest); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	for i := range plans {
		plans[i].At = now
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
}

// A layer that two repositories share is read for one of them. If that read
// fails for good, the other repository's image is brought by a read of its own.
func TestReadForAnotherFails(t *testing.T) {
	w := newWorld(t, 2, func(w *world) { w.opts.BlobWidth = 1 })
	shared := content.Layer("shared", 400<<10)
	plans := w.load(content.Corpus{
		{Repo: "bad", Manifest: content.Image("bad", []content.Blob{shared}), Tags: []string{"v1"}},
		{Repo: "good", Manifest: content.Image("good", []content.Blob{shared}), Tags: []string{"v1"}},
	})
	var apart []plan.Plan // each repository goes to a target of its own: nothing is mounted
	for _, p := range plans {
		if p.Target.Registry == map[string]string{"bad": "t0", "good": "t1"}[p.Target.Repo] {
			apart = append(apart, p)
		}
	}
	begun := make(chan struct{})
	var once sync.Once
	w.source.Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if class != registrytest.BlobGet || !strings.HasSuffix(r.URL.Path, "/bad/blobs/"+shared.Digest.String()) {
			return nil
		}
		once.Do(func() { close(begun) })
		for w.tr.spool.Stats().Claims < 2 { // the large blob goes first, and one at a time
			runtime.Gosched()
		}
		return &registrytest.Fault{Status: http.StatusNotFound, Code: "BLOB_UNKNOWN"}
	})
	var both sync.WaitGroup
	both.Go(func() { _ = w.tr.Run(t.Context(), apart[0]) })
	<-begun
	if err := w.tr.Run(t.Context(), apart[1]); err != nil {
		t.Error(err)
	}
	both.Wait()
	for _, r := range w.journal.take() {
		if bad := r.Target.Repo == "bad"; bad != (r.Err != nil) {
			t.Errorf("%s: %v", r.Target, r.Err)
		}
	}
	w.verify(apart[1:])
}

// A second read after wrong bytes may join one that is for another repository. That
// the other's bytes are wrong, too, says nothing of ours.
func TestSecondReadForAnotherIsWrong(t *testing.T) {
	shared := content.Layer("shared", 400<<10)
	watch := &retries{told: map[string]func(){}}
	w := newWorld(t, 2, func(w *world) { w.opts.BlobWidth, w.opts.Progress = 1, watch })
	plans := w.load(content.Corpus{
		{Repo: "bad", Manifest: content.Image("bad", []content.Blob{shared}), Tags: []string{"v1"}},
		{Repo: "good", Manifest: content.Image("good", []content.Blob{shared}), Tags: []string{"v1"}},
	})
	bad, good := plans[0], plans[3] // each goes to a target of its own: nothing is mounted
	begun, done := make(chan struct{}), make(chan struct{})
	var (
		once  sync.Once
		reads atomic.Int64
	)
	w.source.Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		wrong := &registrytest.Fault{Break: registrytest.Flip, At: 5}
		switch {
		case class != registrytest.BlobGet || !strings.HasSuffix(r.URL.Path, "/blobs/"+shared.Digest.String()):
			return nil
		case strings.Contains(r.URL.Path, "/bad/"):
			once.Do(func() { close(begun) })
			for w.tr.spool.Stats().Claims < 2 {
				runtime.Gosched()
			}
			return wrong
		case reads.Add(1) == 1:
			return wrong
		}
		return nil
	})
	var both sync.WaitGroup
	watch.told["good"] = func() {
		both.Go(func() { _ = w.tr.Run(t.Context(), bad) })
		<-begun
	}
	watch.told["bad"] = func() { <-done }
	if err := w.tr.Run(t.Context(), good); err != nil {
		t.Error(err)
	}
	close(done)
	both.Wait()
	for _, r := range w.journal.take() {
		if r.Err != nil {
			t.Errorf("%s: %v", r.Target, r.Err)
		}
	}
	w.verify([]plan.Plan{good})
}

// retries is a Progress that calls what it is told by a target's repository when an
// upload there is to be tried again.
type retries struct {
	silent
	told map[string]func()
}

func (r *retries) Retry(at plan.Place, _ string) {
	if f := r.told[at.Repo]; f != nil {
		f()
	}
}
