package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/transship/transship/cmd/internal/app"
	"github.com/transship/transship/providers/registrytest"
)

// asTransship makes this test binary the transship command line.
const asTransship = "TRANSSHIP_BENCH_TEST_AS_TRANSSHIP"

func TestMain(m *testing.M) {
	if os.Getenv(asTransship) != "" {
		os.Exit(app.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// script writes a program of the shell's into a folder.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// bench runs the program with small sizes, no peers but those of the folder, and
// a folder for temporary files that has to be empty in the end.
func benchmark(t *testing.T, peers string, args ...string) (code int, r report, stdout, stderr string) {
	t.Helper()
	temp, out := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("PATH", "")
	transship := script(t, out, "transship", asTransship+`=1 exec "`+os.Args[0]+`" "$@"`)
	file := filepath.Join(out, "out.json")
	var o, e bytes.Buffer
	code = run(t.Context(), append([]string{"--scale", "0.001", "--runs", "1", "--transship", transship, "--peers", peers, "--output", file}, args...), &o, &e)
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if raw, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
	}
	return code, r, o.String(), e.String()
}

// transship beside a peer that is not there and one that does nothing.
func TestBench(t *testing.T) {
	peers := t.TempDir()
	script(t, peers, "crane", "exit 0")
	code, r, out, errs := benchmark(t, peers, "--scenario", "first", "--tool", "transship,regsync,crane")
	if code != exitDone {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	o := r.outcome("first")
	ours := o.row("transship")
	if !ours.measured() || !ours.Runs[0].Verdict.Right || ours.Runs[0].Verdict.Tags != 110 {
		t.Fatalf("transship: %+v\n%s", ours, errs)
	}
	if x := ours.Runs[0]; x.Source.Bytes != o.Minimum.SourceBytes || x.Target.Bytes != o.Minimum.TargetBytes || x.CPU <= 0 || x.Wall <= 0 || x.Peak < 1<<20 {
		t.Errorf("its figures: %+v", x)
	}
	if got := result(o.row("crane")); got != "110 of 110 tags missing, 30 of 30 referrers lost" {
		t.Errorf("a tool that does nothing is %q", got)
	}
	if x := o.row("crane").Runs[0]; x.Source.Requests.total()+x.Target.Requests.total()+x.Source.Bytes != 0 {
		t.Errorf("requests of a tool that makes none: %+v", x)
	}
	for _, want := range []string{"not installed: .ci/bench installs it", "minimum", "first sync", "held"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, secret := range []string{os.TempDir(), "127.0.0.1"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is printed:\n%s", secret, out)
		}
	}
}

// Transship alone in the scenarios in which something happens on the way, with
// TRANSSHIP_LONG=1 in all: it is right in each, and what was harmed shows.
func TestScenarios(t *testing.T) {
	names := []string{"one-change", "three-targets", "fat-reset-source", "fat-reset-upload", "kill"}
	if os.Getenv("TRANSSHIP_LONG") != "" {
		names = scenarioNames()
	}
	code, r, _, errs := benchmark(t, t.TempDir(), "--tool", "transship", "--scenario", strings.Join(names, ","))
	if code == exitFailed || len(r.Scenarios) != len(names) {
		t.Fatalf("exit code %d, %d scenarios of %d\n%s", code, len(r.Scenarios), len(names), errs)
	}
	for _, o := range r.Scenarios {
		if got := result(o.row("transship")); got != "right" {
			t.Errorf("%s: %s\n%s", o.Name, got, errs)
		}
	}
	seen := func(name string) sample { return r.outcome(name).row("transship").busiest() }
	if x := seen("one-change"); x.Source.Requests.total() > 435 || x.Target.Requests[registrytest.ManifestPut] != 1 || x.Source.Bytes != r.outcome("one-change").Minimum.SourceBytes {
		t.Errorf("one change: %+v", x)
	}
	if x := seen("three-targets"); x.Verdict.Tags != 330 {
		t.Errorf("three targets: %+v", x.Verdict)
	}
	if x := seen("fat-reset-source"); x.Source.Failed != 1 || x.Source.Requests[registrytest.BlobGet] < 8 {
		t.Errorf("the source was not reset once: %+v", x.Source)
	}
	if x := seen("fat-reset-upload"); x.Target.Failed < 1 || x.Target.Requests[registrytest.UploadPatch]+x.Target.Requests[registrytest.UploadPut] < 8 {
		t.Errorf("no upload was reset: %+v", x.Target)
	}
	if x := seen("kill"); x.Source.Requests[registrytest.Tags] <= 20 {
		t.Errorf("there was no second run: %+v", x.Source)
	}
}

// A tool that hangs is killed with what it started, and told as such.
func TestTimeout(t *testing.T) {
	peers := t.TempDir()
	script(t, peers, "regsync", `[ "$1" = version ] || { /bin/sleep 1000 & wait; }`)
	code, r, _, errs := benchmark(t, peers, "--scenario", "first", "--tool", "regsync", "--timeout", "200ms", "--runs", "3")
	x := r.outcome("first").row("regsync")
	if code != exitDone || len(x.Runs) != 1 || !x.Runs[0].TimedOut || x.Runs[0].Exit != killed {
		t.Fatalf("exit code %d: %+v\n%s", code, x, errs)
	}
	if got := result(x); !strings.HasPrefix(got, "timed out: 110 of 110 tags missing") {
		t.Errorf("it is %q", got)
	}
}

// A bench that is interrupted ends the tool that runs, leaves nothing behind, and
// prints what it had measured.
func TestInterrupted(t *testing.T) {
	peers, temp := t.TempDir(), t.TempDir()
	started := pipe(t)
	script(t, peers, "crane", "exit 0")
	script(t, peers, "regsync", `[ "$1" = version ] || { /bin/sleep 1000 & echo $! > "`+started+`"; wait; }`)
	t.Setenv("TMPDIR", temp)
	t.Setenv("PATH", "")
	ctx, cancel := context.WithCancel(t.Context())
	child := make(chan string, 1)
	go func() {
		raw, _ := os.ReadFile(started) // once the tool writes
		child <- strings.TrimSpace(string(raw))
		cancel()
	}()
	file := filepath.Join(peers, "before.json")
	var out, errs bytes.Buffer
	args := []string{"--scale", "0.001", "--runs", "1", "--peers", peers, "--output", file}
	if code := run(ctx, append(args, "--tool", "crane", "--scenario", "first"), &out, &errs); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, &errs)
	}
	out.Reset()
	code := run(ctx, append(args, "--from", file, "--tool", "regsync", "--scenario", "shared"), &out, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d\n%s", code, &errs)
	}
	if !strings.Contains(out.String(), "110 of 110 tags missing") {
		t.Errorf("what was measured is not printed:\n%s", &out)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if stat, gone := os.ReadFile("/proc/" + <-child + "/stat"); gone == nil && !bytes.Contains(stat, []byte(") Z ")) {
		t.Errorf("what the tool had started still runs: %s", stat)
	}
}

// pipe makes a named pipe: who reads it waits for who writes.
func pipe(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(name, 0o600))
	return name
}

// What was measured before is printed without measuring again, and merged.
func TestFrom(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "before.json")
	write := func(r report) {
		raw, _ := json.Marshal(r)
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(sampleReport())
	var out, errs bytes.Buffer
	doc := filepath.Join(dir, "doc.md")
	if err := os.WriteFile(doc, []byte("<!-- bench summary -->\n<!-- /bench summary -->\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"--from", file, "--format", "markdown", "--update", doc}, &out, &errs); code != exitMissed {
		t.Errorf("exit code %d, the report misses bars\n%s", code, &errs)
	}
	golden(t, "markdown", out.String())
	if raw, _ := os.ReadFile(doc); !strings.Contains(string(raw), "| first sync |") {
		t.Errorf("no table in\n%s", raw)
	}
	r := sampleReport()
	r.Scale = 0.001
	write(r)
	if code := run(t.Context(), []string{"--from", file}, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "--scale 0.001") {
		t.Errorf("exit code %d for another scale: %s", code, &errs)
	}
	_, r, _, _ = benchmark(t, dir, "--from", file, "--tool", "transship", "--scenario", "first")
	if len(r.Scenarios) != 2 || len(r.outcome("first").Rows) != 1 || len(r.outcome("faults").Rows) != 4 || len(r.Tools) != 4 {
		t.Errorf("merged: %d scenarios, %d and %d rows, %d tools", len(r.Scenarios), len(r.outcome("first").Rows), len(r.outcome("faults").Rows), len(r.Tools))
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--help", exitDone, "Exit codes:"},
		{"--list", exitDone, "skopeo"},
		{"--scenario nonsense", exitUsage, `--scenario: "nonsense" is not one of first,`},
		{"--tool oras", exitUsage, `"oras" is not one of transship`},
		{"--format html", exitUsage, "text, markdown, json"},
		{"--output x.html", exitUsage, "txt, md, json"},
		{"--runs 0", exitUsage, "--runs"},
		{"--scale 2", exitUsage, "--scale"},
		{"--update /nowhere/x.md", exitUsage, "/nowhere/x.md"},
		{"more", exitUsage, `unexpected argument "more"`},
		{"--transship /nowhere/transship --scenario first", exitFailed, "there is no program transship"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), strings.Fields(tt.args), &out, &errs)
		if all := out.String() + errs.String(); code != tt.code || !strings.Contains(all, tt.want) {
			t.Errorf("%s: exit code %d, want %d with %q\n%s", tt.args, code, tt.code, tt.want, all)
		}
	}
}

func TestKeepsOrder(t *testing.T) {
	b := &bench{}
	for _, name := range []string{"kill", "first", "shared", "first"} {
		b.keep(outcome{Name: name, Date: fmt.Sprint(len(b.report.Scenarios))})
	}
	var got []string
	for _, o := range b.report.Scenarios {
		got = append(got, o.Name+o.Date)
	}
	if want := "first3 shared2 kill0"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}
