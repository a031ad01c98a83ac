package house

import (
	"strings"
	"testing"
)

// TestShippedBinary holds that no test server is below what is shipped, however long
// the way to it.
func TestShippedBinary(t *testing.T) {
	imports := map[string][]string{}
	for _, f := range files(t) {
		if !f.isTest() {
			imports[f.pkg()] = append(imports[f.pkg()], f.imports...)
		}
	}
	shipped := below(imports, "cmd/transship")
	for _, want := range []string{"replicator", "providers/ecr", "providers/gar", "providers/acr"} {
		if shipped[want] == "" {
			t.Errorf("%s is not in the shipped binary: the walk is broken", want)
		}
	}
	demo := below(imports, "cmd/transship-demo")
	for pkg, by := range shipped {
		if isTestServer(pkg) {
			t.Errorf("%s is in the shipped binary: %s imports it", pkg, by)
		}
	}
	for _, server := range []string{"providers/registrytest", "providers/ecr/ecrtest", "providers/gar/gartest", "providers/acr/acrtest"} {
		if demo[server] == "" {
			t.Errorf("%s is not in the demo: the walk is broken", server)
		}
	}
}

// below returns the module's packages that pkg imports, and theirs, each with one
// that imports it.
func below(imports map[string][]string, pkg string) map[string]string {
	found := map[string]string{}
	next := []string{pkg}
	for len(next) > 0 {
		from := next[0]
		next = next[1:]
		for _, imp := range imports[from] {
			to, ours := strings.CutPrefix(imp, module+"/")
			if ours && found[to] == "" {
				found[to] = from
				next = append(next, to)
			}
		}
	}
	return found
}
