package transfer

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// nearer is a world of three targets: "t0" is what the plans are for, and "t1" and
// "t2" hold the images already, in a repository "held" of theirs, and are read in
// this order before the source.
func nearer(t *testing.T, c content.Corpus, change func(*world)) (*world, []plan.Plan) {
	w := newWorld(t, 3, change)
	plans := w.load(c)[:len(c)]
	for _, e := range c {
		for _, s := range w.targets[1:] {
			if err := s.Load("held", e.Manifest); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range plans {
		plans[i].At = time.Now()
		for n := range plans[i].Images {
			img := &plans[i].Images[n]
			img.Readers = []policy.Reader{{Registry: "t1", Listed: true}, {Registry: "t2", Listed: true}}
			held(img.Root.Blobs)
		}
	}
	for _, s := range w.targets {
		s.ResetCounts()
	}
	return w, plans
}

func held(blobs []plan.Blob) {
	for i := range blobs {
		blobs[i].Readers = []plan.Place{{Registry: "t1", Repo: "held"}, {Registry: "t2", Repo: "held"}}
	}
}

// remembers tells state what the readers hold.
func (w *world) remembers(blobs ...v1.Hash) {
	w.t.Helper()
	for _, s := range w.targets[1:] {
		rec := state.Record{Repo: state.Repo{Host: s.Host(), Name: "held"}}
		for _, d := range blobs {
			rec.Present = append(rec.Present, state.Present{Digest: d})
		}
		if err := w.store.Put(w.t.Context(), rec); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) believes(s *registrytest.Server, d v1.Hash) bool {
	w.t.Helper()
	has, err := w.store.Has(w.t.Context(), state.Repo{Host: s.Host(), Name: "held"}, []v1.Hash{d})
	if err != nil {
		w.t.Fatal(err)
	}
	return has[d]
}

// always has every GET of a blob end so.
func always(f registrytest.Fault) func(*registrytest.Server) {
	return func(s *registrytest.Server) {
		s.Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
			if class == registrytest.BlobGet {
				return &f
			}
			return nil
		})
	}
}

// What cannot be read at one registry is read at the next, the source last, in the
// same run; what lands is right.
func TestReaderFallsBack(t *testing.T) {
	m := simple("app", 400<<10, 300<<10)
	layer := m.Blobs[1].Digest
	healthy := func(*registrytest.Server) {}
	gone := func(s *registrytest.Server) {
		if err := s.DeleteBlob("held", layer); err != nil {
			t.Error(err)
		}
	}
	for name, harm := range map[string]func(*registrytest.Server){
		"gone":        gone,
		"repository":  func(s *registrytest.Server) { _ = s.RemoveRepository("held") },
		"denied":      always(registrytest.Fault{Status: 403, Code: "DENIED"}),
		"unavailable": always(registrytest.Unavailable("")),
		"throttled":   always(registrytest.Throttled("0")),
		"a web page":  always(registrytest.Fault{HTML: "<html>sign in</html>"}),
		"corrupt":     func(s *registrytest.Server) { _ = s.CorruptBlob(layer, 1000) },
		"short":       func(s *registrytest.Server) { _ = s.ResizeBlob(layer, 200<<10) },
		"long":        func(s *registrytest.Server) { _ = s.ResizeBlob(layer, 500<<10) },
		"reset":       always(registrytest.Fault{Break: registrytest.Reset, At: 100}),
		"truncated":   always(registrytest.Fault{Break: registrytest.Truncate, At: 100}),
	} {
		for _, spool := range []int64{1 << 30, 200 << 10} { // through the spool, and past it
			for _, second := range []bool{true, false} {
				t.Run(name+map[bool]string{true: "", false: " twice"}[second]+map[bool]string{true: "", false: " past the spool"}[spool > 1<<20], func(t *testing.T) {
					w, plans := nearer(t, one("app", "v1", m), func(w *world) { w.opts.SpoolBytes, w.opts.BlobWidth = spool, 1 })
					w.remembers(layer)
					harm(w.targets[1])
					harmOther := harm
					if second {
						harmOther = healthy
					}
					harmOther(w.targets[2])
					w.mustAll(w.run(plans))
					w.verify(plans)
					out := w.source.Counts().BytesOut
					if second && out != 0 {
						t.Errorf("%d bytes left the source, although the second reader has all", out)
					}
					if !second && w.source.Counts().Digests[layer.String()].Reads != 1 {
						t.Errorf("the source gave it %d times, want once", w.source.Counts().Digests[layer.String()].Reads)
					}
					if name == "gone" && w.believes(w.targets[1], layer) || second && !w.believes(w.targets[2], layer) {
						t.Error("what is gone is believed to be there, or what is there is forgotten")
					}
				})
			}
		}
	}
}

// Where all fail, the image fails with the source's word.
func TestReadersAndSourceFail(t *testing.T) {
	m := simple("app", 400<<10)
	layer := m.Blobs[1].Digest
	w, plans := nearer(t, one("app", "v1", m), nil)
	for _, s := range w.targets[1:] {
		always(registrytest.Unavailable(""))(s)
	}
	if err := w.source.DeleteBlob("app", layer); err != nil {
		t.Fatal(err)
	}
	r := w.run(plans)
	if err := onlyErr(t, r); providers.KindOf(err) != providers.NotFound || r[0].Side != Source || !strings.Contains(err.Error(), w.source.Host()) {
		t.Errorf("side %q: %v", r[0].Side, err)
	}
	if len(w.targets[0].Tags("app")) > 0 {
		t.Error("the tag was put")
	}
}

// What the source holds damaged, a dearer registry may have right.
func TestDearerReaderServesWhatTheSourceLacks(t *testing.T) {
	m := simple("app", 400<<10)
	layer := m.Blobs[1].Digest
	for name, harm := range map[string]func(*registrytest.Server) error{
		"gone":    func(s *registrytest.Server) error { return s.DeleteBlob("app", layer) },
		"corrupt": func(s *registrytest.Server) error { return s.CorruptBlob(layer, 7) },
	} {
		t.Run(name, func(t *testing.T) {
			w, plans := nearer(t, one("app", "v1", m), nil)
			plans[0].Images[0].Readers = []policy.Reader{{Registry: "t1"}}
			plans[0].Prices = map[string]float64{"src": 0.01, "t1": 0.05, "t2": 0.06}
			if err := harm(w.source); err != nil {
				t.Fatal(err)
			}
			w.mustAll(w.run(plans))
			w.verify(plans)
			if n := w.targets[1].Counts().Digests[layer.String()].Reads; n != 1 {
				t.Errorf("it was read %d times at the dearer registry", n)
			}
		})
	}
}

// A registry that fails is left alone for a minute, however many blobs it is
// believed to hold, and asked again after that.
func TestReaderIsLeftAlone(t *testing.T) {
	now := time.Now()
	var asked atomic.Int64
	c := content.Corpus{
		{Repo: "app", Manifest: simple("one", 5000, 6000, 7000, 8000), Tags: []string{"v1"}},
		{Repo: "app", Manifest: simple("two", 5001, 6001, 7001, 8001), Tags: []string{"v2"}},
	}
	w, plans := nearer(t, c, func(w *world) {
		w.opts.BlobWidth, w.opts.Width = 1, 1
		w.opts.Now = func() time.Time { return now }
	})
	w.targets[1].Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
		if class != registrytest.BlobGet {
			return nil
		}
		asked.Add(1)
		f := registrytest.Fault{Status: 403, Code: "DENIED"}
		return &f
	})
	w.mustAll(w.run(plans[:1]))
	w.mustAll(w.run(plans[1:]))
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times, want once", n)
	}
	now = now.Add(2 * time.Minute)
	if err := w.targets[0].RemoveRepository("app"); err != nil {
		t.Fatal(err)
	}
	w.start() // another process, with an empty spool
	w.mustAll(w.run(plans[:1]))
	if n := asked.Load(); n != 2 {
		t.Errorf("it was asked %d times in all, want twice", n)
	}
}

// A blob that does not fit into the spool, and that this run has put at another
// target, is read there: it leaves the source once.
func TestReadWhereItLanded(t *testing.T) {
	for _, hides := range []bool{false, true} {
		w := newWorld(t, 2, func(w *world) {
			w.opts.SpoolBytes = 1 << 20
			w.caps["t1"] = providers.Caps{MountNeedsManifest: hides}
		})
		m := simple("big", 3<<20)
		plans := w.load(one("app", "v1", m))
		plans[0].Images[0].Readers = []policy.Reader{{Registry: "t1", Listed: true}}
		w.mustAll(w.run(plans[1:]))
		w.mustAll(w.run(plans[:1]))
		w.verify(plans)
		if n := w.source.Counts().Digests[m.Blobs[1].Digest.String()].BytesOut; n != 3<<20 {
			t.Errorf("hides %v: %d bytes left the source, want %d", hides, n, 3<<20)
		}
	}
}

// What landed and is hidden, as no manifest names it yet, is not asked for.
func TestHiddenLandingIsNotRead(t *testing.T) {
	w := newWorld(t, 2, func(w *world) { w.caps["t1"] = providers.Caps{MountNeedsManifest: true} })
	m := simple("app", 5000)
	w.load(one("app", "v1", m))
	to, err := w.tr.target(t.Context(), plan.Place{Registry: "t1", Repo: "app"})
	if err != nil {
		t.Fatal(err)
	}
	layer := m.Blobs[1].Digest
	to.host.landed(&work{t: w.tr, to: to}, layer, plan.Upload)
	if repo := w.tr.landedAt(to.host.name, layer); repo != "" {
		t.Errorf("it is read in %q", repo)
	}
	to.host.named("app", []v1.Hash{layer})
	if repo := w.tr.landedAt(to.host.name, layer); repo != "app" {
		t.Errorf("it is read in %q, want app", repo)
	}
}

// Two targets that list each other, and a spool that holds nothing: all arrives.
func TestReadersInACircle(t *testing.T) {
	w := newWorld(t, 2, func(w *world) { w.opts.SpoolBytes = 300 << 10 })
	var c content.Corpus
	for _, name := range []string{"a", "b", "c", "d"} {
		c = append(c, content.Entry{Repo: name, Manifest: content.Image(name, []content.Blob{content.Layer("shared", 1<<20), content.Layer(name, 700<<10)}), Tags: []string{"v1"}})
	}
	plans := w.load(c)
	for i := range plans {
		other := map[string]string{"t0": "t1", "t1": "t0"}[plans[i].Target.Registry]
		plans[i].Images[0].Readers = []policy.Reader{{Registry: other, Listed: true}}
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
}

// Bytes that came from several places and proved wrong are read again from the start,
// as nobody knows whose they were: by the one that has not broken off.
func TestMixedWrongBytes(t *testing.T) {
	m := simple("app", 400<<10)
	layer := m.Blobs[1].Digest
	w, plans := nearer(t, one("app", "v1", m), func(w *world) { w.opts.BlobWidth = 1 })
	if err := w.targets[1].CorruptBlob(layer, 5); err != nil {
		t.Fatal(err)
	}
	var gets atomic.Int64
	w.targets[1].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		switch {
		case class != registrytest.BlobGet || !hasDigest(r, layer):
			return nil
		case gets.Add(1) == 1:
			return &registrytest.Fault{Break: registrytest.Reset, At: 200 << 10}
		}
		f := registrytest.Unavailable("")
		return &f
	})
	w.mustAll(w.run(plans))
	w.verify(plans)
	if n := w.targets[2].Counts().Digests[layer.String()]; n.Reads != 2 || n.BytesOut >= 800<<10 {
		t.Errorf("the second reader gave %d bytes in %d reads; at first it was to go on where the other broke off", n.BytesOut, n.Reads)
	}
	if n := w.source.Counts().Digests[layer.String()]; n.Reads != 0 {
		t.Errorf("the source gave %d bytes in %d reads", n.BytesOut, n.Reads)
	}
}

// A read that was begun for a target which has but the source fails with it. Another
// target that joined it, and reads elsewhere for want of the source only, does not
// ask the source again.
func TestJoinedReadFails(t *testing.T) {
	m := simple("app", 400<<10)
	layer := m.Blobs[1].Digest
	w, plans := nearer(t, one("app", "v1", m), func(w *world) { w.opts.BlobWidth = 1 })
	alone := plan.Plan{Target: plan.Place{Registry: "t2", Repo: "app"}, Images: []plan.Image{imageOf(one("app", "v1", m)[0])}}
	plans[0].Images[0].Readers = nil // none is listed
	plans[0].Prices = map[string]float64{"src": 0.01, "t1": 0.05, "t2": 0.06}
	begun := make(chan struct{})
	var asked atomic.Int64
	w.source.Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if class != registrytest.BlobGet || !hasDigest(r, layer) {
			return nil
		}
		if asked.Add(1) > 1 {
			return nil
		}
		close(begun)
		for w.tr.spool.Stats().Claims < 2 {
			runtime.Gosched()
		}
		return &registrytest.Fault{Status: http.StatusNotFound, Code: "BLOB_UNKNOWN"}
	})
	var both sync.WaitGroup
	both.Go(func() { _ = w.tr.Run(t.Context(), alone) })
	<-begun
	if err := w.tr.Run(t.Context(), plans...); err != nil {
		t.Error(err)
	}
	both.Wait()
	for _, r := range w.journal.take() {
		if fails := r.Target.Registry == "t2"; fails != (r.Err != nil) {
			t.Errorf("%s: %v", r.Target, r.Err)
		}
	}
	w.verify(plans)
	if n := asked.Load(); n != 1 {
		t.Errorf("the source was asked %d times, want once", n)
	}
}
