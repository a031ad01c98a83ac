package app

import (
	"crypto/sha256"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// quiet is how long nothing may change before a change counts: editors write in
// several steps.
const quiet = 300 * time.Millisecond

// watchPolicy signals when the bytes of the policy's files have changed, by whatever
// means: written in place, replaced, or behind a link that leads elsewhere now, as
// Kubernetes does it. stop ends it. Where files cannot be watched it says so once,
// and never signals.
func watchPolicy(paths []string, log *slog.Logger) (changed <-chan struct{}, stop func()) {
	signals := make(chan struct{}, 1)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("the policy's files cannot be watched; send SIGHUP after a change", "err", err)
		return signals, func() {}
	}
	for _, dir := range watched(paths) {
		if err := w.Add(dir); err != nil {
			log.Warn("a folder of the policy cannot be watched; send SIGHUP after a change", "folder", dir, "err", err)
		}
	}
	known := contentOf(paths) // by now: a change from here on is seen
	var watching sync.WaitGroup
	watching.Go(func() { follow(w, paths, known, signals) })
	return signals, func() {
		w.Close()
		watching.Wait()
	}
}

// watched are the folders in which something changes when the policy does.
func watched(paths []string) []string {
	var dirs []string
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.IsDir() {
			dirs = append(dirs, p)
			continue
		}
		dirs = append(dirs, filepath.Dir(p))
	}
	return dirs
}

// follow signals each change of content until the watcher is closed.
func follow(w *fsnotify.Watcher, paths []string, known [32]byte, signals chan<- struct{}) {
	settled := time.NewTimer(time.Hour)
	defer settled.Stop()
	for {
		select {
		case _, ok := <-w.Events:
			if !ok {
				return
			}
			settled.Reset(quiet)
		case <-w.Errors: // events were lost: look
			settled.Reset(quiet)
		case <-settled.C:
			settled.Reset(time.Hour)
			now := contentOf(paths)
			if now == known {
				continue
			}
			known = now
			select {
			case signals <- struct{}{}:
			default: // one is enough
			}
		}
	}
}

// contentOf is a sum of the policy's files and their names.
func contentOf(paths []string) (sum [32]byte) {
	h := sha256.New()
	for _, p := range paths {
		_ = filepath.WalkDir(resolved(p), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			raw, err := os.ReadFile(name)
			if err == nil {
				part := sha256.Sum256(raw)
				h.Write([]byte(filepath.Base(name)))
				h.Write(part[:])
			}
			return nil
		})
	}
	return [32]byte(h.Sum(nil))
}

// resolved follows a link that a path itself is; a walk would not.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
