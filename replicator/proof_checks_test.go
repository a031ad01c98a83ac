package replicator_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// A shot is what a target held at one moment.
type shot struct {
	tags      map[string]map[string]v1.Hash // by repository, tag
	manifests map[string][]string           // by repository
	broken    map[string]bool               // repository:tag of what was incomplete already
}

func shoot(s *registrytest.Server) shot {
	at := shot{map[string]map[string]v1.Hash{}, map[string][]string{}, map[string]bool{}}
	for _, repo := range s.Repositories() {
		at.tags[repo], at.manifests[repo] = s.Tags(repo), s.Manifests(repo)
		for tag := range at.tags[repo] {
			if s.Verify(repo, tag) != nil {
				at.broken[repo+":"+tag] = true
			}
		}
	}
	return at
}

// What others took away at servers. Safe for concurrent use.
type taken struct {
	mu   sync.Mutex
	refs map[string]bool // "server repository reference"
}

func (a *taken) add(name, repo, ref string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refs == nil {
		a.refs = map[string]bool{}
	}
	a.refs[name+" "+repo+" "+ref] = true
}

func (a *taken) has(name, repo, ref string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refs[name+" "+repo+" "+ref]
}

// forget drops what is wanted back.
func (a *taken) forget(wanted func(repo, ref string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.refs, func(key string, _ bool) bool {
		of := strings.Fields(key)
		return wanted(of[1], of[2])
	})
}

// explains reports whether each of the things that a Verify misses was taken away.
func (a *taken) explains(name, repo string, err error) bool {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		digest := digestPattern.FindString(line)
		if !strings.HasSuffix(line, "is missing") || !a.has(name, repo, digest) {
			return false
		}
	}
	return true
}

var digestPattern = regexp.MustCompile("sha256:[0-9a-f]{64}")

// complete fails unless every tag resolves to its last byte (I1), but for those
// that others had left incomplete and nobody has touched since.
func (w *world) complete(name string, before shot) {
	w.t.Helper()
	s := w.servers[name]
	for _, repo := range s.Repositories() {
		for tag, digest := range s.Tags(repo) {
			if before.tags[repo][tag] == digest && before.broken[repo+":"+tag] {
				continue
			}
			if err := s.Verify(repo, tag); err != nil && !w.takenAway.explains(name, repo, err) {
				w.t.Errorf("I1: %s: %s:%s: %v", name, repo, tag, err)
			}
		}
	}
}

// faithful fails unless what source and target share has the same bytes and the
// same media type at both (I2).
func (w *world) faithful(name string) {
	w.t.Helper()
	s := w.servers[name]
	for _, repo := range w.src().Repositories() {
		for _, digest := range w.src().Manifests(repo) {
			want, _ := w.src().Resolve(repo, digest)
			got, ok := s.Resolve(repo, digest)
			if ok && (got.MediaType != want.MediaType || string(got.Raw) != string(want.Raw)) {
				w.t.Errorf("I2: %s: %s@%s is not what the source has", name, repo, digest)
			}
		}
	}
}

// kept fails if something that the target had before is gone, or was asked to be
// deleted (I3).
func (w *world) kept(name string, before shot) {
	w.t.Helper()
	s := w.servers[name]
	for repo, tags := range before.tags {
		now := s.Tags(repo)
		for tag := range tags {
			if _, ok := now[tag]; !ok && !w.takenAway.has(name, repo, tag) {
				w.t.Errorf("I3: %s: the tag %s:%s is gone", name, repo, tag)
			}
		}
		for _, digest := range before.manifests[repo] {
			if _, ok := s.Resolve(repo, digest); !ok && !w.takenAway.has(name, repo, digest) {
				w.t.Errorf("I3: %s: the manifest %s@%s is gone", name, repo, digest)
			}
		}
	}
	if n := s.Counts().Of(registrytest.ManifestDelete, registrytest.BlobDelete); n > 0 {
		w.t.Errorf("I3: %s was asked %d times to delete", name, n)
	}
}

// A model is what a source repository wants to be at a target, found by walking
// the source as a client would: tags, what is below, what refers to it.
type model struct {
	tags      map[string]v1.Hash
	manifests map[v1.Hash]bool
	refers    map[v1.Hash]map[v1.Hash]bool // by subject, to be found through the API or the fallback tag
}

func modelOf(s *registrytest.Server, repo string, skip func(tag string) bool) model {
	m := model{map[string]v1.Hash{}, map[v1.Hash]bool{}, map[v1.Hash]map[v1.Hash]bool{}}
	all := s.Tags(repo)
	w := walk{m, s, repo, all, map[visit]bool{}}
	for tag, digest := range all {
		if _, _, carries := providers.ReferrerTag(tag); !carries && !skip(tag) {
			m.tags[tag] = digest
			w.manifest(digest, true)
		}
	}
	return m
}

// wanted reports whether ref is a tag, or a part of what the source's tags want at
// targets. What else others put there, such as what refers to a child of an index
// and is not asked for, nobody brings back.
func (w *world) wanted(repo, ref string) bool {
	if !strings.HasPrefix(ref, "sha256:") {
		return true
	}
	for digest := range modelOf(w.src(), repo, func(string) bool { return false }).manifests {
		raw, _ := w.src().Resolve(repo, digest.String())
		if digest.String() == ref || strings.Contains(string(raw.Raw), ref) {
			return true
		}
	}
	return false
}

// A walk fills a model. Who refers to a manifest is asked for tagged manifests
// and for what refers to them; what refers to a child of an index is found by its
// tags alone, as a question for each child would cost more than all the rest.
type walk struct {
	model
	s    *registrytest.Server
	repo string
	tags map[string]v1.Hash
	seen map[visit]bool
}

type visit struct {
	digest v1.Hash
	ask    bool
}

func (w walk) manifest(digest v1.Hash, ask bool) {
	raw, ok := w.s.Resolve(w.repo, digest.String())
	if !ok || w.seen[visit{digest, ask}] {
		return
	}
	w.seen[visit{digest, ask}] = true
	w.manifests[digest] = true
	c, err := providers.Parse(raw)
	if err != nil {
		return
	}
	for _, child := range c.Children {
		w.manifest(child.Digest, false)
	}
	for _, r := range referrersAt(w.s, w.repo, digest, ask) {
		if w.refers[digest] == nil {
			w.refers[digest] = map[v1.Hash]bool{}
		}
		w.refers[digest][r] = true
		w.manifest(r, ask)
	}
	for _, kind := range []string{".sig", ".att", ".sbom"} {
		if signature, ok := w.tags[providers.FallbackTag(digest)+kind]; ok {
			w.model.tags[providers.FallbackTag(digest)+kind] = signature
			w.manifest(signature, ask)
		}
	}
}

// referrersAt is who refers to a manifest as a client finds it out,
// with or without the API.
func referrersAt(s *registrytest.Server, repo string, subject v1.Hash, api bool) []v1.Hash {
	var list []v1.Hash
	if api && !s.Quirks().NoReferrers {
		for _, d := range s.Referrers(repo, subject) {
			list = append(list, d.Digest)
		}
	}
	raw, ok := s.Resolve(repo, providers.FallbackTag(subject))
	if !ok || !providers.IsIndex(raw.MediaType) {
		return list
	}
	if c, err := providers.Parse(raw); err == nil {
		for _, d := range c.Children {
			if _, there := s.Resolve(repo, d.Digest.String()); there {
				list = append(list, d.Digest)
			}
		}
	}
	return list
}

// converged returns how the target differs from what the source wants. excused
// says which tags may stay as they were.
func (w *world) converged(name string, excused func(repo, tag string) bool) error {
	var wrong []error
	s := w.servers[name]
	for _, repo := range w.src().Repositories() {
		there := s.Tags(repo)
		m := modelOf(w.src(), repo, func(tag string) bool {
			return there[tag] != w.src().Tags(repo)[tag] && excused(repo, tag)
		})
		for tag, digest := range m.tags {
			switch {
			case there[tag] == digest:
				if err := s.Verify(repo, tag); err != nil && !w.takenAway.explains(name, repo, err) {
					wrong = append(wrong, err)
				}
			case excused(repo, tag): // as a signature may be
			default:
				wrong = append(wrong, fmt.Errorf("%s: %s:%s is %s, the source has %s", name, repo, tag, there[tag], digest))
			}
		}
		wrong = append(wrong, m.missing(s, name, repo)...)
	}
	wrong = slices.DeleteFunc(wrong, func(err error) bool { return err == nil })
	if n := len(wrong) - 8; n > 0 {
		wrong = append(wrong[:8], fmt.Errorf("and %d more", n))
	}
	return errors.Join(wrong...)
}

// missing returns what of the model is not at s, or not to be found there.
func (m model) missing(s *registrytest.Server, name, repo string) (wrong []error) {
	for digest := range m.manifests {
		if _, ok := s.Resolve(repo, digest.String()); !ok {
			wrong = append(wrong, fmt.Errorf("%s: %s lacks %s", name, repo, digest))
		}
	}
	for subject, refers := range m.refers {
		found := referrersAt(s, repo, subject, true)
		for r := range refers {
			if !slices.Contains(found, r) {
				wrong = append(wrong, fmt.Errorf("%s: %s does not tell that %s refers to %s", name, repo, r, subject))
			}
		}
	}
	return wrong
}

// readOnce fails for each blob that a process, which calls itself agent, read from
// the source from its start again (I8), unless a fault of a request is the reason,
// or that the source had it wrong. To go on where a read was broken off is fine.
// What is asked for after the request cut, if that is not 0, is given up at once and
// does not count.
func (w *world) readOnce(agent string, cut int64, wrong ...string) {
	w.t.Helper()
	reads := map[string][]registrytest.Request{}
	for _, r := range w.src().Log() {
		if cut > 0 && r.N > cut {
			break
		}
		if r.Header["User-Agent"] == agent && (r.Class == registrytest.BlobGet || r.Class == registrytest.Storage) && r.Status != 307 {
			digest := "sha256:" + r.Path[strings.LastIndex(r.Path, ":")+1:]
			reads[digest] = append(reads[digest], r)
		}
	}
	for digest, all := range reads {
		again := slices.ContainsFunc(all[1:], func(r registrytest.Request) bool { return r.Header["Range"] == "" })
		faulty := slices.ContainsFunc(all, func(r registrytest.Request) bool { return r.Broken || r.Status == 0 || r.Status >= 400 })
		if again && !faulty && !slices.Contains(wrong, digest) {
			w.t.Errorf("I8: a blob left the source more than once:%s", lines(all))
		}
	}
}

func lines(all []registrytest.Request) string {
	var text strings.Builder
	for _, r := range all {
		fmt.Fprintf(&text, "\n%.130s range %q", r, r.Header["Range"])
	}
	return text.String()
}

// requests is how many requests a server has seen.
func requests(s *registrytest.Server) int64 {
	log := s.Log()
	if len(log) == 0 {
		return 0
	}
	return log[len(log)-1].N
}
