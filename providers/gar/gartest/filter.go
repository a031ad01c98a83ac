package gartest

import (
	"regexp"
	"slices"
	"strings"
)

// nameFilter is the one form of a filter that lists of repositories and packages know
// here: a name, with a wildcard before it, after it or both.
var nameFilter = regexp.MustCompile(`^name="(\*?)([^"*]+)(\*?)"$`)

// filter leaves the names, by resource, that the call's filter lets through. Case
// does not count.
func (s *Server) filter(c *call, names []string, resource func(string) string) ([]string, *Fault) {
	said := c.r.URL.Query().Get("filter")
	if said == "" {
		return names, nil
	}
	m := nameFilter.FindStringSubmatch(said)
	if m == nil {
		return nil, &Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: "filter is invalid"}
	}
	text := strings.ToLower(m[2])
	return slices.DeleteFunc(names, func(n string) bool {
		name := strings.ToLower(resource(n))
		i := strings.Index(name, text)
		return s.config().FiltersNothing || i < 0 || m[1] == "" && i > 0 || m[3] == "" && !strings.HasSuffix(name, text)
	}), nil
}
