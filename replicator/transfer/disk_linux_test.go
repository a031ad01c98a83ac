package transfer

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state/statetest/needs"
)

// The spool's disk is full, at once or in the middle of a blob: blobs go past it,
// all is right, and a person is told which folder it is and what to do.
func TestFullDisk(t *testing.T) {
	m := content.Image("app", []content.Blob{content.Layer("first", 3<<20), content.Layer("second", 2<<20), content.Layer("small", 1000)})
	for name, fill := range map[string]func(*testing.T, string){
		"no byte fits": func(t *testing.T, dir string) { // every write to /dev/full is refused
			for _, b := range m.Blobs {
				if err := os.Symlink("/dev/full", filepath.Join(dir, "sha256-"+b.Digest.Hex+".part")); err != nil {
					t.Fatal(err)
				}
			}
		},
		"a part fits": func(t *testing.T, dir string) { tinyDisk(t, dir, "1m") },
	} {
		t.Run(name, func(t *testing.T) {
			var log lines
			w := newWorld(t, 2, func(w *world) {
				if err := os.MkdirAll(w.opts.SpoolDir, 0o700); err != nil {
					t.Fatal(err)
				}
				fill(t, w.opts.SpoolDir)
				w.opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			plans := w.load(one("app", "v1", m))
			w.mustAll(w.run(plans))
			w.verify(plans)
			for _, want := range []string{"level=WARN", "spool=" + w.opts.SpoolDir, "no space left on device", "free some of it, or name another folder"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log does not say %q:\n%s", want, log.String())
				}
			}
		})
	}
}

// tinyDisk mounts a file system of so many bytes at dir.
func tinyDisk(t *testing.T, dir, size string) {
	t.Helper()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EACCES) {
		needs.Missing(t, "a small disk that fills up in the middle of a blob", "run as root, who may mount one")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// lines is a log that may be written to and read at once.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
