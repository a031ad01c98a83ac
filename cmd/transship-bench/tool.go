package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A tool is one that is measured.
type tool struct {
	name  string
	about string // how it is run, for readers
	path  string // "" if it is not installed
	// missing says what to do about it then.
	missing string
	version string
	// remembers is whether it keeps state from one pass to the next.
	remembers bool
	// hashes is whether it hashes what it copies.
	hashes bool
	// realmByName is whether it refuses a token service on a private address of
	// another port, as it has here; it is then told localhost.
	realmByName bool
	// pass returns what to run for one pass over j, having written the files that it
	// reads into j.dir.
	pass func(path string, j job) ([]batch, error)
}

// A job is what a tool is asked to do.
type job struct {
	dir     string // the tool's own, the same for every pass of a run
	source  string // host:port
	targets []string
	repos   []string
	login   bool // all registries want to know who it is
	clouds  *pointer
	chunks  string // "yes" or "no", for a tool that can be told whether targets take uploads in pieces
}

// Who a tool is where a registry asks. It opens nothing else.
const (
	userName = "bench"
	password = "bench-only"
)

// environment is a tool's: nothing of it points outside of dir.
func environment(dir string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TZ=UTC",
		"HOME=" + dir, "TMPDIR=" + dir, "DOCKER_CONFIG=" + filepath.Join(dir, "docker"),
		"NO_PROXY=*", "_CONTAINERS_ROOTLESS_UID=1000"} // the last keeps skopeo's blob cache below XDG_DATA_HOME for root too
	for _, name := range []string{"CONFIG", "CACHE", "DATA", "STATE"} {
		env = append(env, fmt.Sprintf("XDG_%s_HOME=%s", name, filepath.Join(dir, "xdg", strings.ToLower(name))))
	}
	return append(env, "XDG_RUNTIME_DIR="+filepath.Join(dir, "xdg", "run"))
}

// ourName is the tool that the bars are for.
const ourName = "transship"

// knownTools lists all, in the order in which they take turns.
func knownTools() []tool { return []tool{transshipTool(), regsyncTool(), skopeoTool(), craneTool()} }

// findTools are the known ones, and whether they are installed: transship at its
// path, the others in the folder, or where the system has them.
func findTools(transship, folder string) []tool {
	all := knownTools()
	for i := range all {
		t := &all[i]
		if t.path = transship; t.name != ourName {
			t.path = find(folder, t.name)
		}
		if t.path == "" {
			t.missing = "not installed: .ci/bench installs it"
			continue
		}
		t.version = versionOf(*t)
	}
	return all
}

// find looks for a program in a folder, then in PATH. What it returns is absolute,
// as tools run in folders of their own.
func find(folder, name string) string {
	for _, candidate := range []string{filepath.Join(folder, name), name} {
		if path, err := exec.LookPath(candidate); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				return path
			}
		}
	}
	return ""
}

// modules are those whose version is a tool's, where it is built from a module
// file of ours.
var modules = map[string]string{
	"regsync": "github.com/regclient/regclient",
	"crane":   "github.com/google/go-containerregistry",
}

// versionOf asks the program's build, or the program.
func versionOf(t tool) string {
	if info, err := buildinfo.ReadFile(t.path); err == nil && modules[t.name] != "" {
		for _, dep := range info.Deps {
			if dep.Path == modules[t.name] {
				return dep.Version
			}
		}
		if info.Main.Path == modules[t.name] {
			return info.Main.Version
		}
	}
	argument := "version"
	if t.name == "skopeo" {
		argument = "--version"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.path, argument)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "version unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	version := strings.TrimPrefix(strings.TrimPrefix(line, t.name+" "), "version ")
	version, _, _ = strings.Cut(version, " ")
	return version
}
