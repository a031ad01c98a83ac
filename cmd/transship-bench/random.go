package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/transship/transship/providers/registrytest/content"
)

// random is a corpus that the seed decides: which repositories, images and
// indexes of which layers, aliases, referrers of referrers, cosign tags, charts.
func random(seed uint64, scale float64) content.Corpus {
	d := dice{Rand: rand.New(rand.NewPCG(seed, 0x62656e6368)), seed: seed, scale: scale}
	for range 6 + d.IntN(20) {
		d.bases = append(d.bases, d.layer(20_000_000))
	}
	var c content.Corpus
	for n := range 5 + d.IntN(20) {
		c = append(c, d.repository(fmt.Sprintf("random-%d/app-%02d", d.IntN(3), n))...)
	}
	return c
}

// dice make a random corpus.
type dice struct {
	*rand.Rand
	seed  uint64
	scale float64
	made  int // what has a name so far
	bases []content.Blob
}

// name is another one each time.
func (d *dice) name() string {
	d.made++
	return fmt.Sprintf("random %d %d", d.seed, d.made)
}

// layer returns a layer of at most so many bytes at scale 1.
func (d *dice) layer(most float64) content.Blob {
	return content.Layer(d.name(), 1+int64(d.Float64()*most*d.scale))
}

func (d *dice) repository(name string) []content.Entry {
	var entries []content.Entry
	for n := range 1 + d.IntN(12) {
		e := content.Entry{Repo: name, Manifest: d.manifest(), Tags: []string{fmt.Sprintf("v%d", n)}}
		if d.IntN(4) == 0 {
			e.Tags = append(e.Tags, fmt.Sprintf("also-v%d", n))
		}
		d.refer(e.Manifest, 0)
		entries = append(entries, e)
		if d.IntN(5) == 0 {
			tag, m := content.Cosign(e.Manifest, []string{"sig", "att", "sbom"}[d.IntN(3)])
			entries = append(entries, content.Entry{Repo: name, Manifest: m, Tags: []string{tag}})
		}
	}
	return entries
}

func (d *dice) manifest() *content.Manifest {
	switch d.IntN(8) {
	case 0:
		return content.Helm(d.name())
	case 1:
		return content.Attested([]*content.Manifest{d.image(), d.image()})
	case 2, 3:
		children := []*content.Manifest{d.image()}
		for range d.IntN(4) {
			children = append(children, d.image())
		}
		return content.Index(children, content.Annotate("name", d.name()))
	}
	return d.image()
}

func (d *dice) image() *content.Manifest {
	layers := []content.Blob{d.layer(2_000_000)}
	for range d.IntN(4) {
		layers = append(layers, d.bases[d.IntN(len(d.bases))])
	}
	if d.IntN(3) == 0 {
		return content.Image(d.name(), layers, content.Docker())
	}
	return content.Image(d.name(), layers)
}

// refer attaches up to two referrers, and to these others.
func (d *dice) refer(to *content.Manifest, depth int) {
	if depth > 1 {
		return
	}
	for range max(0, d.IntN(5)-2) {
		d.refer(content.Refer(to, string(content.SBOM), d.name()), depth+1)
	}
}
