// Package needs is how a test asks for what not every machine has. Where CI=true
// its absence fails the test; elsewhere the test is skipped and says how to get it.
package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// A tool is where to look for a program that tests need, and how to get it.
type tool struct {
	program string
	folders string // a pattern of folders that are not in PATH
	get     string
}

func tools() map[string]tool {
	return map[string]tool{
		"postgres":        {"initdb", "/usr/lib/postgresql/*/bin", "apt-get install -y postgresql"},
		"pgbouncer":       {"pgbouncer", "/usr/sbin", "apt-get install -y pgbouncer"},
		"cc":              {"cc", "", "apt-get install -y gcc libc6-dev"},
		"docker-registry": {"docker-registry", "", "apt-get install -y docker-registry"},
	}
}

// Tool returns the path of the program that stands for the tool; for postgres it
// is initdb, and the server lies beside it. A name that is not in the list here is
// looked up in PATH.
func Tool(t testing.TB, name string) string {
	t.Helper()
	want, ok := tools()[name]
	if !ok {
		want = tool{name, "", "install " + name + " and put it into PATH"}
	}
	path, found := find(want)
	if !found {
		Missing(t, name, want.get)
	}
	return path
}

// Long skips a test that takes minutes unless TRANSSHIP_LONG=1.
func Long(t testing.TB) {
	t.Helper()
	if os.Getenv("TRANSSHIP_LONG") != "1" {
		t.Skip("takes minutes: set TRANSSHIP_LONG=1 to run it")
	}
}

// Missing fails the test where CI=true and skips it elsewhere, for want of
// something that a test has found missing by itself; get says how to get it.
func Missing(t testing.TB, name, get string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s: %s", name, get)
	} else {
		t.Skipf("needs %s: %s", name, get)
	}
}

// find prefers the newest of several folders.
func find(w tool) (string, bool) {
	if path, err := exec.LookPath(w.program); err == nil {
		return path, true
	}
	if w.folders == "" {
		return "", false
	}
	paths, err := filepath.Glob(filepath.Join(w.folders, w.program))
	if err != nil || len(paths) == 0 {
		return "", false
	}
	return slices.Max(paths), true
}
