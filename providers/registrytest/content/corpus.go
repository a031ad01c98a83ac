package content

import (
	"fmt"
	"hash/fnv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A Corpus is what a whole registry holds. It is described by its [Shape], which
// users check before they measure.
type Corpus []Entry

// An Entry is one manifest and its tags in a repository.
type Entry struct {
	Repo     string
	Manifest *Manifest
	Tags     []string
}

// A Shape is what there is in a corpus, counted.
type Shape struct {
	Repositories int
	Tags         int
	Aliases      int // tags beyond the first of a manifest
	Manifests    int // per repository: a manifest in two repositories is two
	Referrers    int
	CosignTags   int
	Blobs        int // unique
	Mounts       int // blobs in further repositories
	UniqueBytes  int64
	SummedBytes  int64 // each blob once per repository
}

// Source is the least number of requests that read it all from a registry
// without bulk calls: a tag page a repository, a GET a manifest, a referrers
// query a tagged or referring manifest, and a GET a blob.
func (s Shape) Source() int {
	return s.Repositories + s.Manifests + s.Tags + s.Referrers + s.Blobs
}

// Target is the least number of requests that write it all: POST and PUT a blob,
// a mount a blob in a further repository, a PUT a manifest and alias.
func (s Shape) Target() int { return 2*s.Blobs + s.Mounts + s.Manifests + s.Aliases }

// Shape counts what c holds.
func (c Corpus) Shape() Shape {
	s := Shape{}
	repos, blobs := map[string]map[v1.Hash]bool{}, map[v1.Hash]bool{}
	for _, e := range c {
		if repos[e.Repo] == nil {
			repos[e.Repo] = map[v1.Hash]bool{}
		}
		s.count(e, repos[e.Repo], blobs)
	}
	s.Repositories = len(repos)
	return s
}

// count adds an entry, given what its repository and the corpus already have.
func (s *Shape) count(e Entry, here, all map[v1.Hash]bool) {
	s.Tags += len(e.Tags)
	s.Aliases += max(0, len(e.Tags)-1)
	for _, tag := range e.Tags {
		if strings.HasPrefix(tag, "sha256-") {
			s.CosignTags++
		}
	}
	for _, m := range e.Manifest.All() {
		if here[m.Digest] {
			continue
		}
		here[m.Digest] = true
		s.Manifests++
		s.Referrers += len(m.Referrers)
		for _, b := range m.Blobs {
			s.blob(b, here, all)
		}
	}
}

func (s *Shape) blob(b Blob, here, all map[v1.Hash]bool) {
	if here[b.Digest] {
		return
	}
	here[b.Digest] = true
	s.SummedBytes += b.Size
	if all[b.Digest] {
		s.Mounts++
		return
	}
	all[b.Digest] = true
	s.Blobs++
	s.UniqueBytes += b.Size
}

// BaselineShape is what [Baseline] holds, whatever its seed and scale, but for
// the bytes: 20 repositories, 110 tags (10 of cosign's, 10 aliases), 224 manifests
// (47 indexes of two, 30 referrers), 397 blobs; 781 requests at the source and
// 1,108 at a target are the least.
func BaselineShape() Shape {
	return Shape{Repositories: 20, Tags: 110, Aliases: 10, Manifests: 224, Referrers: 30, CosignTags: 10, Blobs: 397, Mounts: 80}
}

// Baseline is the corpus on which the peers were measured. At scale 1 it has
// about 336 MB of unique blobs, 887 MB summed over its repositories; sizes go with
// the scale. Equal seeds and scales make equal corpora.
func Baseline(seed uint64, scale float64) Corpus {
	b := baseline{seed: seed, scale: scale, bases: make([]Blob, 12)}
	for i := range b.bases {
		b.bases[i] = b.layer(8_350_000, "base %d", i)
	}
	var c Corpus
	for repo := range 20 {
		c = append(c, b.repository(repo)...)
	}
	return c
}

// A baseline builds the corpus of that name.
type baseline struct {
	seed   uint64
	scale  float64
	bases  []Blob // shared by all
	made   int    // images so far
	tagged int    // images and indexes with a tag so far
}

// layer returns a layer of about so many bytes at scale 1, half to one and a half.
func (b *baseline) layer(size float64, format string, args ...any) Blob {
	name := fmt.Sprintf("%d ", b.seed) + fmt.Sprintf(format, args...)
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name))
	vary := 0.5 + float64(sum.Sum64()%1000)/1000
	return Layer(name, max(64, int64(size*b.scale*vary)))
}

// repository has five or four tagged manifests, of which 47 in all are indexes of
// two; the first ten repositories have an alias and a signature each, the first
// fifteen two referrers.
func (b *baseline) repository(n int) []Entry {
	name := fmt.Sprintf("team-%d/app-%02d", n%4, n)
	own := make([]Blob, 3)
	for i := range own {
		own[i] = b.layer(2_000_000, "repository %d layer %d", n, i)
	}
	var entries []Entry
	for i := range 5 - n/10 {
		entries = append(entries, Entry{name, b.manifest(n, own), []string{fmt.Sprintf("v1.%d.0", i)}})
	}
	first := &entries[0]
	if n < 10 {
		first.Tags = append(first.Tags, "latest")
	}
	if n < 15 {
		sbom := Refer(first.Manifest, string(SBOM), name)
		Refer(sbom, "application/vnd.example.signature", name+" sbom")
	}
	if n < 10 {
		tag, sig := Cosign(first.Manifest, "sig")
		entries = append(entries, Entry{name, sig, []string{tag}})
	}
	return entries
}

// manifest is the next tagged one: an index of two, or an image.
func (b *baseline) manifest(repo int, own []Blob) *Manifest {
	b.tagged++
	if b.tagged*47/90 > (b.tagged-1)*47/90 {
		return Index([]*Manifest{b.image(repo, own), b.image(repo, own)}, Annotate("n", fmt.Sprint(b.tagged)))
	}
	return b.image(repo, own)
}

// image has two of its repository's four bases (three in the last two
// repositories), one of its repository's layers, and one of its own.
func (b *baseline) image(repo int, own []Blob) *Manifest {
	b.made++
	bases := 4 - repo/18
	pick := func(i int) Blob { return b.bases[(repo*5+(b.made+i)%bases)%len(b.bases)] }
	return Image(fmt.Sprintf("%d image %d", b.seed, b.made), []Blob{
		pick(0), pick(1), own[b.made%len(own)], b.layer(800_000, "image %d", b.made),
	})
}

// Shared is thirty repositories of one image each, all of the same eight layers:
// at scale 1, about 271 MB unique and 8,040 MB summed.
func Shared(seed uint64, scale float64) Corpus {
	b := baseline{seed: seed, scale: scale}
	layers := make([]Blob, 8)
	for i := range layers {
		layers[i] = b.layer(34_000_000, "shared %d", i)
	}
	var c Corpus
	for n := range 30 {
		name := fmt.Sprintf("shared/app-%02d", n)
		c = append(c, Entry{name, Image(name, layers), []string{"v1"}})
	}
	return c
}

// Many is so many repositories of so many tags each, every tag another small
// image over one layer.
func Many(repositories, tags int) Corpus {
	base := Layer("many", 4096)
	var c Corpus
	for r := range repositories {
		name := fmt.Sprintf("many/app-%03d", r)
		for n := range tags {
			tag := fmt.Sprintf("v%d", n)
			c = append(c, Entry{name, Image(name+":"+tag, []Blob{base}), []string{tag}})
		}
	}
	return c
}
