package main

import (
	"fmt"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// A work is what is to be copied: how it is made, and what it has to count.
type work struct {
	name string
	make func(seed uint64, scale float64) content.Corpus
	// want is its shape whatever the seed and scale, but for the bytes; nil is a
	// shape that the seed decides.
	want *content.Shape
	// unique and summed are its bytes at scale 1, in millions; 0 is any.
	unique, summed int64
}

// works lists everything that scenarios copy.
func works() []work {
	baseline := content.BaselineShape()
	return []work{
		{"baseline", content.Baseline, &baseline, 336, 887},
		{"shared", content.Shared, &content.Shape{
			Repositories: 30, Tags: 30, Manifests: 30, Blobs: 38, Mounts: 29 * 8}, 271, 8040},
		{"many", many(10, 40), &content.Shape{
			Repositories: 10, Tags: 400, Manifests: 400, Blobs: 401, Mounts: 9}, 0, 0},
		{"one", many(1, 2000), &content.Shape{
			Repositories: 1, Tags: 2000, Manifests: 2000, Blobs: 2001}, 0, 0},
		{"fat", fat, &content.Shape{
			Repositories: 1, Tags: 1, Manifests: 1, Blobs: 7}, 3200, 3200},
		{"clouds", cloudful, nil, 0, 0},
		{"random", random, nil, 0, 0},
	}
}

func many(repositories, tags int) func(uint64, float64) content.Corpus {
	return func(uint64, float64) content.Corpus { return content.Many(repositories, tags) }
}

// cloudful is 1,000 repositories of a hundred tags; the scale takes repositories away,
// as images have no size here.
func cloudful(_ uint64, scale float64) content.Corpus {
	return content.Many(max(4, int(1000*scale)), 100)
}

// fat is one image of 3.2 GB: layers of 2 GB and 1 GB, and four of 50 MB.
func fat(seed uint64, scale float64) content.Corpus {
	layer := func(n int, size float64) content.Blob {
		return content.Layer(fmt.Sprintf("%d fat %d", seed, n), int64(size*scale))
	}
	layers := []content.Blob{layer(0, 2e9), layer(1, 1e9)}
	for n := range 4 {
		layers = append(layers, layer(2+n, 5e7))
	}
	return content.Corpus{{Repo: "fat/app", Manifest: content.Image("fat", layers), Tags: []string{"v1"}}}
}

// largest is the largest blob of a corpus.
func largest(c content.Corpus) content.Blob {
	var found content.Blob
	for _, e := range c {
		for _, m := range e.Manifest.All() {
			for _, b := range m.Blobs {
				if b.Size > found.Size {
					found = b
				}
			}
		}
	}
	return found
}

// A corpus is a work that was made, with its counts.
type corpus struct {
	content.Corpus
	shape content.Shape
}

// A library makes each corpus once.
type library struct {
	seed  uint64
	scale float64
	made  map[string]corpus
}

func newLibrary(seed uint64, scale float64) *library {
	return &library{seed, scale, map[string]corpus{}}
}

// get returns the corpus of a work, whose counts are as they have to be.
func (l *library) get(name string) (corpus, error) {
	if c, ok := l.made[name]; ok {
		return c, nil
	}
	for _, w := range works() {
		if w.name != name {
			continue
		}
		c := corpus{Corpus: w.make(l.seed, l.scale)}
		c.shape = c.Shape()
		if err := w.check(c.shape, l.seed, l.scale); err != nil {
			return corpus{}, err
		}
		l.made[name] = c
		return c, nil
	}
	return corpus{}, fmt.Errorf("no corpus %q", name)
}

// defaultSeed makes corpora whose bytes are nearest to those that the peers were
// first measured with.
const defaultSeed = 17

// check compares a shape with what the work has to count. Bytes are looked at in
// full size: within two in a hundred, or with another seed than the usual within
// twenty.
func (w work) check(got content.Shape, seed uint64, scale float64) error {
	counts := got
	counts.UniqueBytes, counts.SummedBytes = 0, 0
	if w.want != nil && counts != *w.want {
		return fmt.Errorf("corpus %s has changed: it counts %+v, and has to count %+v", w.name, counts, *w.want)
	}
	within := int64(2)
	if seed != defaultSeed {
		within = 20
	}
	for _, b := range []struct {
		of        string
		got, want int64
	}{{"unique", got.UniqueBytes, w.unique}, {"summed", got.SummedBytes, w.summed}} {
		low, high := b.want*(100-within)*10_000, b.want*(100+within)*10_000
		if scale == 1 && b.want > 0 && (b.got < low || b.got > high) {
			return fmt.Errorf("corpus %s has changed: %d bytes %s, and has to have about %d million", w.name, b.got, b.of, b.want)
		}
	}
	return nil
}

// load fills a registry, without a request.
func (c corpus) load(s *registrytest.Server) error { return s.LoadCorpus(c.Corpus) }

// repositories lists the names, in their order and once each.
func (c corpus) repositories() []string {
	var names []string
	seen := map[string]bool{}
	for _, e := range c.Corpus {
		if !seen[e.Repo] {
			seen[e.Repo] = true
			names = append(names, e.Repo)
		}
	}
	return names
}
