package replicator_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// One test for each of the invariants (design, "What must always hold"), that
// fails when it is broken. TestSchedules holds them all together, under faults.

// everyKind loads what registries hold into two repositories that share layers.
func (w *world) everyKind() (app, lib *content.Manifest) {
	w.t.Helper()
	base := content.Layer("base", 300_000)
	a := content.Image("a", []content.Blob{base, content.Layer("la", 1000)})
	b := content.Image("b", []content.Blob{base, content.Layer("lb", 1000)}, content.Docker())
	nested := content.Index([]*content.Manifest{b})
	app = content.Index([]*content.Manifest{a, nested})
	content.Refer(content.Refer(app, "application/vnd.example.sbom", "sbom"), "application/vnd.example.signature", "of the sbom")
	w.load("app", app, "v1", "latest")
	tag, sig := content.Cosign(app, "sig")
	w.load("app", sig, tag)
	w.load("app", content.Helm("chart"), "chart")
	lib = content.Image("lib", []content.Blob{base})
	w.load("lib", lib, "v1")
	return app, lib
}

// same fails the test unless each target is what the source wants it to be.
func (w *world) same() {
	w.t.Helper()
	for _, name := range w.targets {
		if err := w.converged(name, func(string, string) bool { return false }); err != nil {
			w.t.Error(err)
		}
	}
}

// When a tag is put, everything below it is there, and all that refers to it; the
// target would take it without.
func TestI1TagAfterContent(t *testing.T) {
	w := newWorld(t, "one", "two")
	w.set("two", func(q *registrytest.Quirks) { q.NoReferrers = true })
	for _, name := range w.targets {
		w.set(name, func(q *registrytest.Quirks) { q.SparseIndex = true })
	}
	w.everyKind()
	tags := 0
	var mu sync.Mutex
	w.hook.set(func(name string, r *http.Request, class registrytest.Class) *registrytest.Fault {
		repo, ref, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
		if !ok || class != registrytest.ManifestPut || strings.HasPrefix(ref, "sha256") {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		tags++
		m := modelOf(w.src(), repo, func(tag string) bool { return tag != ref })
		delete(m.manifests, m.tags[ref]) // it is on its way
		for _, err := range m.missing(w.servers[name], name, repo) {
			t.Errorf("%s:%s is put although %v", repo, ref, err)
		}
		return nil
	})
	w.start().fine()
	w.same()
	if tags != 2*4 {
		t.Errorf("%d tags were put, want 8", tags)
	}
}

// "The index exists" does not prove that its children do.
func TestI1IndexWithoutChildren(t *testing.T) {
	w := newWorld(t, "one")
	app, _ := w.everyKind()
	w.must(w.servers["one"].LoadManifest("app", app.Manifest, "v1", "latest"))
	w.start().fine()
	w.same()
}

// Bytes and media types arrive as they were, and what is not what it says it is
// does not arrive.
func TestI2BytesAsTheyWere(t *testing.T) {
	w := newWorld(t, "one", "two")
	w.everyKind()
	p := w.start()
	p.fine()
	w.same()
	for _, name := range w.targets {
		w.faithful(name)
	}

	bad := content.Image("bad", []content.Blob{content.Layer("bad", 200_000)})
	w.load("bad", bad, "v1")
	w.must(w.src().CorruptBlob(bad.Blobs[1].Digest, 150_000))
	reports, _, err := p.pass(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if failed := len(r.Failures) > 0; failed != strings.HasSuffix(r.Key, "/bad") {
			t.Errorf("%s: %+v", r.Key, r.Failures)
		}
	}
	for _, name := range w.targets {
		if w.servers[name].Has("bad", bad.Blobs[1].Digest) || len(w.servers[name].Tags("bad")) > 0 {
			t.Errorf("%s has what is damaged", name)
		}
	}
}

// Nothing is deleted at a target, whatever the source says or does not say.
func TestI3NothingIsDeleted(t *testing.T) {
	for name, turn := range map[string]func(w *world){
		"the source is empty": func(w *world) {
			for _, repo := range w.src().Repositories() {
				for tag := range w.src().Tags(repo) {
					w.must(w.src().Remove(repo, tag))
				}
			}
		},
		"the source fails":  func(w *world) { w.src().Next(1000, registrytest.Tags, registrytest.Fault{Status: 500}) },
		"the source is off": func(w *world) { w.src().Close() },
		"half a list": func(w *world) {
			w.set("src", func(q *registrytest.Quirks) { q.PageMax = 1 })
			w.src().Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
				if class == registrytest.Tags && r.URL.Query().Get("last") != "" {
					return &registrytest.Fault{Status: 500}
				}
				return nil
			})
		},
		"state is lost": func(w *world) { w.dir = w.t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "one")
			w.everyKind()
			w.must(w.servers["one"].Load("app", content.Image("theirs", nil), "theirs"))
			p := w.start()
			p.fine()
			p.end()
			before := shoot(w.servers["one"])
			turn(w)
			_, _, _ = w.start().pass(context.Background()) // it may fail, and does no harm
			w.kept("one", before)
			w.complete("one", before)
			if got := len(w.servers["one"].Tags("app")); got != 5 {
				t.Errorf("%d tags are left, want 5", got)
			}
		})
	}
}

// State is a memory: losing it costs questions, and nothing is sent or read again;
// what it has wrong is found out in the same run.
func TestI4StateIsAMemory(t *testing.T) {
	t.Run("lost", func(t *testing.T) {
		w := newWorld(t, "one")
		w.everyKind()
		p := w.start()
		p.fine()
		p.end()
		w.dir = t.TempDir()
		n := w.start().fine()
		w.same()
		if n["one"].Writes() > 0 || n["src"].BytesOut > 0 {
			t.Errorf("what is there was brought again\n%s\n%s", n["one"], n["src"])
		}
	})
	t.Run("wrong", func(t *testing.T) {
		w := newWorld(t, "one")
		_, lib := w.everyKind()
		p := w.start()
		p.fine()
		one := w.servers["one"]
		w.must(one.Remove("lib", lib.Digest.String())) // with its tag
		for _, b := range lib.Blobs {
			w.must(one.DeleteBlob("lib", b.Digest))
		}
		p.fine()
		w.same()
	})
}

// A broken target, a broken repository and a broken tag stop nothing else, and
// each failure says where, what, and what to do next.
func TestI5OneFailureStopsNothingElse(t *testing.T) {
	w := newWorld(t, "one", "two", "three")
	app, _ := w.everyKind()
	bad := content.Image("bad", []content.Blob{content.Layer("bad", 5000)})
	w.load("app", bad, "bad")
	w.must(w.src().DeleteBlob("app", bad.Blobs[1].Digest))
	w.set("two", func(q *registrytest.Quirks) { q.ReadOnly = true })
	w.servers["three"].Close()
	reports, _, err := w.start().pass(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, r := range reports {
		for _, f := range r.Failures {
			want[f.Target.Registry] = true
			if f.Target.Registry == "one" && f.Tag != "bad" {
				t.Errorf("target one: %+v", f)
			}
			if !strings.Contains(f.Reason, "source: ") && !strings.Contains(f.Reason, "target: ") || !strings.Contains(f.Reason, "127.0.0.1:") || f.Hint == "" {
				t.Errorf("it does not say where, what and what next: %q, hint %q", f.Reason, f.Hint)
			}
		}
	}
	if len(want) != 3 {
		t.Errorf("failures of %v, want all three", want)
	}
	if got := w.servers["one"].Tags("app"); got["v1"] != app.Digest || len(got) != 4 {
		t.Errorf("target one has %v", got)
	}
}

// One tag that cannot be moved fails alone: another tag of its image is put, and
// told as put.
func TestI5OneTagCannotBeMoved(t *testing.T) {
	w := newWorld(t, "one")
	w.set("one", func(q *registrytest.Quirks) { q.Immutable = registrytest.ImmutableQuay })
	m := content.Image("ours", []content.Blob{content.Layer("l", 100)})
	w.load("app", m, "a", "b", "c")
	w.must(w.servers["one"].Load("app", content.Image("theirs", nil), "b"))
	reports, _, err := w.start().pass(context.Background())
	if err != nil || len(reports) != 1 || len(reports[0].Failures) != 1 || reports[0].Failures[0].Tag != "b" {
		t.Errorf("%v, %+v", err, reports)
	}
	for _, tag := range []string{"a", "c"} {
		if got := w.servers["one"].Tags("app")[tag]; got != m.Digest {
			t.Errorf("%s is %s", tag, got)
		}
	}
}

// An unchanged pass writes nothing and reads no manifest, in a process that goes
// on and in a new one; nor does one that looks again at all it knows.
func TestI6UnchangedPass(t *testing.T) {
	for _, api := range []bool{true, false} {
		t.Run(fmt.Sprintf("referrers API %v", api), func(t *testing.T) {
			w := newWorld(t, "one", "two")
			for name := range w.servers {
				w.set(name, func(q *registrytest.Quirks) { q.NoReferrers = !api })
			}
			app, _ := w.everyKind()
			if !api {
				tag, list := content.Fallback(app, app.Referrers...)
				w.must(w.src().LoadManifest("app", list.Manifest, tag))
			}
			p := w.start()
			p.fine()
			w.same()
			readsNothing(t, p.fine())
			p.end()
			p = w.start()
			readsNothing(t, p.fine())
			w.skew += 25 * time.Hour
			readsNothing(t, p.fine())
		})
	}
}

// Credentials go to their own registry and its token service, whatever answers
// say, and into no error and no log; the hook of every world watches the wire.
func TestI7Credentials(t *testing.T) {
	for _, mode := range []registrytest.Mode{registrytest.Basic, registrytest.Bearer} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t, "one", "two")
			for name := range w.servers {
				w.set(name, func(q *registrytest.Quirks) {
					q.Mode, q.Users = mode, map[string]string{name: w.secrets[name]}
					q.Redirect, q.Location = true, registrytest.OnStorage
				})
			}
			w.everyKind()
			p := w.start()
			p.fine()
			w.same()
			p.end()
			for name := range w.servers { // now everything is refused
				w.set(name, func(q *registrytest.Quirks) { q.Users = map[string]string{name: "another"} })
			}
			reports, problems, err := w.start().pass(context.Background())
			w.secretive(fmt.Sprint(err), fmt.Sprintf("%+v %+v", reports, problems))
		})
	}
	t.Run("foreign token service", func(t *testing.T) {
		w := newWorld(t, "one")
		w.everyKind()
		w.client = func(_ string, o *oci.Options) { o.TokenRealm = "" }
		w.set("one", func(q *registrytest.Quirks) {
			q.Mode, q.Users = registrytest.Bearer, map[string]string{"one": w.secrets["one"]}
			q.Realm = strings.Replace(w.src().TokenURL(), "127.0.0.1", "127.0.0.2", 1)
		})
		reports, _, err := w.start().pass(context.Background())
		if err != nil || len(reports) == 0 || reports[0].OK() {
			t.Errorf("a token service on another private address was asked: %v", err)
		}
	})
}

// A layer leaves the source once: for two targets, many repositories, faults of
// the targets, and passes that fail.
func TestI8LayersLeaveOnce(t *testing.T) {
	w := newWorld(t, "one", "two")
	shape := w.corpus(content.Shared(7, 0.01))
	w.set("one", func(q *registrytest.Quirks) { q.NoMount = true })
	w.set("two", func(q *registrytest.Quirks) {
		q.Faults = []registrytest.Rule{
			{Classes: []registrytest.Class{registrytest.UploadPut}, Rate: 0.3, Within: 100_000, Fault: registrytest.Fault{Break: registrytest.ResetUpload}},
			{Classes: []registrytest.Class{registrytest.UploadPost, registrytest.Mount}, Rate: 0.2, Fault: registrytest.Unavailable("")}}
	})
	p := w.start()
	if _, _, err := p.pass(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.set("two", func(q *registrytest.Quirks) { q.Faults = nil })
	p.fine()
	w.same()
	n := w.src().Counts()
	for digest, d := range n.Digests {
		if d.Reads > 1 {
			t.Errorf("%s left the source %d times", digest, d.Reads)
		}
	}
	if n.BytesOut != shape.UniqueBytes {
		t.Errorf("%d bytes left the source, want %d", n.BytesOut, shape.UniqueBytes)
	}
}

// What was asked for when a target refused to take it is there for another
// repository: the source gives its bytes slowly, and is not asked again.
func TestI8RefusedUpload(t *testing.T) {
	w := newWorld(t, "one")
	base := content.Layer("base", 60)
	w.load("a", content.Image("a", []content.Blob{base}), "v1")
	w.set("src", func(q *registrytest.Quirks) {
		q.Faults = []registrytest.Rule{{Classes: []registrytest.Class{registrytest.BlobGet}, Repo: "a", Rate: 1,
			Fault: registrytest.Fault{Break: registrytest.Drip, For: 2 * time.Millisecond}}}
	})
	w.set("one", func(q *registrytest.Quirks) {
		q.Faults = []registrytest.Rule{{Classes: []registrytest.Class{registrytest.UploadPost}, Repo: "a", Rate: 1,
			Fault: registrytest.Fault{Status: 403, Code: "DENIED"}}}
	})
	p := w.start()
	reports, _, err := p.pass(context.Background())
	if err != nil || len(reports) != 1 || reports[0].OK() {
		t.Fatalf("%v, %+v", err, reports)
	}
	w.load("b", content.Image("b", []content.Blob{base}), "v1")
	if _, _, err := p.pass(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := w.src().Counts().Digests[base.Digest.String()].Reads; n != 1 || !w.servers["one"].Has("b", base.Digest) {
		t.Errorf("the layer left the source %d times", n)
	}
}

// Memory and disk are bounded: the spool keeps to its bytes while more than that
// goes through it, and no goroutine is left. TestMemory holds the memory.
func TestI10Bounds(t *testing.T) {
	w := newWorld(t, "one", "two")
	const room = 2 << 20
	w.tune = withSpool(room)
	for i := range 8 {
		w.load("app", content.Image(fmt.Sprint(i), []content.Blob{content.Layer(fmt.Sprint(i), 900_000)}), fmt.Sprint(i))
	}
	var most int64
	var mu sync.Mutex
	w.hook.set(func(string, *http.Request, registrytest.Class) *registrytest.Fault {
		n := sizeOf(filepath.Join(w.dir, "spool"))
		mu.Lock()
		defer mu.Unlock()
		most = max(most, n)
		return nil
	})
	p := w.start()
	p.fine()
	w.same()
	p.end()
	if most > room || most == 0 {
		t.Errorf("the spool had up to %d bytes, want at most %d", most, room)
	}
	if left := leftBehind(); left != "" {
		t.Errorf("goroutines are left behind:\n%s", left)
	}
}

func sizeOf(dir string) int64 {
	var n int64
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if info, err := f.Info(); err == nil && f.Type().IsRegular() {
			n += info.Size()
		}
	}
	return n
}
