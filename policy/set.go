package policy

import (
	"maps"
	"slices"
)

// A policy: the registries by name, and the rules between them.
type Set struct {
	// The registries, by the names that rules and commands use for them.
	Registries map[string]Registry `json:"registries,omitempty"`
	// What is replicated. Rules are independent; their order is for reading.
	Rules []Rule `json:"rules,omitempty"`
	// Upper bounds on the bytes that flow, beside those of each registry. One file may
	// have them.
	Limits Flow `json:"limits,omitzero"`

	at positions // where each value stood; nil if the set was not parsed
}

// Rule returns the rule of that name.
func (s *Set) Rule(name string) (Rule, bool) {
	i := slices.IndexFunc(s.Rules, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return Rule{}, false
	}
	return s.Rules[i], true
}

// Names returns the names of the registries, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.Registries)) }

// Find returns the names of the registries that nameOrHost may mean, sorted:
// the one of that name, else all with that host.
func (s *Set) Find(nameOrHost string) []string {
	if _, ok := s.Registries[nameOrHost]; ok {
		return []string{nameOrHost}
	}
	var found []string
	for _, name := range s.Names() {
		if s.Registries[name].Endpoint() == nameOrHost {
			found = append(found, name)
		}
	}
	return found
}
