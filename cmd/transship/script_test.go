package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/transship/transship/state/statetest/needs"
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestMain lets scripts run this binary as transship.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"transship": main})
}

// TestScripts runs testdata/script: what people type, and what they get to see.
// Its commands are those of testscript and:
//
//	registry NAME [QUIRK...]         start a registry on loopback; $NAME is its host
//	quirk NAME QUIRK...              change how it behaves from now on
//	push NAME REPO:TAG KIND [SIZE]   put an image there, without a request
//	damage NAME REPO:TAG HOW         break what it holds, without a request
//	moves NAME REPO:TAG KIND         move the tag while the next blob is read
//	tags NAME                        print what its tags name, sorted
//	whole NAME                       every tag resolves to its last byte
//	same NAME NAME                   the second holds all that the first does
//	soon NAME NAME                   the same, waited for a minute at most
//	since NAME                       count requests anew
//	count NAME CLASS N               so many requests of a class came since
//	writes NAME N                    so many requests wanted to change something
//	await NAME CLASS                 wait for a request of a class
//	release NAME                     let go on what stalls
//	exits CODE COMMAND...            run it, and want this exit code
//	fill FILE...                     replace $VARIABLES in files
//	appears FILE TEXT                wait until a file holds a text
//	grow FILE BYTES TEXT             append TEXT until the file is so large
//	collector [hangs|STATUS]         start a collector of traces, or change what it answers
//	spans [-wait TEXT] ATTRIBUTE...  print the trees of the spans that came
func TestScripts(t *testing.T) { testscript.Run(t, params("testdata/script")) }

// TestDisks runs testdata/disk, whose scripts mount small disks of their own.
func TestDisks(t *testing.T) {
	unshare := needs.Tool(t, "unshare")
	out, err := exec.Command(unshare, "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt").CombinedOutput()
	if err != nil {
		needs.Missing(t, "a mount in a namespace of its own", fmt.Sprintf("run as root, or allow user namespaces: %v: %s", err, out))
	}
	testscript.Run(t, params("testdata/disk"))
}

func params(dir string) testscript.Params {
	return testscript.Params{
		Dir:   dir,
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"registry": cmdRegistry, "quirk": cmdQuirk, "push": cmdPush, "damage": cmdDamage, "moves": cmdMoves,
			"tags": cmdTags, "whole": cmdWhole, "same": cmdSame, "soon": cmdSoon,
			"since": cmdSince, "count": cmdCount, "writes": cmdWrites, "await": cmdAwait, "release": cmdRelease,
			"exits": cmdExits, "fill": cmdFill, "appears": cmdAppears, "grow": cmdGrow,
			"collector": cmdCollector, "spans": cmdSpans,
		},
		UpdateScripts: *update,
	}
}

// setup gives a script a home of its own, so that nobody's credentials, state or
// cache are touched.
func setup(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("DOCKER_CONFIG", filepath.Join(env.WorkDir, ".docker"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, ".state"))
	env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
	env.Setenv("TRANSSHIP_SPOOL_SIZE", "64MiB")
	env.Values[worldKey{}] = newWorld(env)
	return nil
}

// cmdExits runs a command that has to end with an exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(first(args))
	if err != nil || neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ended, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = ended.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdFill replaces the script's variables in files, in place. Others stay.
func cmdFill(ts *testscript.TestScript, _ bool, patterns []string) {
	for _, pattern := range patterns {
		names, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(names) == 0 {
			ts.Fatalf("no file %s to fill", pattern)
		}
		for _, name := range names {
			ts.Check(os.WriteFile(name, []byte(fill(ts, ts.ReadFile(name))), 0o644))
		}
	}
}

func fill(ts *testscript.TestScript, text string) string {
	return os.Expand(text, func(v string) string {
		if value := ts.Getenv(v); value != "" {
			return value
		}
		return "${" + v + "}"
	})
}

// cmdGrow appends a text, in which %d is a running number, to a file.
func cmdGrow(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: grow FILE BYTES TEXT")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	b.WriteString(ts.ReadFile(args[0]))
	for n := 0; b.Len() < size; n++ {
		line := strings.ReplaceAll(args[2], "%d", strconv.Itoa(n))
		fmt.Fprintln(&b, line)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o644))
}

// cmdAppears waits for a text that a command in the background writes to a file.
func cmdAppears(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: appears FILE TEXT")
	}
	ts.Check(within(context.Background(), comes, soon, func() error {
		if raw, err := os.ReadFile(ts.MkAbs(args[0])); err != nil || !strings.Contains(string(raw), args[1]) {
			return fmt.Errorf("%s never held %q", args[0], args[1])
		}
		return nil
	}))
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
