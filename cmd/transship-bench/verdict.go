package main

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// A verdict is what is wrong at the targets after a pass, all targets together.
// The zero value is: nothing.
type verdict struct {
	Right      bool `json:"right"`
	Tags       int  `json:"tags"`       // that should be there
	Missing    int  `json:"missing"`    // are not
	Changed    int  `json:"changed"`    // name another digest
	Incomplete int  `json:"incomplete"` // lack something below them, or have it with wrong bytes
	Referrers  int  `json:"referrers"`  // that should be there, also of children and referrers
	Lost       int  `json:"lost"`       // are not
}

// judge compares the targets with the source, to the last bit.
func judge(w *world) verdict {
	v := verdict{Right: true}
	for _, target := range w.targets {
		rename := func(repo string) string { return w.at(target, repo) }
		if registrytest.Equal(w.source, target, rename) == nil {
			v.Tags += tagsOf(w.source)
			continue
		}
		v.Right = false
		whole := target.VerifyAll() == nil
		for _, repo := range w.source.Repositories() {
			v.repository(w.source, target, repo, rename(repo), whole)
		}
	}
	return v
}

func tagsOf(s *registrytest.Server) (n int) {
	for _, repo := range s.Repositories() {
		n += len(s.Tags(repo))
	}
	return n
}

// repository counts what is wrong with one; whole says that nothing is incomplete.
func (v *verdict) repository(source, target *registrytest.Server, repo, at string, whole bool) {
	there, seen := target.Tags(at), map[string]bool{}
	for tag, digest := range source.Tags(repo) {
		v.Tags++
		switch has, ok := there[tag]; {
		case !ok:
			v.Missing++
		case has != digest:
			v.Changed++
		case !whole && target.Verify(at, tag) != nil:
			v.Incomplete++
		}
		v.referrers(source, target, repo, at, digest, seen)
	}
}

// referrers counts those of a manifest, of its children, and of these referrers.
func (v *verdict) referrers(source, target *registrytest.Server, repo, at string, digest v1.Hash, seen map[string]bool) {
	m, ok := source.Resolve(repo, digest.String())
	if !ok || seen[digest.String()] {
		return
	}
	seen[digest.String()] = true
	there := map[v1.Hash]bool{}
	for _, d := range target.Referrers(at, digest) {
		there[d.Digest] = true
	}
	for _, d := range source.Referrers(repo, digest) {
		v.Referrers++
		if !there[d.Digest] {
			v.Lost++
		}
		v.referrers(source, target, repo, at, d.Digest, seen)
	}
	if c, err := providers.Parse(m); err == nil {
		for _, child := range c.Children {
			v.referrers(source, target, repo, at, child.Digest, seen)
		}
	}
}

// String says what is wrong in a few words.
func (v verdict) String() string {
	if v.Right {
		return "right"
	}
	var wrong []string
	for _, w := range []struct {
		n, of int
		what  string
	}{
		{v.Missing, v.Tags, "tags missing"}, {v.Changed, v.Tags, "digests changed"},
		{v.Incomplete, v.Tags, "tags incomplete"}, {v.Lost, v.Referrers, "referrers lost"},
	} {
		if w.n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d of %d %s", w.n, w.of, w.what))
		}
	}
	if wrong == nil {
		return "not equal" // by a way that these counts do not know
	}
	return strings.Join(wrong, ", ")
}
