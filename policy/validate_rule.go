package policy

import (
	"fmt"
	"strings"
)

// validate checks what a rule's fields say together, and the names that it uses.
func (r Rule) validate(s *Set, path string, ps *Problems) {
	if r.Name == "" {
		ps.add(join(path, "name"), "is missing; a rule is known by its name in state, logs and commands")
	} else if err := checkName(r.Name); err != nil {
		ps.add(join(path, "name"), "%v", err)
	}
	s.checkRegistry(r.From.Registry, join(path, "from"), ps)
	s.checkIncludes(r.From, join(path, "from.repositories.include"), ps)
	if len(r.To) == 0 {
		ps.add(join(path, "to"), "is missing; expected a list of targets, such as [{registry: name}]")
	}
	s.checkTargets(r, path, ps)
	if r.Weight < 0 || r.Weight > maxWeight {
		ps.add(join(path, "weight"), "%d is not allowed; expected 1 to %d", r.Weight, maxWeight)
	}
	r.Tags.validate(join(path, "tags"), ps)
	r.validatePlatforms(join(path, "platforms"), ps)
	if r.Referrers.Recheck > 0 && !r.ReferrersOn() {
		ps.add(join(path, "referrers.recheck"), "does nothing while referrers are off; remove it, or enabled: false")
	}
	if r.Referrers.Children && !r.ReferrersOn() {
		ps.add(join(path, "referrers.children"), "does nothing while referrers are off; remove it, or enabled: false")
	}
}

const maxWeight = 1000

// checkRegistry checks that below path there is a key registry with a known name.
func (s *Set) checkRegistry(name, path string, ps *Problems) {
	s.checkRegistryName(name, join(path, "registry"), ps)
}

// checkRegistryName checks a registry's name, which stands at path, and reports
// whether it is known.
func (s *Set) checkRegistryName(name, path string, ps *Problems) bool {
	if name == "" {
		ps.add(path, "is missing; expected %s", s.oneOfNames())
		return false
	}
	if _, ok := s.Registries[name]; ok {
		return true
	}
	hint := ""
	if len(s.Registries) <= maxCandidates {
		hint = suggest(name, s.Names())
	}
	if hint == "" {
		hint = "; expected " + s.oneOfNames()
	}
	ps.add(path, "no registry %s%s", quote(name), hint)
	return false
}

func (s *Set) oneOfNames() string {
	switch n := len(s.Registries); {
	case n == 0:
		return "a name that registries defines"
	case n > 10:
		return fmt.Sprintf("one of the %d names in registries", n)
	}
	return oneOf(s.Names())
}

// checkIncludes refuses includes that begin with the registry's own host.
func (s *Set) checkIncludes(from Source, path string, ps *Problems) {
	host := s.Registries[from.Registry].Endpoint()
	for i, include := range from.Repositories.Include {
		if host != "" && strings.HasPrefix(include, host+"/") {
			ps.add(fmt.Sprintf("%s[%d]", path, i), "%s has a host; expected %s", quote(include), quote(include[len(host)+1:]))
		}
	}
}

// checkTargets refuses targets that are there twice, and copying onto itself.
func (s *Set) checkTargets(r Rule, path string, ps *Problems) {
	type destination struct{ endpoint, repository, tag string }
	seen := map[destination]int{}
	source := s.Registries[r.From.Registry].Endpoint()
	for i, t := range r.To {
		at := fmt.Sprintf("%s.to[%d]", path, i)
		s.checkRegistry(t.Registry, at, ps)
		s.checkReaders(r, t, join(at, "readFrom"), ps)
		s.checkVia(r, t, at, ps)
		reg, known := s.Registries[t.Registry]
		if !known {
			continue
		}
		d := destination{reg.Endpoint(), canonical(t.Repository, "Repository"), canonical(t.Tag, "Tag")}
		if first, twice := seen[d]; twice {
			ps.add(at, "is the same place as to[%d]; remove one, or give them different repositories", first)
			continue
		}
		seen[d] = i
		if source != "" && d == (destination{source, "{{.Repository}}", "{{.Tag}}"}) {
			ps.add(at, "copies onto itself: source and target are the same registry under the same names; give the target a repository template")
		}
	}
}

// canonical spells out the default of a template, and drops idle space.
func canonical(text, field string) string {
	if text == "" || strings.Join(strings.Fields(text), "") == "{{."+field+"}}" {
		return "{{." + field + "}}"
	}
	return text
}

func (t Tags) validate(path string, ps *Problems) {
	if n := t.Newest; n != nil {
		if n.Count < 1 {
			ps.add(join(path, "newest.count"), "%d is not allowed; expected at least 1", n.Count)
		}
		if n.By == "" {
			ps.add(join(path, "newest.by"), "is missing; expected semver or pushed")
		}
	}
	if t.MaxAge > 0 && t.MinAge >= t.MaxAge {
		ps.add(join(path, "minAge"), "%s is not below maxAge %s, so no tag is ever taken", t.MinAge, t.MaxAge)
	}
}

func (r Rule) validatePlatforms(path string, ps *Problems) {
	p := r.Platforms
	switch {
	case len(p.Only) > 0 && p.Mode == "":
		ps.add(join(path, "mode"), "is missing; expected sparse (the index keeps its digest, other platforms are left out, where the target takes that) or rewrite (a smaller index with a digest of its own)")
	case len(p.Only) == 0 && p.Mode != "":
		ps.add(join(path, "mode"), "does nothing without only; list the platforms to take, or remove it")
	}
}

// CheckCapabilities returns what the policy asks of registries that they cannot
// do, with positions: newest by pushed needs a source that knows push times.
func (s *Set) CheckCapabilities(pushTimes func(registry string) bool) Problems {
	var ps Problems
	for i, r := range s.Rules {
		if n := r.Tags.Newest; n == nil || n.By != ByPushed || pushTimes(r.From.Registry) {
			continue
		}
		p := Problem{Path: fmt.Sprintf("rules[%d].tags.newest.by", i)}
		p.Message = fmt.Sprintf("registry %q does not tell when a tag was pushed; use by: semver, or minAge and maxAge, which go by when a tag was first seen", r.From.Registry)
		ps = append(ps, p)
	}
	return s.placed(ps)
}
