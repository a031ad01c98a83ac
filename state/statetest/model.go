package statetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
)

const (
	modelSeeds = 6
	modelSteps = 150
)

// testModel does the same random things to a store and to maps, and compares.
func testModel(t *testing.T, b Backend) {
	for seed := range uint64(modelSeeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			open := b(t)
			m := &model{t: t, s: open(), rand: rand.New(rand.NewPCG(seed, 1)),
				source: map[state.Repo]map[string]state.SourceTag{}, target: map[state.Repo]map[string]state.TargetTag{},
				blobs: map[state.Repo]map[v1.Hash]bool{}}
			for m.now = range modelSteps {
				m.step()
				if m.rand.IntN(40) == 0 {
					check(t, m.s.Close())
					m.s = open()
				}
			}
			check(t, m.s.Close())
		})
	}
}

// A model is what a store of facts should hold.
type model struct {
	t      *testing.T
	s      state.Store
	rand   *rand.Rand
	now    int
	source map[state.Repo]map[string]state.SourceTag
	target map[state.Repo]map[string]state.TargetTag
	blobs  map[state.Repo]map[v1.Hash]bool
}

func (m *model) repo() state.Repo {
	r := state.Repo{Host: fmt.Sprint("h", m.rand.IntN(2)), Name: fmt.Sprint("r", m.rand.IntN(3))}
	if m.source[r] == nil {
		m.source[r], m.target[r], m.blobs[r] = map[string]state.SourceTag{}, map[string]state.TargetTag{}, map[v1.Hash]bool{}
	}
	return r
}

func (m *model) digest() v1.Hash {
	if n := m.rand.IntN(9); n > 0 {
		return hash(fmt.Sprint(n))
	}
	return v1.Hash{}
}

func some[T any](m *model, one func() T) []T {
	var list []T
	for range m.rand.IntN(5) {
		list = append(list, one())
	}
	return list
}

func (m *model) tag() string { return string(rune('A'+m.rand.IntN(3)*31)) + fmt.Sprint(m.rand.IntN(3)) }

func (m *model) step() {
	ctx, r := m.t.Context(), m.repo()
	switch m.rand.IntN(8) {
	case 0, 1:
		tags := some(m, func() state.SourceTag { return state.SourceTag{Name: m.tag(), Digest: m.digest()} })
		check(m.t, m.s.SeeSource(ctx, r, at(m.now), tags))
		m.see(r, tags)
	case 2:
		names := some(m, m.tag)
		check(m.t, m.s.ForgetSource(ctx, r, names))
		maps.DeleteFunc(m.source[r], func(n string, _ state.SourceTag) bool { return slices.Contains(names, n) })
	case 3, 4:
		m.put(r)
	case 5:
		names := some(m, m.tag)
		check(m.t, m.s.Verified(ctx, r, at(m.now), names))
		for _, n := range names {
			if tag, ok := m.target[r][n]; ok {
				tag.VerifiedAt = at(m.now)
				m.target[r][n] = tag
			}
		}
	case 6:
		names := some(m, m.tag)
		check(m.t, m.s.ForgetTags(ctx, r, names))
		maps.DeleteFunc(m.target[r], func(n string, _ state.TargetTag) bool { return slices.Contains(names, n) })
	case 7:
		digests := some(m, m.digest)
		check(m.t, m.s.Forget(ctx, r, digests))
		maps.DeleteFunc(m.blobs[r], func(d v1.Hash, _ bool) bool { return slices.Contains(digests, d) })
	}
	m.compare(r)
}

// see is the rule of SeeSource: of a tag that is named twice the last digest counts.
func (m *model) see(r state.Repo, tags []state.SourceTag) {
	last := map[string]v1.Hash{}
	for _, tag := range tags {
		if _, twice := last[tag.Name]; !twice || tag.Digest != (v1.Hash{}) {
			last[tag.Name] = tag.Digest
		}
	}
	for name, d := range last {
		known, ok := m.source[r][name]
		if !ok || d != (v1.Hash{}) && d != known.Digest {
			m.source[r][name] = state.SourceTag{Name: name, Digest: d, FirstSeen: at(m.now)}
		}
	}
}

func (m *model) put(r state.Repo) {
	rec := state.Record{Repo: r,
		Tags: some(m, func() state.TargetTag {
			return state.TargetTag{Name: m.tag(), Digest: m.digest(), Source: m.digest(), Rule: fmt.Sprint(m.now), PutAt: at(m.now)}
		}),
		Present: some(m, func() state.Present { return state.Present{Digest: m.digest(), Size: 1} }),
	}
	check(m.t, m.s.Put(m.t.Context(), rec))
	for _, tag := range rec.Tags {
		m.target[r][tag.Name] = tag
	}
	for _, p := range rec.Present {
		m.blobs[r][p.Digest] = true
	}
}

func (m *model) compare(r state.Repo) {
	m.t.Helper()
	ctx := m.t.Context()
	equal(m.t, "source tags", all(m.t, m.s.SourceTags(ctx, r)), sorted(m.source[r]))
	equal(m.t, "target tags", all(m.t, m.s.TargetTags(ctx, r)), sorted(m.target[r]))
	digests := []v1.Hash{{}}
	for n := range 9 {
		digests = append(digests, hash(fmt.Sprint(n)))
	}
	equal(m.t, "blobs", must(m.s.Has(ctx, r, digests))(m.t), m.blobs[r])

	where := map[v1.Hash][]string{}
	for held, blobs := range m.blobs {
		for d := range blobs {
			if held.Host == r.Host {
				where[d] = append(where[d], held.Name)
			}
		}
	}
	for d := range where {
		slices.Sort(where[d])
	}
	equal(m.t, "locations", must(m.s.Locate(ctx, r.Host, digests, 0))(m.t), where)
	for d, names := range must(m.s.Locate(ctx, r.Host, digests, 2))(m.t) {
		outside := func(n string) bool { return !slices.Contains(where[d], n) }
		if len(names) != min(2, len(where[d])) || slices.ContainsFunc(names, outside) {
			m.t.Errorf("two locations of %s: %v of %v", d, names, where[d])
		}
	}
	if m.t.Failed() {
		m.t.Fatalf("after step %d", m.now)
	}
}

func sorted[T any](tags map[string]T) []T {
	var list []T
	for _, n := range slices.SortedFunc(maps.Keys(tags), strings.Compare) {
		list = append(list, tags[n])
	}
	return list
}
