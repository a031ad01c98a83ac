package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

var updateGoldens = flag.Bool("update", false, "write the goldens anew")

// sampleReport has a tool that is right, one that is wrong, one that timed out and
// one that is not there.
func sampleReport() report {
	shape := content.BaselineShape()
	shape.UniqueBytes, shape.SummedBytes = 336_000_000, 887_000_000
	least := minimumOfAll(shape, 1)
	ours := sample{
		usage:  usage{Wall: 1.25, CPU: 1.51, Peak: 40 << 20},
		Source: side{Requests: least.Source, Bytes: least.SourceBytes, Connections: 32},
		Target: side{Requests: requests{registrytest.Ping: 1, registrytest.Mount: 80, registrytest.UploadPost: 397, registrytest.UploadPut: 397,
			registrytest.ManifestPut: 300}, Bytes: least.TargetBytes, Connections: 70},
		Verdict: verdict{Right: true, Tags: 110},
	}
	wrong := ours
	wrong.Wall, wrong.Peak, wrong.Source.Bytes = 4.5, 70<<20, 887_000_000
	wrong.Verdict = verdict{Tags: 110, Referrers: 30, Lost: 30}
	late := wrong
	late.Wall, late.TimedOut, late.Exit = 300, true, killed
	late.Verdict = verdict{Tags: 110, Missing: 100}
	rows := []row{{Tool: "transship", Runs: []sample{ours, ours, ours}}, {Tool: "regsync", Runs: []sample{late}},
		{Tool: "skopeo", Missing: "not installed: .ci/bench installs it"}, {Tool: "crane", Runs: []sample{wrong, wrong, wrong}}}
	faults := outcome{Name: "faults", Title: "faults", About: "the same with faults", Date: "2026-11-02", Shape: shape, Minimum: least}
	for _, r := range rows {
		r.Runs = append([]sample{}, r.Runs...)
		for i := range r.Runs {
			r.Runs[i].Wall *= 2
		}
		faults.Rows = append(faults.Rows, r)
	}
	return report{
		Machine: machine{Cores: 2, CPU: "Some | CPU", Memory: "24 GiB", System: "linux/amd64", Go: "go1.26"},
		Tools: []about{{"transship", "v1.0.0", "sync", ""}, {"regsync", "v0.11.7", "once", ""},
			{"skopeo", "", "sync --all", "not installed: .ci/bench installs it"}, {"crane", "v0.22.1", "cp -a", ""}},
		Seed: 17, Scale: 1,
		Scenarios: []outcome{
			{Name: "first", Title: "first sync", About: "everything to an empty target", Date: "2026-11-01", Shape: shape, Minimum: least, Rows: rows},
			faults,
		},
	}
}

func TestPrint(t *testing.T) {
	for _, name := range []string{"text", "markdown"} {
		var b bytes.Buffer
		if err := formats[name](&b, sampleReport()); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
	golden(t, "summary", blocks()[1].write(sampleReport()))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *updateGoldens {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; if that is wanted, run with -update and read the diff\n%s", file, got)
	}
}

// What is written as JSON is read back as it was.
func TestJSONAgain(t *testing.T) {
	var b bytes.Buffer
	if err := printJSON(&b, sampleReport()); err != nil {
		t.Fatal(err)
	}
	var again report
	if err := json.Unmarshal(b.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if want := sampleReport(); !reflect.DeepEqual(again, want) {
		t.Errorf("\n got %+v\nwant %+v", again, want)
	}
}
