package app

import (
	"fmt"
	"strings"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/plan"
)

// TestOneRegistryDown: a registry that is down is not five hundred failures.
func TestOneRegistryDown(t *testing.T) {
	var failures []replicator.Failure
	for i := range 500 {
		failures = append(failures, replicator.Failure{Target: plan.Place{Registry: "west", Repo: fmt.Sprintf("r%03d", i)}, Tag: "*",
			Kind: providers.Denied, Reason: "target: denied", Hint: "check the password"})
	}
	failures = append(failures, replicator.Failure{Target: plan.Place{Registry: "west", Repo: "r"}, Tag: "v1", Kind: providers.Denied, Reason: "one tag"})
	var out strings.Builder
	(&program{stderr: &out}).writeTrouble(nil, nil, failures)
	if got := strings.Count(out.String(), "\n"); got != 3*2+1+1 {
		t.Errorf("%d lines:\n%s", got, out.String())
	}
	for _, want := range []string{"failed: west/r002: target: denied\n  try: check the password\n", "west/r:v1: one tag",
		"497 repositories of west more, in the same way (denied)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}
