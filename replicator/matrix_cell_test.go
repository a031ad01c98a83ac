package replicator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// Every feature at every pair of registries comes to what the table says, is as it
// was to the last byte, and is left alone from then on, also by a process that
// remembers nothing. TRANSSHIP_LONG=1 leaves out no cell.
func TestMatrix(t *testing.T) {
	for i, a := range abilities {
		if replicator.Raced && i%6 != 1 {
			continue // ten times as slow, and no other code
		}
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			source, target, forgetful := serve(t, a.source), serve(t, a.target), openStore(t)
			for _, f := range features {
				if a.quick != nil && !slices.Contains(a.quick, f.name) && os.Getenv("TRANSSHIP_LONG") != "1" {
					continue
				}
				c := &cell{ability: a, feature: f, source: source, target: target, forgetful: forgetful}
				c.fixture = fixture{t: t, a: a, s: source, repo: strings.NewReplacer(" ", "-", "'", "", ",", "").Replace(strings.ToLower(f.name)),
					tags: map[string]v1.Hash{}, manifests: map[v1.Hash]*content.Manifest{}, refers: map[v1.Hash][]*content.Manifest{}}
				f.load(&c.fixture)
				if a.prepare != nil {
					a.prepare(target, c.repo)
				}
				t.Run(f.name, c.test)
			}
		})
	}
}

func serve(t *testing.T, quirks func(*registrytest.Quirks)) *registrytest.Server {
	var q registrytest.Quirks
	if quirks != nil {
		quirks(&q)
	}
	return registrytest.New(t, registrytest.Options{Quirks: q})
}

// A fixture is a feature's content at the source, and what of it belongs at the target.
type fixture struct {
	t    *testing.T
	a    ability
	s    *registrytest.Server
	repo string

	shown     bool                            // fallback tags show what the ability hides
	tags      map[string]v1.Hash              // exactly these
	manifests map[v1.Hash]*content.Manifest   // exactly these, besides the next
	rewrites  string                          // a tag whose index is another than the source's,
	remain    []*content.Manifest             // with these children
	refers    map[v1.Hash][]*content.Manifest // by subject, exactly these
	kept      string                          // a part of a reason that a line of the plan gives
}

// load puts m into the source, with what refers to it in the ways of the ability.
func (f *fixture) load(m *content.Manifest, tags ...string) {
	if err := f.s.Load(f.repo, m, tags...); err != nil {
		f.t.Fatal(err)
	}
	if f.a.fallbackTags {
		f.fallbackTags(m)
	}
}

// fallbackTags puts an index of who refers to m, and to what refers to it.
func (f *fixture) fallbackTags(m *content.Manifest) {
	f.shown = !f.s.Quirks().NormalizedFallback
	for _, part := range m.All() {
		if len(part.Referrers) > 0 {
			tag, list := content.Fallback(part, part.Referrers...)
			if err := f.s.LoadManifest(f.repo, list.Manifest, tag); err != nil {
				f.t.Fatal(err)
			}
		}
	}
}

// want is that m belongs at the target with all that is below it, and with what
// refers to it, as far as the source tells.
func (f *fixture) want(m *content.Manifest) {
	f.manifests[m.Digest] = m
	for _, c := range m.Children {
		f.want(c)
	}
	if f.a.hidden && !f.shown {
		return
	}
	for _, r := range m.Referrers {
		f.refers[m.Digest] = append(f.refers[m.Digest], r)
		f.want(r)
	}
}

func (f *fixture) untagged(m *content.Manifest) { f.load(m); f.want(m) }

func (f *fixture) tag(m *content.Manifest, tags ...string) {
	f.load(m, tags...)
	f.want(m)
	for _, tag := range tags {
		f.tags[tag] = m.Digest
	}
}

// cosign signs m, which is at the target if m is.
func (f *fixture) cosign(m *content.Manifest, kinds ...string) {
	for _, kind := range kinds {
		tag, signature := content.Cosign(m, kind)
		f.load(signature, tag)
		if f.manifests[m.Digest] != nil {
			f.want(signature)
			f.tags[tag] = signature.Digest
		}
	}
}

// sparse tags an index of which only some children belong at the target.
func (f *fixture) sparse(ix *content.Manifest, tag string, some []*content.Manifest) {
	f.tag(ix, tag)
	for _, c := range ix.Children {
		delete(f.manifests, c.Digest)
	}
	for _, c := range some {
		f.want(c)
	}
}

// rewritten tags an index that becomes a smaller one; who refers to it is left out.
func (f *fixture) rewritten(ix *content.Manifest, tag string, some []*content.Manifest) {
	f.load(ix, tag)
	f.rewrites, f.remain = tag, some
	if !f.a.hidden {
		f.kept = "referrers of the original index are not brought"
	}
	for _, c := range some {
		f.want(c)
	}
}

// A cell is one feature at one ability.
type cell struct {
	ability
	feature
	fixture
	source, target *registrytest.Server
	forgetful      state.Store // knows nothing of this cell
}

func (c *cell) test(t *testing.T) {
	t.Parallel()
	want, p := c.ability.outcomeOf(c.feature), c.start(t, openStore(t))
	first, second := p.pass(t, 0), p.pass(t, 0)
	if want == whole {
		c.stays(t, first, second, p.pass(t, 25*time.Hour), c.start(t, c.forgetful).pass(t, 0))
		c.verify(t)
		return
	}
	first.tells(t, want.says)
	second.tells(t, want.says)
	c.nothing(t)
	if want.kind == "tried" && (first.writes == 0 || second.writes > 0) || want.kind == "refused" && first.writes+second.writes > 0 {
		t.Errorf("what is %s was tried with %d writes, and then with %d", want.kind, first.writes, second.writes)
	}
}

// stays fails the test unless the first pass has done it all, and later ones do
// nothing: not a second one, nor one a day later, nor one that remembers nothing.
func (c *cell) stays(t *testing.T, passes ...pass) {
	t.Helper()
	for i, p := range passes {
		p.fine(t, i)
		if i > 0 && p.writes > 0 {
			t.Errorf("pass %d writes %d times", i+1, p.writes)
		}
	}
	if second := passes[1]; second.reads+second.gets > 0 {
		t.Errorf("a second pass reads %d manifests of the source, and asks the target %d times", second.gets, second.reads)
	}
}

// A pass is what one has come to.
type pass struct {
	plan.Plan
	failures            []replicator.Failure
	writes, reads, gets int64 // at the target, and manifests read at the source
	kept                string
}

// A mover is a process that moves one cell's content.
type mover struct {
	*replicator.Engine
	c     *cell
	set   *policy.Set
	regs  map[string]*counting
	ahead time.Duration // of its clock
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T) state.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	must(t, os.WriteFile(path, freshState(), 0o600))
	store, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { store.Close() })
	return store
}

// start begins a process with what store remembers.
func (c *cell) start(t *testing.T, store state.Store) *mover {
	t.Helper()
	set, err := policy.Parse("test.yaml", fmt.Appendf(nil, `
registries:
  src: {host: %q, plainHTTP: true, provider: oci}
  one: {host: %q, plainHTTP: true, provider: oci, %s}
rules:
  - name: r
    from: {registry: src, repositories: {include: [%q]}}
    to: [{registry: one}]
%s`, c.source.Host(), c.target.Host(), c.says, c.repo, c.rule))
	must(t, err)
	m := &mover{c: c, set: set, regs: map[string]*counting{"src": c.client(t, set, "src", c.source), "one": c.client(t, set, "one", c.target)}}
	o := replicator.Options{Policy: set, State: store, Now: func() time.Time { return time.Now().Add(m.ahead) },
		Registries: func(name string) (providers.Registry, error) { return m.regs[name], nil }}
	o.Transfer.SpoolDir, o.Transfer.SpoolBytes = t.TempDir(), 1<<20
	m.Engine, err = replicator.New(o)
	must(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

func (c *cell) client(t *testing.T, set *policy.Set, name string, s *registrytest.Server) *counting {
	t.Helper()
	abilities := map[string]providers.Tri{}
	for key, is := range set.Registries[name].Capabilities {
		var tri providers.Tri
		must(t, tri.UnmarshalText([]byte(is)))
		abilities[key] = tri
	}
	client, err := oci.New(oci.Options{Host: s.Host(), PlainHTTP: true, Push: name == "one", Caps: providers.Caps{}.Override(abilities),
		Retry: oci.Retry{Tries: 2, Min: time.Millisecond, Max: time.Millisecond}})
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return &counting{Registry: client}
}

// pass is one pass, at a time so far ahead.
func (m *mover) pass(t *testing.T, ahead time.Duration) pass {
	t.Helper()
	m.ahead = ahead
	to, from := m.regs["one"], m.regs["src"]
	writes, reads, gets := to.writes.Load(), to.reads.Load(), from.gets.Load()
	jobs, problems, err := m.Expand(t.Context(), m.set.Rules, nil)
	must(t, err)
	if len(jobs) != 1 || len(problems) > 0 {
		t.Fatalf("jobs %v, problems %v", jobs, problems)
	}
	r, err := m.Run(t.Context(), jobs[0])
	must(t, err)
	return pass{Plan: r.Plans[0], failures: r.Failures, kept: m.c.kept,
		writes: to.writes.Load() - writes, reads: to.reads.Load() - reads, gets: from.gets.Load() - gets}
}

// fine fails the test unless p has done all it had to, and told what it has to.
func (p pass) fine(t *testing.T, i int) {
	t.Helper()
	for _, f := range p.failures {
		t.Errorf("pass %d: %s: %s (%s)", i+1, f.Tag, f.Reason, f.Hint)
	}
	for _, k := range p.Kept {
		if p.kept == "" || !strings.Contains(k.Reason, p.kept) {
			t.Errorf("pass %d keeps %s: %s", i+1, k.Tag, k.Reason)
		}
	}
	if i == 0 && p.kept != "" && len(p.Kept) == 0 {
		t.Errorf("nothing tells that %s", p.kept)
	}
}

// tells fails the test unless something fails in p, and each failure has the hint.
func (p pass) tells(t *testing.T, hint string) {
	t.Helper()
	if len(p.failures) == 0 {
		t.Errorf("nothing fails; want the hint %q", hint)
	}
	for _, f := range p.failures {
		if !strings.Contains(f.Reason+f.Hint, hint) {
			t.Errorf("%s: %s (%s), want the hint %q", f.Tag, f.Reason, f.Hint, hint)
		}
	}
}

// nothing fails the test if one of the feature's tags is at the target.
func (c *cell) nothing(t *testing.T) {
	t.Helper()
	for tag := range c.tags {
		if _, ok := c.target.Resolve(c.repo, tag); ok && !strings.HasPrefix(tag, "sha256-") {
			t.Errorf("%s is at the target", tag)
		}
	}
}

// verify reads the target as a client would and compares it with what it has to hold.
func (c *cell) verify(t *testing.T) {
	t.Helper()
	manifests := maps.Clone(c.manifests)
	tags := maps.Clone(c.tags)
	if c.rewrites != "" {
		ix := c.smaller(t)
		manifests[ix.Digest], tags[c.rewrites] = ix, ix.Digest
	}
	for subject, refers := range c.refers {
		c.listed(t, subject, refers, tags, manifests)
	}
	if got := c.target.Tags(c.repo); !maps.Equal(got, tags) {
		t.Errorf("the target has the tags %v, want %v", got, tags)
	}
	if got, want := c.target.Manifests(c.repo), sorted(manifests); !slices.Equal(got, want) {
		t.Errorf("the target has the manifests %v\nwant %v", got, want)
	}
	for _, m := range manifests {
		got, _ := c.target.Resolve(c.repo, m.Digest.String())
		if got.MediaType != m.MediaType || string(got.Raw) != string(m.Raw) || content.Hash(got.Raw) != content.Hash(m.Raw) {
			t.Errorf("%s is not what the source has", m.Digest)
		}
		for _, b := range m.Blobs {
			if !c.target.Has(c.repo, b.Digest) {
				t.Errorf("blob %s of %s is not there", b.Digest, m.Digest)
			}
		}
		if c.complete(m) {
			if err := c.target.Verify(c.repo, m.Digest.String()); err != nil {
				t.Error(err)
			}
		}
	}
}

// complete reports whether everything below m belongs at the target.
func (c *cell) complete(m *content.Manifest) bool {
	for _, child := range m.Children {
		if c.manifests[child.Digest] == nil {
			return false
		}
	}
	return true
}

func sorted(manifests map[v1.Hash]*content.Manifest) []string {
	var list []string
	for d := range manifests {
		list = append(list, d.String())
	}
	slices.Sort(list)
	return list
}

// An imageIndex is one as this test reads it, by itself.
type imageIndex struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType"`
	Manifests     []struct {
		MediaType    types.MediaType   `json:"mediaType"`
		Digest       string            `json:"digest"`
		Size         int64             `json:"size"`
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
		Platform     json.RawMessage   `json:"platform"`
	} `json:"manifests"`
}

// listed fails the test unless clients of the target find exactly these referrers
// of subject. A fallback index is added to what the target has to hold.
func (c *cell) listed(t *testing.T, subject v1.Hash, refers []*content.Manifest, tags map[string]v1.Hash, all map[v1.Hash]*content.Manifest) {
	t.Helper()
	var want, got []string
	for _, r := range refers {
		says, err := providers.Parse(r.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%s %s %d %s %v", r.MediaType, r.Digest, len(r.Raw), says.ArtifactType, says.Annotations))
	}
	switch c.lists {
	case byAPI:
		for _, d := range c.target.Referrers(c.repo, subject) {
			got = append(got, fmt.Sprintf("%s %s %d %s %v", d.MediaType, d.Digest, d.Size, d.ArtifactType, d.Annotations))
		}
	case byFallback:
		tag := providers.FallbackTag(subject)
		m, ok := c.target.Resolve(c.repo, tag)
		var ix imageIndex
		if err := json.Unmarshal(m.Raw, &ix); !ok || err != nil || ix.SchemaVersion != 2 || ix.MediaType != types.OCIImageIndex || m.MediaType != ix.MediaType {
			t.Errorf("fallback index of %s: %v, %+v", subject, err, ix)
			return
		}
		for _, d := range ix.Manifests {
			got = append(got, fmt.Sprintf("%s %s %d %s %v", d.MediaType, d.Digest, d.Size, d.ArtifactType, d.Annotations))
		}
		tags[tag], all[m.Digest] = m.Digest, &content.Manifest{Manifest: m}
	case byNothing:
		return
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s is referred to by\n%s\nwant\n%s", subject, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// smaller returns the target's rewritten index, which has to have the entries of
// the children that remain, as the source's index has them, and nothing else.
func (c *cell) smaller(t *testing.T) *content.Manifest {
	t.Helper()
	m, _ := c.target.Resolve(c.repo, c.rewrites)
	original, _ := c.source.Resolve(c.repo, c.rewrites)
	entries := func(m providers.Manifest) map[string]string {
		var ix imageIndex
		if err := json.Unmarshal(m.Raw, &ix); err != nil {
			t.Error(err)
		}
		list := map[string]string{}
		for _, e := range ix.Manifests {
			text, _ := json.Marshal(e) // plain fields
			list[e.Digest] = string(text)
		}
		return list
	}
	got, want := entries(m), entries(original)
	maps.DeleteFunc(want, func(d, _ string) bool {
		return !slices.ContainsFunc(c.remain, func(r *content.Manifest) bool { return r.Digest.String() == d })
	})
	if !maps.Equal(got, want) || m.MediaType != original.MediaType {
		t.Errorf("the rewritten index has %v, want %v", got, want)
	}
	return &content.Manifest{Manifest: m, Children: c.remain}
}

// A counting registry counts what is asked of it.
type counting struct {
	providers.Registry
	writes, reads, gets atomic.Int64
}

func (c *counting) Head(ctx context.Context, repo, ref string) (v1.Descriptor, error) {
	c.reads.Add(1)
	return c.Registry.Head(ctx, repo, ref)
}

func (c *counting) Stat(ctx context.Context, repo string, blob v1.Hash) (int64, error) {
	c.reads.Add(1)
	return c.Registry.Stat(ctx, repo, blob)
}

func (c *counting) Manifest(ctx context.Context, repo, ref string) (providers.Manifest, error) {
	c.reads.Add(1)
	c.gets.Add(1)
	return c.Registry.Manifest(ctx, repo, ref)
}

func (c *counting) Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	c.reads.Add(1)
	return c.Registry.Referrers(ctx, repo, subject)
}

func (c *counting) PutManifest(ctx context.Context, repo, ref string, m providers.Manifest, o providers.PutOptions) (providers.Receipt, error) {
	c.writes.Add(1)
	return c.Registry.PutManifest(ctx, repo, ref, m, o)
}

func (c *counting) Mount(ctx context.Context, repo, from string, blob v1.Hash) (bool, *providers.Session, error) {
	c.writes.Add(1)
	return c.Registry.Mount(ctx, repo, from, blob)
}
