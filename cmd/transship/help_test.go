package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/transship/transship/cmd/internal/app"
)

// TestHelp holds what every command says of itself, and that it has an example.
func TestHelp(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/home/you/.local/state")
	t.Setenv("XDG_CACHE_HOME", "/home/you/.cache")
	for _, command := range []string{
		"", "plan", "sync", "copy", "check", "adopt", "status", "version", "completion",
		"config", "config init", "doctor", "providers", "config validate", "config schema",
	} {
		t.Run("transship "+command, func(t *testing.T) {
			var out, complaints bytes.Buffer
			code := app.Main(append(strings.Fields(command), "--help"), strings.NewReader(""), &out, &complaints)
			if code != 0 || complaints.Len() > 0 {
				t.Errorf("exit code %d, stderr %q", code, &complaints)
			}
			golden(t, filepath.Join("testdata", "help", "transship "+command), out.String())
			if !strings.Contains(out.String(), "\nExamples:\n") {
				t.Error("the help has no example")
			}
			if !strings.Contains(out.String(), "Exit codes: 0 ") {
				t.Error("the help does not tell the exit codes")
			}
		})
	}
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := strings.ReplaceAll(strings.TrimSpace(name), " ", "-") + ".golden"
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not what %s says; if that is right: go test ./cmd/transship -update\n%s", path, got)
	}
}
