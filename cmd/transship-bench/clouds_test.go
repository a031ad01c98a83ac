package main

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The clouds in small: transship asks each for lists only, and peers are computed.
func TestClouds(t *testing.T) {
	code, r, out, errs := benchmark(t, t.TempDir(), "--scenario", "clouds", "--tool", "transship,crane")
	if code != exitDone {
		t.Errorf("exit code %d\n%s\n%s", code, out, errs)
	}
	o := r.outcome("clouds")
	if o.Shape.Repositories != 4 || o.Shape.Tags != 400 {
		t.Errorf("corpus %+v", o.Shape)
	}
	ours := o.row("transship")
	if !ours.measured() || result(ours) != "right" || ours.Runs[0].Verdict.Tags != 800 {
		t.Fatalf("transship: %+v\n%s", ours, errs)
	}
	x := ours.Runs[0]
	for name, s := range map[string]side{"source": x.Source, "targets": x.Target} {
		if n := s.Requests.total(); n == 0 || n != s.Requests[registrytest.Tags] || s.Bytes != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if x.Source.Requests.total() != 4+1 || x.Target.Requests.total() > 2*4+1 || x.Target.Requests[registrytest.Token] == 0 {
		t.Errorf("calls: %+v and %+v", x.Source.Requests, x.Target.Requests)
	}
	if crane := o.row("crane"); crane.measured() || crane.Derived == nil || crane.Derived.Source != 2*(2*4+400) || !strings.Contains(out, "derived, not measured") {
		t.Errorf("crane: %+v in\n%s", crane, out)
	}
}

// What is derived is what was measured, where there is a measurement: 400 tags in 10
// repositories, one target.
func TestDerivedAsMeasured(t *testing.T) {
	for tool, want := range map[string][2]int64{"regsync": {1610, 800}, "skopeo": {1220, 800}, "crane": {420, 410}} {
		d := derive(tool, content.Shape{Repositories: 10, Tags: 400}, 1)
		if d == nil || d.Source != want[0] || d.Target != want[1] {
			t.Errorf("%s: %+v, want %v", tool, d, want)
		}
	}
	if d := derive(ourName, content.Shape{Repositories: 10, Tags: 400}, 1); d != nil {
		t.Errorf("transship is measured, and not %+v", d)
	}
}
