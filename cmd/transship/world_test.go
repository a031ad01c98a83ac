package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/transship/transship/cmd/internal/trace/tracetest"
	"github.com/transship/transship/providers/registrytest"
)

// A world is the registries of one script.
type world struct {
	dir     string
	servers map[string]*registrytest.Server
	arrived map[string]*arrivals
	traces  *tracetest.Collector // nil without one
}

type worldKey struct{}

func newWorld(env *testscript.Env) *world {
	w := &world{dir: env.WorkDir, servers: map[string]*registrytest.Server{}, arrived: map[string]*arrivals{}}
	env.Defer(func() {
		for _, s := range w.servers {
			s.Release()
			s.Close()
		}
	})
	return w
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// server finds the registry that a command's first argument names.
func server(ts *testscript.TestScript, args []string, atLeast int) *registrytest.Server {
	if len(args) < atLeast {
		ts.Fatalf("too few arguments: see TestScripts")
	}
	s := worldOf(ts).servers[args[0]]
	if s == nil {
		ts.Fatalf("no registry %q: start it with: registry %s", args[0], args[0])
	}
	return s
}

// cmdRegistry starts a registry; $SRC is the host of "registry src", and src.pem
// its certificate authority if it has one.
func cmdRegistry(ts *testscript.TestScript, _ bool, args []string) {
	name := first(args)
	if name == "" {
		ts.Fatalf("usage: registry NAME [QUIRK...]")
	}
	words := args[1:]
	expired := slices.Contains(words, "expired") // a certificate that is
	secure := expired || slices.Contains(words, "tls")
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "tls" || w == "expired" })
	s, err := registrytest.Start(registrytest.Options{TLS: secure, Expired: expired})
	ts.Check(err)
	w := worldOf(ts)
	w.servers[name], w.arrived[name] = s, watch(s)
	setQuirks(ts, s, words)
	ts.Setenv(strings.ToUpper(name), s.Host())
	if ca := s.CA(); ca != nil {
		ts.Check(os.WriteFile(filepath.Join(w.dir, name+".pem"), ca, 0o644))
	}
}

// cmdQuirk changes how a registry behaves.
func cmdQuirk(ts *testscript.TestScript, _ bool, args []string) {
	setQuirks(ts, server(ts, args, 2), args[1:])
}

// setQuirks understands the words of scripts; NAME=VALUE where a quirk has one.
func setQuirks(ts *testscript.TestScript, s *registrytest.Server, words []string) {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		set, ok := quirks()[name]
		if !ok {
			ts.Fatalf("no quirk %q", name)
		}
		s.Set(func(q *registrytest.Quirks) { set(q, value) })
		switch name {
		case "expire":
			s.ExpireTokens()
		case "stall":
			s.Next(1, registrytest.Class(value), registrytest.Fault{Break: registrytest.Stall, At: 1})
		}
	}
}

func quirks() map[string]func(q *registrytest.Quirks, value string) {
	type Q = *registrytest.Quirks
	return map[string]func(Q, string){
		"basic":      func(q Q, _ string) { q.Mode, q.Users = registrytest.Basic, map[string]string{"sync": "hunter2"} },
		"bearer":     func(q Q, _ string) { q.Mode, q.Users = registrytest.Bearer, map[string]string{"sync": "hunter2"} },
		"password":   func(q Q, v string) { q.Users = map[string]string{"sync": v} },
		"read-only":  func(q Q, v string) { q.ReadOnly = v != "no" },
		"full":       func(q Q, v string) { q.Full = v != "no" },
		"must-exist": func(q Q, v string) { q.MustExist = registrytest.MustExist(v) },
		"no-catalog": func(q Q, _ string) { q.NoCatalog = true },
		"skew":       func(q Q, v string) { q.ClockSkew, _ = time.ParseDuration(v) },
		"no-mount":   func(q Q, _ string) { q.NoMount = true },
		"sparse":     func(q Q, _ string) { q.SparseIndex = true },
		"upload-at":  func(q Q, v string) { q.UploadHost = v },
		"immutable":  func(q Q, v string) { q.Immutable = registrytest.Immutable(v) },
		"rate":       func(q Q, v string) { q.ConnBytesPerSecond, _ = strconv.ParseInt(v, 10, 64) },
		"digest":     func(q Q, v string) { q.WrongDigestHeader = v == "wrong" },
		"expire":     func(Q, string) {}, // every token, now
		"stall":      func(Q, string) {}, // the next request of a class, after a byte of its answer
	}
}

// cmdTags prints a registry's tags and their digests.
func cmdTags(ts *testscript.TestScript, _ bool, args []string) {
	s := server(ts, args, 1)
	for _, repo := range s.Repositories() {
		tags := s.Tags(repo)
		for _, tag := range slices.Sorted(maps.Keys(tags)) {
			fmt.Fprintf(ts.Stdout(), "%s:%s %s\n", repo, tag, tags[tag])
		}
	}
	fmt.Fprint(ts.Stdout(), "")
}

func cmdWhole(ts *testscript.TestScript, neg bool, args []string) {
	if err := server(ts, args, 1).VerifyAll(); (err != nil) != neg {
		ts.Fatalf("whole: %v", err)
	}
}

func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	source, target := server(ts, args, 2), server(ts, args[1:], 1)
	if err := registrytest.Equal(source, target, nil); (err != nil) != neg {
		ts.Fatalf("same: %v", err)
	}
}

// cmdSoon waits until a target holds what the source does: for what a daemon does on its
// own, and tells nothing of that a script could wait for.
func cmdSoon(ts *testscript.TestScript, _ bool, args []string) {
	source, target := server(ts, args, 2), server(ts, args[1:], 1)
	ts.Check(within(context.Background(), comes, 4*soon, func() error { return registrytest.Equal(source, target, nil) }))
}

func cmdSince(ts *testscript.TestScript, _ bool, args []string) {
	server(ts, args, 1).ResetCounts()
	worldOf(ts).arrived[args[0]].reset()
}

func cmdCount(ts *testscript.TestScript, _ bool, args []string) {
	s := server(ts, args, 3)
	class := registrytest.Class(args[1])
	if !slices.Contains(registrytest.Classes(), class) {
		ts.Fatalf("no class of requests %q", class)
	}
	if got := s.Counts().Of(class); strconv.FormatInt(got, 10) != args[2] {
		ts.Fatalf("%d requests of %s, want %s\n%s", got, class, args[2], s.Counts())
	}
}

func cmdWrites(ts *testscript.TestScript, _ bool, args []string) {
	s := server(ts, args, 2)
	if got := s.Counts().Writes(); strconv.FormatInt(got, 10) != args[1] {
		ts.Fatalf("%d requests wanted to change something, want %s\n%s", got, args[1], s.Counts())
	}
}

func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	server(ts, args, 2)
	worldOf(ts).arrived[args[0]].wait(registrytest.Class(args[1]))
}

func cmdRelease(ts *testscript.TestScript, _ bool, args []string) { server(ts, args, 1).Release() }

// arrivals knows which classes of requests have come. Safe for concurrent use.
type arrivals struct {
	mu   sync.Mutex
	cond sync.Cond
	seen map[registrytest.Class]int
	hook func(registrytest.Class) // called before a request is served
}

func (a *arrivals) wait(class registrytest.Class) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.seen[class] == 0 {
		a.cond.Wait()
	}
}

func (a *arrivals) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.seen)
}

func (a *arrivals) arrive(class registrytest.Class) {
	a.mu.Lock()
	a.seen[class]++
	hook := a.hook
	a.cond.Broadcast()
	a.mu.Unlock()
	if hook != nil {
		hook(class)
	}
}
