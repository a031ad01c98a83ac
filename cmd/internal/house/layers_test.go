package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/transship/transship"

// root is the module's folder, seen from this package's.
const root = "../../.."

// A file is one Go file of the module with what it imports.
type file struct {
	name    string // slash path below the module
	imports []string
}

func (f file) pkg() string  { return path.Dir(f.name) }
func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// files parses the import lines of every Go file of the module in process: a
// subprocess would be hidden from the test cache.
func files(t *testing.T) []file {
	t.Helper()
	var found []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(p, root+string(filepath.Separator)))
		if d.IsDir() && (d.Name() == "testdata" || p != root && strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{name: name}
		for _, i := range parsed.Imports {
			s, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, s)
		}
		found = append(found, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("found only %d files below %s: the walk is broken", len(found), root)
	}
	return found
}

// within reports whether p is dir or below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// TestImportsPointOneWay holds cmd -> replicator -> {providers, policy, state}:
// the three leaves never import each other, and the replicator sees their roots only.
func TestImportsPointOneWay(t *testing.T) {
	for _, f := range files(t) {
		for _, imp := range f.imports {
			to, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			if why := forbidden(f, to); why != "" {
				t.Errorf("%s imports %s: %s", f.name, to, why)
			}
		}
	}
}

func forbidden(f file, to string) string {
	leaf := func(p string) string {
		for _, l := range []string{"providers", "policy", "state"} {
			if within(p, l) {
				return l
			}
		}
		return ""
	}
	from := leaf(f.pkg())
	switch {
	case f.isTest() && within(to, "state/statetest/needs"):
		return ""
	case within(to, "cmd") && !within(f.pkg(), "cmd"):
		return "nothing imports cmd but cmd"
	case from != "" && within(to, "replicator"):
		return "the leaves do not know the engine"
	case from != "" && leaf(to) != "" && leaf(to) != from:
		return "the leaves do not import each other"
	case within(f.pkg(), "replicator") && !f.isTest() && leaf(to) != "" && to != leaf(to):
		return "the engine knows only the root of " + leaf(to)
	case isTestServer(to) && !f.isTest() && !mayHoldTestServers(f.pkg()):
		return "test servers stay out of the shipped binary"
	case within(to, "providers") && to != "providers" && to != "providers/all" && !f.isTest() &&
		within(f.pkg(), "cmd/internal") && f.pkg() != "cmd/internal/app":
		return "cmd/internal/app alone chooses providers"
	}
	return ""
}

// testServers are the folders of what the demo and the benchmarks run against, beside
// tests.
var testServers = []string{
	"providers/registrytest", "providers/ecr/ecrtest", "providers/ecrpublic/ecrpublictest", "providers/gar/gartest", "providers/acr/acrtest",
	"state/statetest", "state/postgres/pgtest", "cmd/internal/trace/tracetest",
}

var emulator = regexp.MustCompile(`^providers/([^/]+)/([^/]+)(?:/|$)`)

// isTestServer reports whether pkg is one of these, or some other provider's emulator.
func isTestServer(pkg string) bool {
	if m := emulator.FindStringSubmatch(pkg); m != nil && m[2] == m[1]+"test" {
		return true
	}
	return slices.ContainsFunc(testServers, func(dir string) bool { return within(pkg, dir) })
}

// mayHoldTestServers lists who may import test servers outside of tests.
func mayHoldTestServers(pkg string) bool {
	return isTestServer(pkg) || within(pkg, "cmd/transship-demo") || within(pkg, "cmd/transship-bench")
}

// TestOneFolderPerModule holds the home of each third-party module: one folder
// imports it, so that it can be replaced by changing one folder.
func TestOneFolderPerModule(t *testing.T) {
	homes := map[string][]string{
		"github.com/distribution/distribution":   {"providers/registrytest"},
		"modernc.org/sqlite":                     {"state/sqlite"},
		"github.com/jackc/pgx":                   {"state/postgres"},
		"github.com/riverqueue/river":            {"state/postgres"},
		"github.com/pressly/goose":               {"state/internal/sqlstore"},
		"go.yaml.in/yaml":                        {"policy"},
		"github.com/bmatcuk/doublestar":          {"policy"},
		"github.com/Masterminds/semver":          {"policy"},
		"github.com/robfig/cron":                 {"policy", "replicator/schedule"},
		"github.com/invopop/jsonschema":          {"policy"},
		"github.com/spf13/cobra":                 {"cmd/internal/app", "cmd/transship-demo"},
		"github.com/spf13/pflag":                 {"cmd/internal/app"}, // cobra's own flags
		"github.com/rogpeppe/go-internal":        {"cmd/transship"},
		"github.com/sirupsen/logrus":             {"providers/registrytest"}, // distribution's own logger
		"github.com/vbauerster/mpb":              {"cmd/internal/app"},
		"github.com/fsnotify/fsnotify":           {"cmd/internal/app"},
		"github.com/prometheus/client_golang":    {"cmd/internal/metrics"},
		"github.com/getkin/kin-openapi":          {"cmd/internal/web"}, // in tests
		"golang.org/x/time":                      {"providers/limit", "providers/registrytest"},
		"github.com/docker/cli":                  {"cmd/internal/app"},
		"github.com/google/go-containerregistry": {"providers", "replicator", "state", "cmd"},
		"golang.org/x/sync":                      {"providers", "replicator", "state", "cmd"},
		"github.com/aws/aws-sdk-go-v2":           {"providers/ecr", "providers/ecrpublic"},
		"github.com/aws/smithy-go":               {"providers/ecr"}, // the SDK's own errors
		"github.com/Azure/azure-sdk-for-go":      {"providers/acr"},
		"cloud.google.com/go":                    {"providers/gar"},
		"google.golang.org/api":                  {"providers/gar"}, // options and errors of its client
		"google.golang.org/protobuf":             {"providers/gar", "cmd/internal/trace/tracetest"},
		"go.opentelemetry.io":                    {"cmd/internal/trace"},
		"github.com/go-logr/logr":                {"cmd/internal/trace"}, // what OpenTelemetry's SDK logs by
		"github.com/googleapis/gax-go":           {"providers/gar"},      // the same
	}
	standard := func(imp string) bool { return !strings.Contains(strings.Split(imp, "/")[0], ".") }
	for _, f := range files(t) {
		for _, imp := range f.imports {
			if standard(imp) || within(imp, module) {
				continue
			}
			home, known := homeOf(homes, imp)
			if !known && !f.isTest() {
				t.Errorf("%s imports %s, which has no home: name its one folder here, with the reason in the commit", f.name, imp)
			}
			if known && !slices.ContainsFunc(home, func(dir string) bool { return within(f.pkg(), dir) }) {
				t.Errorf("%s imports %s, whose home is %s", f.name, imp, strings.Join(home, ", "))
			}
		}
	}
}

func homeOf(homes map[string][]string, imp string) ([]string, bool) {
	for prefix, dirs := range homes {
		if within(imp, prefix) {
			return dirs, true
		}
	}
	return nil, false
}

// TestTopLevel holds the user's layout: nothing new beside it.
func TestTopLevel(t *testing.T) {
	want := []string{
		"cmd", "replicator", "providers", "policy", "state", "charts", "go.mod", "go.sum", "README.md", "LICENSE",
		"docs", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Dockerfile",
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) {
			t.Errorf("%s stands at the top level: the layout there is fixed", e.Name())
		}
	}
}
