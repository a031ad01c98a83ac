package transfer

import (
	"net/http"
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

// A forgetting target takes an index without its children, and drops an hour later
// what was put by its digest alone.
type forgetting struct {
	*registrytest.Server
	mu   sync.Mutex
	now  time.Time
	puts map[string]time.Time
	n    map[string]int
}

func forget(t *testing.T) *forgetting {
	f := &forgetting{now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), puts: map[string]time.Time{}, n: map[string]int{}}
	f.Server = registrytest.New(t, registrytest.Options{Cloud: registrytest.Cloud{Stored: f.stored}})
	f.Set(func(q *registrytest.Quirks) { q.SparseIndex = true })
	return f
}

func (f *forgetting) stored(p registrytest.Putting) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.puts[p.Digest], f.n[p.Digest] = f.now, f.n[p.Digest]+1
}

func (f *forgetting) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// later lets time pass, and drops what has none left.
func (f *forgetting) later(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	f.Expire("app", func(h v1.Hash) bool { return f.now.Sub(f.puts[h.String()]) > time.Hour })
}

// whenPut lets d pass before the first PUT of a manifest by its digest or a tag.
func (f *forgetting) whenPut(d map[string]time.Duration) {
	f.Before(func(r *http.Request, c registrytest.Class) *registrytest.Fault {
		if c == registrytest.ManifestPut {
			ref := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
			f.later(d[ref])
			delete(d, ref) // requests come one at a time
		}
		return nil
	})
}

func newForgetful(t *testing.T) (*world, *forgetting) {
	f := forget(t)
	return newWorld(t, 0, func(w *world) {
		w.targets = append(w.targets, f.Server)
		w.caps["t0"] = providers.Caps{UntaggedLife: time.Hour, Referrers: providers.Yes}
		w.opts.Now, w.opts.BlobWidth = f.time, 1
	}), f
}

func (w *world) atOnce(c content.Corpus) []plan.Plan {
	plans := w.load(c)
	for i := range plans {
		plans[i].At = w.opts.Now()
	}
	return plans
}

// What was put long before its index is put again just before that, also below an
// index in an index, and nothing that the tag holds already.
func TestChildrenThatEnd(t *testing.T) {
	w, f := newForgetful(t)
	one, two, three := content.Image("one", nil), content.Image("two", nil), content.Image("three", nil)
	inner := content.Index([]*content.Manifest{one, two})
	plans := w.atOnce(content.Corpus{{Repo: "app", Manifest: content.Index([]*content.Manifest{inner, three}), Tags: []string{"v1", "v2"}}})
	f.whenPut(map[string]time.Duration{two.Digest.String(): 50 * time.Minute, three.Digest.String(): 70 * time.Minute, "v2": 3 * time.Hour})
	w.mustAll(w.run(plans))
	w.verify(plans)
	for m, want := range map[*content.Manifest]int{one: 3, two: 2, inner: 2, three: 1} {
		if n := f.n[m.Digest.String()]; n != want {
			t.Errorf("%s was put %d times, want %d", m.Digest, n, want)
		}
	}
}

// What a plan believes to be there may end before the index is put: it is put
// again, and what it names is brought if that went, too.
func TestBelievedChildrenThatEnd(t *testing.T) {
	for _, secured := range []bool{false, true} {
		w, f := newForgetful(t)
		child := content.Image("child", []content.Blob{content.Layer("l", 1000)})
		index := content.Index([]*content.Manifest{child})
		plans := w.atOnce(content.Corpus{{Repo: "app", Manifest: index, Tags: []string{"v1"}}})
		img := &plans[0].Images[0]
		img.Root.Children[0].Here, img.Secured = true, secured
		if secured {
			img.Root.Here = true
			if err := f.Load("app", index, "v0"); err != nil {
				t.Fatal(err)
			}
		}
		w.mustAll(w.run(plans))
		w.verify(plans)
		if n := f.n[child.Digest.String()]; (n == 0) != secured {
			t.Errorf("secured %v: the child was put %d times", secured, n)
		}
	}
}
