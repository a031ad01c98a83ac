package transfer

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
)

// A fallback index at the target lists what is not there any more, and the target
// takes no index that does: what the source still has is brought, the rest is left
// out, and what is new is added.
func TestFallbackIndexListsWhatIsGone(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) })
	subject := simple("app", 5000)
	ours := content.Refer(subject, "application/x.sbom", "ours")
	pruned := content.Refer(subject, "application/x.sbom", "pruned at the target")
	gone := content.Refer(subject, "application/x.sig", "gone everywhere")
	tag, index := content.Fallback(subject, pruned, gone)
	subject.Referrers = []*content.Manifest{pruned}
	if err := w.source.Load("app", subject); err != nil {
		t.Fatal(err)
	}
	subject.Referrers = []*content.Manifest{ours}
	plans := w.load(one("app", "v1", subject))
	if err := w.targets[0].LoadManifest("app", index.Manifest, tag); err != nil {
		t.Fatal(err)
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
	if err := w.targets[0].Verify("app", tag); err != nil {
		t.Error(err)
	}
	m, _ := w.targets[0].Resolve("app", tag)
	for r, want := range map[*content.Manifest]int{ours: 1, pruned: 1, gone: 0} {
		if n := strings.Count(string(m.Raw), r.Digest.String()); n != want {
			t.Errorf("%s is listed %d times, want %d", r.Digest, n, want)
		}
	}
	if n := w.targets[0].Counts().Of(registrytest.ManifestPut); n > 6 {
		t.Errorf("%d manifests were put", n)
	}
}

// State says that a referrer is at the target, and it is not: it is brought before
// the index that is to list it.
func TestListedReferrerIsBrought(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) })
	subject := simple("app", 5000)
	sbom := content.Refer(subject, "application/x.sbom", "sbom")
	plans := w.load(one("app", "v1", subject))
	n := &plans[0].Images[0].Referrers[0]
	n.Here, n.Fallback = true, true
	w.mustAll(w.run(plans))
	w.verify(plans)
	if _, ok := w.targets[0].Resolve("app", sbom.Digest.String()); !ok {
		t.Error("the referrer is not there")
	}
}

// A source's referrers API that lists what names no subject is not believed: an
// index of such at a target where tags do not move could not be put right.
func TestStrangerIsNotListed(t *testing.T) {
	for _, here := range []bool{true, false} {
		t.Run(fmt.Sprintf("here %t", here), func(t *testing.T) {
			w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) })
			subject, stranger := simple("app", 5000), simple("stranger", 100)
			plans := w.load(append(one("app", "v1", subject), content.Entry{Repo: "app", Manifest: stranger, Tags: []string{"x"}}))
			if here {
				w.mustAll(w.run(plans[1:]))
			}
			n := nodeOf(stranger)
			n.Subject, n.Fallback, n.Here = subject.Digest, here, here
			plans[0].Images[0].Referrers = []plan.Node{n}
			w.mustAll(w.run(plans[:1]))
			if m, ok := w.targets[0].Resolve("app", providers.FallbackTag(subject.Digest)); ok {
				t.Errorf("it is listed: %s", m.Raw)
			}
		})
	}
}

// One PUT of a referrer is answered 201, without OCI-Subject, and stored nothing: the
// target is not taken for one without a referrers API by that. A fallback index of
// what it lists by itself could not be added to where tags do not move.
func TestOneOddAnswerTeachesNothing(t *testing.T) {
	for nth, name := range []string{"the first", "the second", "the third"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, func(w *world) {
				w.targets[0].Set(func(q *registrytest.Quirks) { q.Immutable = registrytest.ImmutableGAR })
			})
			var corpus content.Corpus
			odd := map[string]bool{}
			for _, name := range []string{"a", "b"} {
				subject := simple(name, 500)
				for _, kind := range []string{"sbom", "sig", "att"} {
					content.Refer(subject, "application/x."+kind, name)
				}
				corpus = append(corpus, content.Entry{Repo: "app", Manifest: subject, Tags: []string{name}})
				odd["/v2/app/manifests/"+subject.Referrers[nth].Digest.String()] = name == "a"
			}
			w.targets[0].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
				if class != registrytest.ManifestPut || !odd[r.URL.Path] {
					return nil
				}
				odd[r.URL.Path] = false
				return &registrytest.Fault{Pretend: true}
			})
			plans := w.load(corpus)
			for _, p := range plans {
				w.mustAll(w.run([]plan.Plan{p}))
			}
			w.verify(plans)
			for _, e := range corpus {
				for _, r := range e.Manifest.Referrers {
					if _, ok := w.targets[0].Resolve("app", r.Digest.String()); !ok {
						t.Errorf("%s is not there", r.Digest)
					}
				}
			}
			if _, made := w.targets[0].Tags("app")[providers.FallbackTag(corpus[1].Manifest.Digest)]; made {
				t.Error("a fallback index is made of what the target lists")
			}
			learned, err := w.store.Learned(t.Context(), w.targets[0].Host(), time.Time{})
			if lists := learned[providers.CapReferrers]; err != nil || !lists {
				t.Errorf("learned that the target lists referrers: %v, %v", lists, err)
			}
		})
	}
}

// A target that is known to list referrers, and takes an index whatever it names,
// says to have stored one and does not. That is seen, and nothing names what is not
// there; the next run brings it.
func TestReferrerThatIsNeverStored(t *testing.T) {
	for _, api := range []providers.Tri{providers.Yes, providers.Maybe} {
		w := newWorld(t, 1, func(w *world) {
			w.targets[0].Set(func(q *registrytest.Quirks) { q.SparseIndex = true })
			w.caps[nameOf(0)] = providers.Caps{Referrers: api}
		})
		subject := simple("app", 500)
		sbom := content.Refer(subject, "application/x.sbom", "sbom")
		plans := w.load(one("app", "v1", subject))
		lying := true
		w.targets[0].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
			if class == registrytest.ManifestPut && lying && strings.HasSuffix(r.URL.Path, sbom.Digest.String()) {
				return &registrytest.Fault{Pretend: true}
			}
			return nil
		})
		err := onlyErr(t, w.run(plans))
		if sideOf(err) != Target || !strings.Contains(err.Error(), "is not there") || providers.HintOf(err) == "" {
			t.Errorf("got %v, hint %q", err, providers.HintOf(err))
		}
		if n := w.targets[0].Counts().Of(registrytest.ManifestPut); n != lies || len(w.targets[0].Tags("app")) > 0 {
			t.Errorf("%d manifests were put, and these tags: %v", n, w.targets[0].Tags("app"))
		}
		has, err := w.store.Has(t.Context(), state.Repo{Host: w.targets[0].Host(), Name: "app"}, []v1.Hash{sbom.Digest})
		if err != nil || has[sbom.Digest] {
			t.Errorf("state believes in what is not there: %v", err)
		}
		lying = false
		w.mustAll(w.run(plans))
		w.verify(plans)
		if _, ok := w.targets[0].Resolve("app", sbom.Digest.String()); !ok {
			t.Error("the referrer is not brought by the next run")
		}
	}
}
