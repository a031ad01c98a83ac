package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRunBatches(t *testing.T) {
	dir := t.TempDir()
	shell := func(text string) command {
		return command{path: "/bin/sh", args: []string{"-c", text}, dir: dir, env: []string{"PATH=" + os.Getenv("PATH")}}
	}
	log := func(name string) command { return shell("echo " + name + " >> log") }
	for _, tt := range []struct {
		name    string
		batches []batch
		exit    int
		log     string
	}{
		{"nothing", nil, 0, ""},
		{"one after the other", []batch{{1, []command{log("a"), log("b")}}, {1, []command{log("c")}}}, 0, "a\nb\nc\n"},
		{"a failure stops nothing", []batch{{1, []command{shell("exit 3"), log("b")}}, {1, []command{shell("exit 4")}}}, 3, "b\n"},
		{"a signal", []batch{{2, []command{shell("kill -9 $$"), log("b")}}}, killed, "b\n"},
	} {
		_ = os.Remove(filepath.Join(dir, "log"))
		u, err := runBatches(t.Context(), tt.batches)
		raw, _ := os.ReadFile(filepath.Join(dir, "log"))
		if err != nil || u.Exit != tt.exit || string(raw) != tt.log {
			t.Errorf("%s: exit %d, %v, log %q; want exit %d, log %q", tt.name, u.Exit, err, raw, tt.exit, tt.log)
		}
	}
	if _, err := runBatches(t.Context(), []batch{{1, []command{{path: "/nowhere"}}}}); err == nil {
		t.Error("a program that is not there is no error")
	}
}

// Side by side is what the width says: four processes that wait for each other
// end only if they run at once.
func TestSideBySide(t *testing.T) {
	dir := t.TempDir()
	meet := `echo here >> here; while [ $(wc -l < here) -lt 4 ]; do :; done`
	c := command{path: "/bin/sh", args: []string{"-c", meet}, dir: dir, env: []string{"PATH=" + os.Getenv("PATH")}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // for those that wait in vain
	defer cancel()
	u, err := runBatches(ctx, []batch{{4, []command{c, c, c, c}}})
	if err != nil || u.Exit != 0 || u.CPU <= 0 {
		t.Errorf("%+v %v", u, err)
	}
	c.args[1] = `i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done` // many of the looks at its memory long
	alone, err := runBatches(t.Context(), []batch{{1, []command{c}}})
	if err != nil || alone.Peak <= 0 || u.Peak < 2*alone.Peak {
		t.Errorf("peak of four side by side %d, of one %d (%v)", u.Peak, alone.Peak, err)
	}
}

// Whoever ends the context ends the processes and what they started, and gets
// what they took.
func TestKilled(t *testing.T) {
	started := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := command{path: "/bin/sh", args: []string{"-c", `sleep 1000 & echo x > "$0"; wait`, started}, env: []string{"PATH=" + os.Getenv("PATH")}}
	go func() {
		_, _ = os.ReadFile(started) // once the process writes
		cancel()
	}()
	u, err := runBatches(ctx, []batch{{1, []command{c, c}}})
	if err != nil || u.Exit != killed {
		t.Errorf("exit %d, %v", u.Exit, err)
	}
}

// A tool's memory is its own, not what this process had when it started it.
func TestPeakIsTheChilds(t *testing.T) {
	ballast := make([]byte, 200<<20)
	for i := range ballast {
		ballast[i] = 1
	}
	u, err := runBatches(t.Context(), []batch{{1, []command{{path: "/bin/sh", args: []string{"-c", "read x"}, env: []string{"PATH="}}}}})
	if err != nil || u.Peak > 50<<20 {
		t.Errorf("a shell took %d MiB, %v", u.Peak>>20, err)
	}
	ballast[0] = 2
}
