package replicator

import (
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
)

// TestFiguresCountOnce holds a job's figures against what was put.
func TestFiguresCountOnce(t *testing.T) {
	r := newRig(t, oneRule, nil)
	r.load("team/app", content.Image("a", []content.Blob{content.Layer("la", 1000)}), "v1", "latest")
	reports, _ := r.pass()
	r.fine(reports)
	if got := reports[0].Figures; got.Copied != 4 || got.Failed != 0 || got.Manifests != 4 {
		t.Errorf("2 tags at 2 targets, and the report says %+v", got)
	}
}
