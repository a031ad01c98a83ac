package metrics

import (
	"regexp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// described is where the text of a Desc, which has no accessor, tells its name.
var described = regexp.MustCompile(`fqName: "([^"]+)"`)

// Names returns the names of everything that may be told, sorted, whether or not it
// has happened yet: what the documentation has to explain.
func (m *Metrics) Names() (names []string) {
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		m.registry.Describe(all)
	}()
	for d := range all {
		if found := described.FindStringSubmatch(d.String()); found != nil {
			names = append(names, found[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
