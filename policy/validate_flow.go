package policy

import "fmt"

// validate checks the links and all hours.
func (f Flow) validate(s *Set, ps *Problems) {
	checkHours(f.Hours, "limits", ps)
	seen := map[[2]string]string{}
	for i, l := range f.Links {
		path := fmt.Sprintf("limits.links[%d]", i)
		known := s.checkRegistryName(l.From, join(path, "from"), ps)
		known = s.checkRegistryName(l.To, join(path, "to"), ps) && known
		if l.Bytes == 0 && len(l.Hours) == 0 {
			ps.add(join(path, "bytes"), "is missing; expected a size a second, such as 20MB/s, or hours")
		}
		checkHours(l.Hours, path, ps)
		between := [2]string{l.From, l.To}
		if first, twice := seen[between]; twice && known {
			ps.add(path, "the link from %s to %s is already bounded at %s; keep one", quote(l.From), quote(l.To), s.at.where(first))
			continue
		}
		seen[between] = path
	}
}

// checkHours checks that each says when, and how much.
func checkHours(hours []Hours, path string, ps *Problems) {
	for i, h := range hours {
		at := fmt.Sprintf("%s.hours[%d]", path, i)
		if len(h.Windows) == 0 {
			ps.add(join(at, "windows"), "is missing; expected a list of windows, such as [\"Mon-Fri 08:00-18:00\"]")
		}
		if h.Bytes == 0 {
			ps.add(join(at, "bytes"), "is missing; expected a size a second, such as 20MB/s")
		}
	}
}
