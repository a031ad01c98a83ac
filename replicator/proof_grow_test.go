package replicator_test

import (
	"fmt"
	"math/rand/v2"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest/content"
)

// A grower makes random content: all that registries hold, small, and sharing
// layers within and across repositories. Equal seeds grow the same.
type grower struct {
	*rand.Rand
	seed   uint64
	n      int
	layers []content.Blob
	sizes  map[string]int64 // of every blob, by digest
}

func newGrower(seed uint64) *grower {
	g := &grower{Rand: rand.New(rand.NewPCG(seed, 1)), seed: seed, sizes: map[string]int64{}}
	sizes := []int64{0, 1, 300, 5_000, 20_000, 66_000, 150_000, 270_000, 400_000}
	for i := range 9 {
		g.layers = append(g.layers, g.layer(fmt.Sprintf("shared %d", i), sizes[(i+g.IntN(3))%len(sizes)]))
	}
	return g
}

func (g *grower) layer(name string, size int64) content.Blob {
	return content.Layer(fmt.Sprintf("%d %s", g.seed, name), size)
}

func (g *grower) name() string {
	g.n++
	return fmt.Sprintf("%d-%d", g.seed, g.n)
}

// chance is true so many times in a hundred.
func (g *grower) chance(percent int) bool { return g.IntN(100) < percent }

// note remembers the sizes of m's blobs.
func (g *grower) note(m *content.Manifest) *content.Manifest {
	for _, part := range m.All() {
		for _, b := range part.Blobs {
			g.sizes[b.Digest.String()] = b.Size
		}
	}
	return m
}

func (g *grower) image() *content.Manifest {
	var layers []content.Blob
	for range 1 + g.IntN(3) {
		layers = append(layers, g.layers[g.IntN(len(g.layers))]) // some come twice
	}
	name := g.name()
	if g.chance(50) {
		layers = append(layers, g.layer(name, int64(100+g.IntN(3000))))
	}
	if g.chance(5) {
		layers = append(layers, content.Foreign(name, 1000))
	}
	var opts []content.Option
	if g.chance(30) {
		opts = append(opts, content.Docker())
	}
	return content.Image(name, layers, opts...)
}

// manifest is anything that a tag may name.
func (g *grower) manifest(depth int) *content.Manifest {
	switch k := g.IntN(20); {
	case k < 9 || depth > 2:
		return g.image()
	case k < 14:
		var children []*content.Manifest
		for range 1 + g.IntN(3) {
			children = append(children, g.manifest(depth+1))
		}
		return content.Index(children, content.Annotate("n", g.name()))
	case k < 16:
		return content.Attested([]*content.Manifest{g.image(), g.image()})
	case k < 17:
		return content.Helm(g.name())
	case k < 18:
		return content.Module(g.name(), 900)
	}
	return content.Artifact("application/vnd.example", nil, content.Annotate("n", g.name()))
}

// refer attaches referrers to m, and to what refers to it.
func (g *grower) refer(m *content.Manifest) {
	for range g.IntN(3) {
		r := content.Refer(m, "application/vnd.example.sbom", g.name())
		if g.chance(40) {
			content.Refer(r, "application/vnd.example.signature", g.name())
		}
	}
	if len(m.Children) > 0 && g.chance(50) {
		content.Refer(m.Children[0], "application/vnd.example.sbom", g.name())
	}
}

// attach puts what is attached to m in other ways: cosign's tags, and fallback
// tags where the source has no API.
func (s *trial) attach(repo string, m *content.Manifest) {
	for _, kind := range []string{"sig", "att", "sbom"} {
		if s.grow.chance(15) {
			tag, sig := content.Cosign(m, kind)
			s.put(repo, sig, tag)
		}
	}
	if s.src().Quirks().NoReferrers || s.grow.chance(10) {
		s.fallbacks(repo, m, map[v1.Hash]bool{})
	}
}

func (s *trial) fallbacks(repo string, m *content.Manifest, seen map[v1.Hash]bool) {
	if seen[m.Digest] {
		return
	}
	seen[m.Digest] = true
	for _, child := range m.Children {
		s.fallbacks(repo, child, seen)
	}
	for _, r := range m.Referrers {
		s.fallbacks(repo, r, seen)
	}
	if len(m.Referrers) > 0 {
		tag, list := content.Fallback(m, m.Referrers...)
		s.must(s.src().LoadManifest(repo, list.Manifest, tag))
	}
}
