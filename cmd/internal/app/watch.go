package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/transship/transship/policy"
)

const (
	// quiet is how long nothing may change before a change counts: editors write in
	// several steps.
	quiet = 300 * time.Millisecond
	// unrest is how long it may go on until one looks in any case: logs and state may
	// be written in the folder of the policy.
	unrest = 2 * time.Second
	// unasked is how often one looks without having been told: not every file system
	// tells, and not every folder that a link leads through is watched.
	unasked = time.Minute
)

// watchPolicy signals when the bytes of the policy's files have changed, by whatever
// means: written in place, replaced, or behind a link that leads elsewhere now, as
// Kubernetes does it. stop ends it. What cannot be watched, is told once, and
// looked at each minute; where nothing can be it never signals.
func watchPolicy(paths []string, log *slog.Logger) (changed <-chan struct{}, stop func()) {
	signals := make(chan struct{}, 1)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("the policy's files cannot be watched; send SIGHUP after a change", "err", err)
		return signals, func() {}
	}
	for _, dir := range watched(paths) {
		if err := w.Add(dir); err != nil {
			log.Warn("a folder of the policy cannot be watched: a change is seen within a minute, or after SIGHUP", "folder", dir, "err", err)
		}
	}
	known := policy.Sum(paths...) // by now: a change from here on is seen
	var watching sync.WaitGroup
	watching.Go(func() { follow(w, paths, known, signals) })
	return signals, func() {
		w.Close()
		watching.Wait()
	}
}

// watched are the folders in which something changes when the policy does: those of
// its files, and those that links of these lead to.
func watched(paths []string) []string {
	var dirs []string
	for _, p := range paths {
		for _, name := range []string{p, resolved(p)} {
			if info, err := os.Stat(name); err != nil || !info.IsDir() {
				name = filepath.Dir(name)
			}
			if !slices.Contains(dirs, name) {
				dirs = append(dirs, name)
			}
		}
	}
	return dirs
}

// resolved is where a path leads that is a link.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// follow signals each change of content until the watcher is closed.
func follow(w *fsnotify.Watcher, paths []string, known [32]byte, signals chan<- struct{}) {
	look := time.NewTimer(unasked)
	defer look.Stop()
	var since time.Time // of the first change that was not looked at
	for {
		select {
		case _, ok := <-w.Events:
			if !ok {
				return
			}
		case <-w.Errors: // events were lost: look
		case <-look.C:
			look.Reset(unasked)
			since = time.Time{}
			known = compare(known, policy.Sum(paths...), signals)
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		look.Reset(min(quiet, unrest-time.Since(since)))
	}
}

// compare signals if now is not what was known, and returns it.
func compare(known, now [32]byte, signals chan<- struct{}) [32]byte {
	if now != known {
		select {
		case signals <- struct{}{}:
		default: // one is enough
		}
	}
	return now
}
