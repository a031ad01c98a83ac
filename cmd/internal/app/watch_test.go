package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestWatchPolicy holds that a change of the policy's bytes is signalled, by whatever
// means it came, and what changes no byte is not.
func TestWatchPolicy(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir string){
		"in place": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "p.yaml"), "b") },
		"replaced": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "new"), "b")
			rename(t, filepath.Join(dir, "new"), filepath.Join(dir, "p.yaml"))
		},
		"gone": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "p.yaml")); err != nil {
				t.Fatal(err)
			}
		},
		"after a touch": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "p.yaml"), "a")
			write(t, filepath.Join(dir, "p.yaml"), "b")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "p.yaml"), "a")
			changed, stop := watchPolicy([]string{filepath.Join(dir, "p.yaml")}, slog.New(slog.DiscardHandler))
			defer stop()
			change(t, dir)
			signalled(t, changed)
		})
	}
	t.Run("a folder", func(t *testing.T) {
		dir := t.TempDir()
		changed, stop := watchPolicy([]string{dir}, slog.New(slog.DiscardHandler))
		defer stop()
		write(t, filepath.Join(dir, "another.yaml"), "a")
		signalled(t, changed)
	})
}

// TestWatchKubernetes holds that a mounted ConfigMap is followed: its files are
// links through a link that is swapped.
func TestWatchKubernetes(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "p.yaml"), text)
		link(t, name, filepath.Join(dir, "..data_tmp"))
		rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	}
	version("..1", "a")
	link(t, "..data/p.yaml", filepath.Join(dir, "p.yaml"))
	changed, stop := watchPolicy([]string{filepath.Join(dir, "p.yaml")}, slog.New(slog.DiscardHandler))
	defer stop()
	version("..2", "b")
	signalled(t, changed)
}

// TestWatchLink holds that a policy which is a link is followed to where it leads.
func TestWatchLink(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	write(t, filepath.Join(there, "real.yaml"), "a")
	link(t, filepath.Join(there, "real.yaml"), filepath.Join(here, "p.yaml"))
	changed, stop := watchPolicy([]string{filepath.Join(here, "p.yaml")}, slog.New(slog.DiscardHandler))
	defer stop()
	write(t, filepath.Join(there, "real.yaml"), "b")
	signalled(t, changed)
}

// TestWatchUnrest holds that a change is seen in a folder in which something is
// written all the time.
func TestWatchUnrest(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.yaml"), "a")
	changed, stop := watchPolicy([]string{filepath.Join(dir, "p.yaml")}, slog.New(slog.DiscardHandler))
	defer stop()
	write(t, filepath.Join(dir, "p.yaml"), "b")
	tick, late := time.NewTicker(quiet/10), time.After(unasked/2)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-changed:
			return
		case <-tick.C:
			write(t, filepath.Join(dir, "log"), strconv.Itoa(i))
		case <-late:
			t.Fatal("the change was not signalled")
		}
	}
}

// signalled fails the test if no signal comes.
func signalled(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(unasked / 2): // before it would be seen without being told
		t.Fatal("the change was not signalled")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}
