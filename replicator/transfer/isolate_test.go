package transfer

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
)

// One target takes nothing any more, and its claims fill the spool: the other
// one gets everything all the same; later the slow one does too. (The layers are
// larger than what the sockets of a connection buffer.)
func TestSlowTargetHoldsNobodyUp(t *testing.T) {
	w := newWorld(t, 2, func(w *world) {
		w.opts.SpoolBytes, w.opts.Patience = 14<<20, 20*time.Millisecond
	})
	var corpus content.Corpus
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		corpus = append(corpus, content.Entry{Repo: name, Manifest: simple(name, 10<<20), Tags: []string{"v1"}})
	}
	plans := w.load(corpus)
	half := len(plans) / 2
	gate := make(chan struct{})
	w.targets[0].Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
		if class == registrytest.UploadPut {
			<-gate
		}
		return nil
	})
	slow, fast := make(chan error, 1), make(chan error, 1)
	go func() { slow <- w.tr.Run(t.Context(), plans[:half]...) }()
	for w.tr.spool.Stats().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	go func() { fast <- w.tr.Run(t.Context(), plans[half:]...) }()
	if err := <-fast; err != nil {
		t.Fatal(err)
	}
	w.mustAll(w.journal.take())
	w.verify(plans[half:])
	close(gate)
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	results := w.journal.take()
	w.mustAll(results)
	w.verify(plans)
	if w.figures(results).BytesRead2 == 0 {
		t.Error("the slow target lost its claims, and nothing was counted as read again")
	}
}

// The spool's folder is gone: blobs go past it.
func TestSpoolDiskFails(t *testing.T) {
	w := newWorld(t, 1, nil)
	plans := w.load(one("app", "v1", simple("app", 600<<10, 10<<10)))
	if err := os.RemoveAll(w.opts.SpoolDir); err != nil {
		t.Fatal(err)
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
}

// A mount that was answered 201 and did nothing: found out when the manifest is
// refused, and made good in the same run.
func TestMountLies(t *testing.T) {
	w := newWorld(t, 1, func(w *world) {
		w.opts.Width = 1
		w.targets[0].Set(func(q *registrytest.Quirks) { q.MountLies = true })
	})
	shared := content.Layer("shared", 300<<10)
	plans := w.load(content.Corpus{
		{Repo: "a", Manifest: content.Image("a", []content.Blob{shared}), Tags: []string{"v1"}},
		{Repo: "b", Manifest: content.Image("b", []content.Blob{shared}), Tags: []string{"v1"}}})
	w.mustAll(w.run(plans))
	w.verify(plans)
	w.noReadTwice()
}

// The same for many images of one repository that find it out at the same time.
func TestMountLiesToMany(t *testing.T) {
	w := newWorld(t, 1, func(w *world) {
		w.targets[0].Set(func(q *registrytest.Quirks) { q.MountLies, q.Latency = true, time.Millisecond })
	})
	shared := content.Layer("shared", 300<<10)
	corpus := content.Corpus{{Repo: "a", Manifest: content.Image("a", []content.Blob{shared}), Tags: []string{"v1"}}}
	for i := range 12 {
		name := fmt.Sprintf("b%d", i)
		corpus = append(corpus, content.Entry{Repo: "b", Manifest: content.Image(name, []content.Blob{shared}), Tags: []string{name}})
	}
	plans := w.load(corpus)
	for _, p := range plans[2:] {
		plans[1].Images = append(plans[1].Images, p.Images...)
	}
	w.mustAll(w.run(plans[:1]))
	w.mustAll(w.run(plans[1:2]))
	w.verify(plans)
	w.noReadTwice()
}

// State believes a blob to be there since a mount of an earlier process, which was
// a lie; so is the next one.
func TestMountLiesAgainAfterARestart(t *testing.T) {
	w := newWorld(t, 1, func(w *world) {
		w.targets[0].Set(func(q *registrytest.Quirks) { q.MountLies = true })
	})
	shared := content.Layer("shared", 300<<10)
	plans := w.load(content.Corpus{
		{Repo: "a", Manifest: content.Image("a", []content.Blob{shared}), Tags: []string{"v1"}},
		{Repo: "b", Manifest: content.Image("b", []content.Blob{shared}), Tags: []string{"v1"}}})
	w.mustAll(w.run(plans[:1]))
	for i := range plans[1].Images[0].Root.Blobs {
		plans[1].Images[0].Root.Blobs[i].Have = plan.Here
	}
	w.mustAll(w.run(plans[1:]))
	w.verify(plans)
}

// An upload that broke off at its session's second piece goes on from there
// after a restart, without a second read.
func TestUploadGoesOnAfterARestart(t *testing.T) {
	const size = 80 << 20 // pieces are 64 MiB
	w := newWorld(t, 1, func(w *world) { w.caps["t0"] = providers.Caps{Chunks: providers.Yes} })
	plans := w.load(one("app", "v1", simple("app", size)))
	var mu sync.Mutex
	down := false
	w.targets[0].Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		patches := w.targets[0].Counts().Of(registrytest.UploadPatch)
		if down = down || class == registrytest.UploadPatch && patches > 1; down {
			return &registrytest.Fault{Status: 503, Code: "UNAVAILABLE", Message: "down"}
		}
		return nil
	})
	err := onlyErr(t, w.run(plans))
	if providers.KindOf(err) != providers.Unavailable || sideOf(err) != Target {
		t.Fatalf("got %v", err)
	}
	open, err := w.store.Uploads(t.Context(), w.targets[0].Host())
	if err != nil || len(open) != 1 || open[0].Committed != 64<<20 {
		t.Fatalf("state has %d open uploads, %v", len(open), err)
	}
	w.targets[0].Before(func(*http.Request, registrytest.Class) *registrytest.Fault { return nil })
	before := w.targets[0].Counts()
	w.start()
	w.mustAll(w.run(plans))
	w.verify(plans)
	if n := w.targets[0].Counts().Sub(before).BytesIn; n > size-64<<20+1<<20 {
		t.Errorf("%d bytes were sent after the restart", n)
	}
	if n := w.source.Counts().BytesOut; n > size+1<<20 {
		t.Errorf("%d bytes left the source", n)
	}
	if open, err := w.store.Uploads(t.Context(), w.targets[0].Host()); err != nil || len(open) != 0 {
		t.Errorf("%d uploads are still open in state, %v", len(open), err)
	}
}

// Bytes come from the cheapest reader, on equal price from the target's own
// repositories before the source.
func TestCheapestReader(t *testing.T) {
	for _, tt := range []struct {
		name           string
		source, target float64
		want           []string
	}{
		{"equal", 0, 0, []string{"t0/sibling", "src/app"}},
		{"source cheaper", 0.01, 0.12, []string{"src/app", "t0/sibling"}},
		{"target cheaper", 0.12, 0.01, []string{"t0/sibling", "src/app"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1, nil)
			to, err := w.tr.target(t.Context(), plan.Place{Registry: "t0", Repo: "app"})
			if err != nil {
				t.Fatal(err)
			}
			wk := &work{t: w.tr, to: to, from: w.regs["src"], img: &plan.Image{From: plan.Place{Registry: "src", Repo: "app"}},
				plan: &plan.Plan{Target: plan.Place{Registry: "t0", Repo: "app"}, Prices: map[string]float64{"src": tt.source, "t0": tt.target}}}
			var got []string
			for _, r := range wk.origin(plan.Blob{From: []string{"sibling"}}).readers {
				got = append(got, r.at.String())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A host that mounts nothing is read from its siblings, so that a blob which the
// spool no longer has does not leave the source again.
func TestSiblingIsReadBeforeTheSource(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoMount = true }) })
	m := simple("app", 300<<10)
	plans := w.load(one("app", "v1", m))
	if err := w.targets[0].Load("sibling", m, "v1"); err != nil {
		t.Fatal(err)
	}
	for i := range plans[0].Images[0].Root.Blobs {
		plans[0].Images[0].Root.Blobs[i].From = []string{"sibling"}
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
	if n := w.source.Counts().BytesOut; n != 0 {
		t.Errorf("%d bytes left the source", n)
	}
	refused, err := w.store.Refusals(t.Context(), w.targets[0].Host(), time.Now())
	if err != nil || len(refused) != 1 || refused[0].From != "sibling" {
		t.Errorf("refusals %v, %v", refused, err)
	}
}

func TestTrips(t *testing.T) {
	now := time.Unix(1000, 0)
	denied := onSide(Target, &providers.Error{Kind: providers.Denied, Op: "put", Ref: "r", Err: errors.New("no")})
	other := onSide(Target, &providers.Error{Kind: providers.Unavailable, Op: "put", Ref: "r", Err: errors.New("down")})
	source := onSide(Source, &providers.Error{Kind: providers.Denied, Op: "get", Ref: "r", Err: errors.New("no")})
	for _, tt := range []struct {
		name string
		note string // repository and result, in order
		want string // repositories that are left alone
	}{
		{"two are not enough", "a-D a-D", ""},
		{"three", "a-D a-D a-D", "a"},
		{"a success between", "a-D a-D a-ok a-D", ""},
		{"other failures do not count", "a-U a-U a-U a-S a-S a-S", ""},
		{"three repositories", "a-D a-D a-D b-D b-D b-D c-D c-D c-D", "a b c d"},
		{"another repository works", "a-D a-D a-D b-D b-D b-D d-ok c-D c-D c-D", "a b c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trips := newTrips("host", func() time.Time { return now })
			for _, n := range strings.Fields(tt.note) {
				repo, result, _ := strings.Cut(n, "-")
				trips.note(repo, map[string]error{"D": denied, "U": other, "S": source}[result])
			}
			var got []string
			for _, repo := range []string{"a", "b", "c", "d"} {
				if err := trips.check(repo); err != nil {
					got = append(got, repo)
					if providers.KindOf(err) != providers.Denied || sideOf(err) != Target {
						t.Errorf("%s: %v", repo, err)
					}
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("left alone: %v, want %s", got, tt.want)
			}
			trips.now = func() time.Time { return now.Add(2 * tripFor) }
			if err := trips.check("a"); err != nil {
				t.Errorf("a minute later: %v", err)
			}
		})
	}
}

func TestLedger(t *testing.T) {
	l, d := newLedger(), v1.Hash{Algorithm: "sha256", Hex: "00"}
	for i, tt := range []struct{ offset, n, again int64 }{{0, 10, 0}, {10, 10, 0}, {5, 10, 10}, {15, 10, 5}, {100, 5, 0}, {0, 105, 105}} {
		if got := l.note(d, tt.offset, tt.n); got != tt.again {
			t.Errorf("%d: %d bytes read again, want %d", i, got, tt.again)
		}
	}
}

// A mount that mends an image, whose manifest is there and not put again, is proved.
func TestMountLiesToAMend(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.MountLies = true }) })
	m := simple("app", 5000)
	plans := w.load(one("app", "v1", m))
	for _, repo := range []string{"app", "lib"} {
		if err := w.targets[0].Load(repo, m, "v1"); err != nil {
			t.Fatal(err)
		}
	}
	lost := m.Blobs[len(m.Blobs)-1].Digest
	if err := w.targets[0].DeleteBlob("app", lost); err != nil {
		t.Fatal(err)
	}
	img := &plans[0].Images[0]
	img.Tags[0].Why = plan.Mend
	for i := range img.Root.Blobs {
		b := &img.Root.Blobs[i]
		b.Have = plan.Here
		if b.Digest == lost {
			b.Have, b.From = plan.Mount, []string{"lib"}
		}
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
}
