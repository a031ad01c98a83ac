package transfer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
)

// A stranger is another client that adds to one fallback index, as crane does: it
// reads, appends and writes, and knows no If-Match.
type stranger struct {
	w    *world
	repo string
	tag  string
	n    int

	mu      sync.Mutex
	read    []string // what the index listed when we last read it
	reads   int
	writes  int
	meddle  func(class registrytest.Class) // called before each of our requests for the tag
	entries []string                       // its own, in order
}

// newStranger watches our requests for the fallback tag of subject at t0.
func newStranger(w *world, repo string, subject v1.Hash) *stranger {
	s := &stranger{w: w, repo: repo, tag: providers.FallbackTag(subject)}
	w.targets[0].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if !strings.HasSuffix(r.URL.Path, "/"+s.tag) {
			return nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		switch class {
		case registrytest.ManifestGet:
			s.reads++
		case registrytest.ManifestPut:
			s.writes++
		default:
			return nil
		}
		if s.meddle != nil {
			s.meddle(class)
		}
		if class == registrytest.ManifestGet {
			s.read = s.listed()
		}
		return nil
	})
	return s
}

// now returns the entries that the index has.
func (s *stranger) now() []json.RawMessage {
	m, ok := s.w.targets[0].Resolve(s.repo, s.tag)
	if !ok {
		return nil
	}
	var doc struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(m.Raw, &doc); err != nil {
		s.w.t.Errorf("the index is broken: %v", err)
	}
	return doc.Manifests
}

// listed returns the digests in the index, in order.
func (s *stranger) listed() []string {
	var list []string
	for _, raw := range s.now() {
		var d v1.Descriptor
		if err := json.Unmarshal(raw, &d); err != nil {
			s.w.t.Error(err)
		}
		list = append(list, d.Digest.String())
	}
	return list
}

// add writes the entries with one more: those that are there now, or what it once read.
func (s *stranger) add(entries []json.RawMessage) {
	s.n++
	m := content.Artifact("application/x.theirs", nil, content.Annotate("n", fmt.Sprint(s.repo, s.n)))
	if err := s.w.targets[0].Load(s.repo, m); err != nil {
		s.w.t.Error(err)
	}
	digest := m.Digest.String()
	s.entries = append(s.entries, digest)
	entry := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":7,"annotations":{"by":"<a & b>","n":"%d"},"x-theirs":[1.50]}`, digest, s.n)
	s.put(append(slices.Clone(entries), json.RawMessage(entry)))
}

func (s *stranger) put(entries []json.RawMessage) {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = string(e)
	}
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + strings.Join(list, ",") + `],"annotations":{"index":"<theirs>"}}`)
	m := providers.Manifest{MediaType: types.OCIImageIndex, Digest: content.Hash(raw), Raw: raw}
	if err := s.w.targets[0].LoadManifest(s.repo, m, s.tag); err != nil {
		s.w.t.Error(err)
	}
}

// signed is a plan for an image with two signatures of ours.
func signed(w *world, repo string) (plans []plan.Plan, subject *content.Manifest) {
	subject = simple("image of "+repo, 300)
	content.Refer(subject, "application/x.signature", repo+" one", content.Annotate("ours", "<1>"))
	content.Refer(subject, "application/x.signature", repo+" two")
	return w.load(one(repo, "v1", subject)), subject
}

// Another client adds entries at random moments between our reads and writes. With
// If-Match nothing of either side is lost; without it ours is there, with all that
// we read last. Their entries stay what they were, and in their order.
func TestForeignWriter(t *testing.T) {
	for _, ignored := range []bool{false, true} {
		t.Run(fmt.Sprintf("If-Match ignored=%v", ignored), func(t *testing.T) {
			w := newWorld(t, 1, func(w *world) {
				w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers, q.NoIfMatch = true, ignored })
			})
			for seed := range uint64(60) {
				r := rand.New(rand.NewPCG(seed, 7))
				repo := fmt.Sprintf("app%d", seed)
				plans, subject := signed(w, repo)
				s := newStranger(w, repo, subject.Digest)
				for range r.IntN(3) {
					s.add(s.now())
				}
				left := merges - 1
				s.meddle = func(registrytest.Class) {
					if left > 0 && r.IntN(2) == 0 {
						left--
						s.add(s.now())
					}
				}
				w.mustAll(w.run(plans))
				s.holds(seed, subject, !ignored)
			}
		})
	}
}

// holds fails the test unless the index lists ours and theirs: all that they ever
// wrote, or all that we read last.
func (s *stranger) holds(seed uint64, subject *content.Manifest, all bool) {
	s.w.t.Helper()
	got, theirs := s.listed(), s.read
	for _, ours := range subject.Referrers {
		if !slices.Contains(got, ours.Digest.String()) {
			s.w.t.Errorf("seed %d: ours is lost", seed)
		}
		theirs = slices.DeleteFunc(slices.Clone(theirs), func(d string) bool { return d == ours.Digest.String() })
	}
	if all {
		theirs = s.entries
	}
	var kept []string
	for _, d := range got {
		if slices.Contains(theirs, d) {
			kept = append(kept, d)
		}
	}
	if !slices.Equal(kept, theirs) {
		s.w.t.Errorf("seed %d: of theirs there is\n%v\nwant\n%v", seed, kept, theirs)
	}
	for _, raw := range s.now() {
		if text := string(raw); strings.Contains(text, "x-theirs") && (!strings.Contains(text, `"by":"<a & b>"`) || !strings.Contains(text, `"x-theirs":[1.50]`)) {
			s.w.t.Errorf("seed %d: an entry of theirs has become %s", seed, text)
		}
	}
}

// The other client writes over ours what it had read before: ours is put again.
func TestForeignWriterOverwrites(t *testing.T) {
	w := newWorld(t, 1, func(w *world) {
		w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers, q.NoIfMatch = true, true })
	})
	plans, subject := signed(w, "app")
	s := newStranger(w, "app", subject.Digest)
	s.add(nil)
	old := s.now()
	s.meddle = func(class registrytest.Class) {
		if class == registrytest.ManifestGet && s.writes > 0 && s.writes < merges {
			s.add(old)
		}
	}
	w.mustAll(w.run(plans))
	s.holds(0, subject, false)
	if s.writes != merges {
		t.Errorf("%d writes, want %d", s.writes, merges)
	}
}

// Against one that never stops we give up, and say so.
func TestForeignWriterNeverStops(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) })
	plans, subject := signed(w, "app")
	s := newStranger(w, "app", subject.Digest)
	s.meddle = func(class registrytest.Class) {
		if class == registrytest.ManifestPut {
			s.add(s.now())
		}
	}
	err := onlyErr(t, w.run(plans))
	if providers.KindOf(err) != providers.Conflict || !strings.Contains(providers.HintOf(err), "the next pass") {
		t.Errorf("got %v, hint %q", err, providers.HintOf(err))
	}
	if s.writes != merges || !slices.Equal(s.listed(), s.entries) {
		t.Errorf("%d writes, want %d; the index lists %v, want theirs alone", s.writes, merges, s.listed())
	}
	s.meddle = nil
	w.mustAll(w.run(plans))
	s.holds(0, subject, true)
}

// A fallback index whose tag does not move stays as it is. Its image arrives all the
// same, and it is told what clients cannot find there; where they can, by the
// referrers API that the target was thought to lack, all is well.
func TestFallbackIndexThatDoesNotMove(t *testing.T) {
	for _, style := range []registrytest.Immutable{registrytest.ImmutableECR, registrytest.ImmutableACR, registrytest.ImmutableQuay, registrytest.ImmutableHarbor, registrytest.ImmutableGAR} {
		for _, api := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, referrers API %v", style, api), func(t *testing.T) {
				w := newWorld(t, 1, func(w *world) {
					w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers, q.Immutable = !api, style })
				})
				plans, subject := signed(w, "app")
				for i := range plans[0].Images[0].Referrers {
					plans[0].Images[0].Referrers[i].Fallback = true
				}
				s := newStranger(w, "app", subject.Digest)
				s.add(nil)
				results := w.run(plans)
				w.verify(plans)
				if api {
					w.mustAll(results)
				} else if err := onlyErr(t, results); providers.KindOf(err) != providers.Conflict || sideOf(err) != Target ||
					!strings.Contains(err.Error(), "find 2 referrers") || !strings.Contains(providers.HintOf(err), "sha256-") {
					t.Errorf("got %v, hint %q", err, providers.HintOf(err))
				}
				if s.writes > 2 || !slices.Equal(s.listed(), s.entries) {
					t.Errorf("%d writes; the index lists %v, want theirs alone", s.writes, s.listed())
				}
			})
		}
	}
}

// What is under the tag and cannot be added to stays as it is.
func TestFallbackTagThatIsTaken(t *testing.T) {
	size := func(s *stranger) int {
		m, _ := s.w.targets[0].Resolve(s.repo, s.tag)
		return len(m.Raw)
	}
	full := func(s *stranger) {
		s.add(nil)
		entry := string(s.now()[0])
		pad := func(n int) json.RawMessage {
			return json.RawMessage(strings.Replace(entry, "<a & b>", strings.Repeat("x", n), 1))
		}
		s.put(slices.Repeat([]json.RawMessage{pad(200)}, 8000))
		s.put(append(s.now(), pad(providers.MaxManifest-size(s)-600)))
		if n := size(s); n > providers.MaxManifest || n < providers.MaxManifest-500 {
			t.Fatalf("the index has %d bytes", n)
		}
	}
	for _, tt := range []struct {
		name string
		put  func(s *stranger)
		hint string
	}{
		{"an image", func(s *stranger) {
			if err := s.w.targets[0].Load(s.repo, simple("other", 10), s.tag); err != nil {
				t.Fatal(err)
			}
		}, "reserved for referrers"},
		{"a list of Docker's", func(s *stranger) {
			raw := []byte(`{"schemaVersion":2,"manifests":[]}`)
			m := providers.Manifest{MediaType: types.DockerManifestList, Digest: content.Hash(raw), Raw: raw}
			if err := s.w.targets[0].LoadManifest(s.repo, m, s.tag); err != nil {
				t.Fatal(err)
			}
		}, "reserved for referrers"},
		{"an index that is full", full, "delete old referrers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) })
			plans, subject := signed(w, "app")
			s := newStranger(w, "app", subject.Digest)
			tt.put(s)
			before := w.targets[0].Tags("app")[s.tag]
			err := onlyErr(t, w.run(plans))
			if providers.KindOf(err) != providers.Invalid || !strings.Contains(providers.HintOf(err), tt.hint) || sideOf(err) != Target {
				t.Errorf("got %v, hint %q", err, providers.HintOf(err))
			}
			if after := w.targets[0].Tags("app"); after[s.tag] != before || s.writes > 0 || after["v1"].Hex != "" {
				t.Errorf("the tag went from %s to %s with %d writes; v1 is %s", before, after[s.tag], s.writes, after["v1"])
			}
		})
	}
}
