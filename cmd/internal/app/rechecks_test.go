package app

import (
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/replicator/plan"
)

// What several repositories and targets tell of one rule is one sentence, with the
// longest period.
func TestSlowed(t *testing.T) {
	got := strings.Join(slowed([]plan.Slowed{
		{Rule: "b", Registry: "src", Said: time.Hour, Every: time.Hour, PutOff: 3},
		{Rule: "a", Registry: "src", Said: time.Hour, Every: 2 * time.Hour},
		{Rule: "a", Registry: "src", Said: time.Hour, Every: 3*time.Hour + 20*time.Minute + 7*time.Second},
	}), "\n")
	want := `rule a asks src for new referrers of unchanged images every 3h20m, not every 1h: a tenth of its limits.requests allows no more
rule b leaves it to later runs to ask src for new referrers of some unchanged images: a tenth of its limits.requests allows no more`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
