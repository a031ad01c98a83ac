package policy

import (
	"cmp"
	"fmt"
	"slices"
)

// A Reader is a registry that may be read instead of a rule's source, where it
// holds the bytes that are wanted.
type Reader struct {
	Registry string `json:"registry"`         // its name in the policy
	Listed   bool   `json:"listed,omitempty"` // the target's readFrom names it
}

// maxReaders is how many registries readFrom may list, and how many that it does
// not list are thought of besides.
const maxReaders = 4

// Readers returns the registries that may be read instead of r's source for t,
// best first: those of readFrom, by price and then as they are listed, and those
// whose egressPrice is given and below the source's, the cheapest first, by name.
// The source and the target's own registry are not among them.
func (s *Set) Readers(r Rule, t Target) []Reader {
	var listed, cheaper []Reader
	for _, name := range t.ReadFrom {
		listed = append(listed, Reader{name, true})
	}
	limit, _ := s.Price(r.From.Registry)
	own := []string{s.Registries[r.From.Registry].Endpoint(), s.Registries[t.Registry].Endpoint()}
	for name, reg := range s.Registries {
		if price, given := s.Price(name); !given || price >= limit {
			continue
		}
		if !slices.Contains(own, reg.Endpoint()) && !slices.Contains(t.ReadFrom, name) {
			cheaper = append(cheaper, Reader{Registry: name})
		}
	}
	slices.SortStableFunc(listed, s.compareReaders)
	slices.SortFunc(cheaper, func(a, b Reader) int {
		return cmp.Or(s.compareReaders(a, b), cmp.Compare(a.Registry, b.Registry))
	})
	return append(listed, cheaper[:min(len(cheaper), maxReaders)]...)
}

func (s *Set) compareReaders(a, b Reader) int {
	first, _ := s.Price(a.Registry)
	second, _ := s.Price(b.Registry)
	return cmp.Compare(first, second)
}

// Price is what reading from a registry costs, in USD per GB of 1e9 bytes, and
// whether the policy gives it: without a price it counts as 0 and is cheaper than
// nothing.
func (s *Set) Price(registry string) (usd float64, given bool) {
	if p := s.Registries[registry].EgressPrice; p != nil {
		return *p, true
	}
	return 0, false
}

// checkReaders checks what a target may be read from.
func (s *Set) checkReaders(r Rule, t Target, path string, ps *Problems) {
	source, target := s.Registries[r.From.Registry].Endpoint(), s.Registries[t.Registry].Endpoint()
	if len(t.ReadFrom) > maxReaders {
		ps.add(path, "has %d registries; expected at most %d", len(t.ReadFrom), maxReaders)
	}
	seen := map[string]bool{}
	for i, name := range t.ReadFrom {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !s.checkRegistryName(name, at, ps) {
			continue
		}
		endpoint := s.Registries[name].Endpoint()
		switch {
		case endpoint == source:
			ps.add(at, "%s is the source, which is read last anyway; remove it", quote(name))
		case endpoint == target:
			ps.add(at, "%s is the target itself: what it holds is mounted or read there anyway; remove it", quote(name))
		case seen[endpoint]:
			ps.add(at, "%s is in the list already; remove it", quote(name))
		case !s.copiesTo(endpoint):
			ps.add(at, "no rule copies to %s, and only what is known to be at a registry is read there; remove it, or make it a target", quote(name))
		}
		seen[endpoint] = true
	}
}

// copiesTo reports whether the registry at endpoint is a target of some rule.
func (s *Set) copiesTo(endpoint string) bool {
	for _, r := range s.Rules {
		for _, t := range r.To {
			if s.Registries[t.Registry].Endpoint() == endpoint {
				return true
			}
		}
	}
	return false
}
