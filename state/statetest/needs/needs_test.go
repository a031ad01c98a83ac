package needs

import (
	"os"
	"path/filepath"
	"testing"
)

// A fakeTB notes how a test ended instead of ending it.
type fakeTB struct {
	testing.TB
	skipped, failed bool
}

func (f *fakeTB) Helper()               {}
func (f *fakeTB) Skipf(string, ...any)  { f.skipped = true }
func (f *fakeTB) Skip(...any)           { f.skipped = true }
func (f *fakeTB) Fatalf(string, ...any) { f.failed = true }

func TestTool(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "there"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	for _, tt := range []struct {
		name, ci        string
		skipped, failed bool
	}{
		{"there", "", false, false},
		{"there", "true", false, false},
		{"absent", "", true, false},
		{"absent", "true", false, true},
	} {
		t.Run(tt.name+" CI="+tt.ci, func(t *testing.T) {
			t.Setenv("CI", tt.ci)
			var f fakeTB
			Tool(&f, tt.name)
			if f.skipped != tt.skipped || f.failed != tt.failed {
				t.Errorf("skipped %v, failed %v; want %v, %v", f.skipped, f.failed, tt.skipped, tt.failed)
			}
		})
	}
}

func TestLong(t *testing.T) {
	for value, skipped := range map[string]bool{"": true, "1": false} {
		t.Setenv("TRANSSHIP_LONG", value)
		var f fakeTB
		Long(&f)
		if f.skipped != skipped {
			t.Errorf("TRANSSHIP_LONG=%q: skipped %v, want %v", value, f.skipped, skipped)
		}
	}
}
