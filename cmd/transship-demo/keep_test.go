package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/cmd/internal/app"
	"github.com/transship/transship/state/statetest/needs"
)

// TestKeep does what --keep tells people to try, in a shell, as it is printed.
func TestKeep(t *testing.T) {
	needs.Tool(t, "sh")
	needs.Tool(t, "curl")
	bin := shim(t)
	emptyTemp(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs bytes.Buffer
	d := &demo{options: options{keep: true, size: "small", output: "text"}, stdout: &out, stderr: &errs, transship: app.Main}
	d.kept = func() {
		defer cancel()
		tryAll(t, d, bin, out.String())
	}
	if code := d.run(ctx); code != exitDone {
		t.Errorf("exit code %d\n%s\n%s", code, &out, &errs)
	}
}

// shim makes "transship" a program in a folder, which it returns.
func shim(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := "#!/bin/sh\n" + asTransship + "=1 exec '" + self + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "transship"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func tryAll(t *testing.T, d *demo, bin, printed string) {
	t.Helper()
	env := append(os.Environ(), d.world.environment()...)
	env = append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, h := range d.world.try() {
		if !strings.Contains(printed, h.shell(program())) {
			t.Errorf("not printed: %s", h.command)
		}
		c := exec.CommandContext(t.Context(), "sh", "-c", h.shell("transship"))
		c.Env = env
		got, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", h.command, err, got)
		}
		if !strings.Contains(string(got), h.shows) {
			t.Errorf("%s: want %q in\n%s", h.command, h.shows, got)
		}
	}
	if err := d.world.verify(); err != nil {
		t.Errorf("after all that: %v", err)
	}
	if tags := d.world.google.Tags("acme/mirror/team/shop"); tags["stable"] != tags["v1.0"] {
		t.Error("the moved tag was not followed")
	}
}
