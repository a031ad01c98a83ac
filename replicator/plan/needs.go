package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Needs is what a plan still has to know. Each list is sorted and has no
// duplicates.
type Needs struct {
	Tags   []string  // tags of the target to resolve
	Probe  []v1.Hash // manifests to look for at the target by digest
	Refers []v1.Hash // subjects whose referrers the target may list
	Locate []v1.Hash // content whose place at the target's registry state may know

	// Elsewhere is content whose place at the readers' registries state may know.
	Elsewhere []v1.Hash

	Source map[Place]SourceNeeds
}

// SourceNeeds is what has to be read of one source.
type SourceNeeds struct {
	Read      []string  // tags whose manifest is wanted, of which the digest is not known
	Resolve   []string  // tags of which the digest is enough
	Manifests []v1.Hash // to read by digest
	Referrers []v1.Hash // subjects whose referrers to list
	Rechecks  []Recheck // the same, of unchanged images: these can wait for a later pass
	Checked   []v1.Hash // subjects of which state may know when they were last listed
}

// A Recheck is a question for the referrers of Subject, which belongs to an
// unchanged image: whoever answers may put off all those of one Root (see
// [Source.PutOff]).
type Recheck struct{ Root, Subject v1.Hash }

// Empty reports whether nothing is needed.
func (n Needs) Empty() bool {
	return len(n.Tags) == 0 && len(n.Probe) == 0 && len(n.Refers) == 0 && len(n.Locate) == 0 &&
		len(n.Elsewhere) == 0 && len(n.Source) == 0
}

// wanting collects needs, each once.
type wanting struct {
	tags          map[string]bool
	probe, locate map[v1.Hash]bool
	refers        map[v1.Hash]bool
	elsewhere     map[v1.Hash]bool
	source        map[Place]*sourceWanting
}

type sourceWanting struct {
	read, resolve                 map[string]bool
	manifests, referrers, checked map[v1.Hash]bool
	rechecks                      map[Recheck]bool
}

func newWanting() *wanting {
	return &wanting{
		tags: map[string]bool{}, probe: map[v1.Hash]bool{}, locate: map[v1.Hash]bool{}, refers: map[v1.Hash]bool{},
		elsewhere: map[v1.Hash]bool{}, source: map[Place]*sourceWanting{},
	}
}

func (w *wanting) at(p Place) *sourceWanting {
	s := w.source[p]
	if s == nil {
		s = &sourceWanting{
			read: map[string]bool{}, resolve: map[string]bool{},
			manifests: map[v1.Hash]bool{}, referrers: map[v1.Hash]bool{}, checked: map[v1.Hash]bool{},
			rechecks: map[Recheck]bool{},
		}
		w.source[p] = s
	}
	return s
}

func (w *wanting) needs() Needs {
	n := Needs{Tags: names(w.tags), Probe: hashes(w.probe), Refers: hashes(w.refers), Locate: hashes(w.locate),
		Elsewhere: hashes(w.elsewhere)}
	for p, s := range w.source {
		if n.Source == nil {
			n.Source = map[Place]SourceNeeds{}
		}
		n.Source[p] = SourceNeeds{
			Read: names(s.read), Resolve: names(s.resolve), Manifests: hashes(s.manifests),
			Referrers: hashes(s.referrers), Checked: hashes(s.checked), Rechecks: rechecks(s.rechecks),
		}
	}
	return n
}

func names(set map[string]bool) []string {
	if len(set) == 0 {
		return nil
	}
	list := make([]string, 0, len(set))
	for name := range set {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func hashes(set map[v1.Hash]bool) []v1.Hash {
	if len(set) == 0 {
		return nil
	}
	list := make([]v1.Hash, 0, len(set))
	for h := range set {
		list = append(list, h)
	}
	slices.SortFunc(list, compareHash)
	return list
}

func rechecks(set map[Recheck]bool) []Recheck {
	return slices.SortedFunc(maps.Keys(set), func(a, b Recheck) int {
		return cmp.Or(compareHash(a.Root, b.Root), compareHash(a.Subject, b.Subject))
	})
}

func compareHash(a, b v1.Hash) int {
	if c := strings.Compare(a.Algorithm, b.Algorithm); c != 0 {
		return c
	}
	return strings.Compare(a.Hex, b.Hex)
}
