package registrytest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
)

// faultyEnv names the fault with which TestFaultyConformance runs; without it
// that test has nothing to do.
const faultyEnv = "REGISTRYTEST_FAULT"

var faulty = map[string]struct {
	set  func(*memreg)
	want string // the subtest that has to fail
}{
	"any bytes":      {func(m *memreg) { m.anyBytes = true }, "wrong_blob"},
	"any manifest":   {func(m *memreg) { m.anyManifest = true }, "incomplete"},
	"rows twice":     {func(m *memreg) { m.twice = true }, "rows"},
	"nobody":         {func(m *memreg) { m.nameless = true }, "whoami"},
	"leaves a trace": {func(m *memreg) { m.traces = true }, "try_push"},
	"plain errors":   {func(m *memreg) { m.plain = true }, "absent"},
}

// TestConformanceFindsFaults runs the suite on registries that break the
// contract, in a process of its own, since there it has to fail.
func TestConformanceFindsFaults(t *testing.T) {
	for name, f := range faulty {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaultyConformance$")
			cmd.Env = append(os.Environ(), faultyEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestFaultyConformance/"+f.want) {
				t.Errorf("the suite did not fail in %q (%v):\n%s", f.want, err, out)
			}
		})
	}
}

func TestFaultyConformance(t *testing.T) {
	f, ok := faulty[os.Getenv(faultyEnv)]
	if !ok {
		return // run by TestConformanceFindsFaults alone
	}
	Conformance(t, Harness{OpenStore: func(*testing.T) providers.Registry {
		m := newMemreg()
		f.set(m)
		return m
	}})
}
