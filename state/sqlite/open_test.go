package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/state"
	"github.com/transship/transship/state/internal/sqlstore"
)

func openAt(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// filled returns the path of a closed state with n source tags.
func filled(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path, Options{})
	see(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func repo() state.Repo { return state.Repo{Host: "h", Name: "a"} }

func see(t *testing.T, s *Store, n int) {
	t.Helper()
	var tags []state.SourceTag
	for i := range n {
		tags = append(tags, state.SourceTag{Name: fmt.Sprint("v", i)})
	}
	if err := s.SeeSource(t.Context(), repo(), when(), tags); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, s *Store) (n int) {
	t.Helper()
	for _, err := range s.SourceTags(t.Context(), repo()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// wants fails unless err is one of kind and says all of words.
func wants(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("%v, want %v", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func run(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func TestOpenIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "a b?c%d#e", "state.db")
	see(t, openAt(t, path, Options{}), 1)
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock", filepath.Dir(path)} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s can be used by others: %v", name, mode)
		}
	}
}

func TestSecondWriter(t *testing.T) {
	path := filled(t, 1)
	s := openAt(t, path, Options{})
	_, err := Open(t.Context(), path, Options{})
	wants(t, err, state.ErrLocked, path, "sqlite.test", fmt.Sprint("process ", os.Getpid()), "since 2")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openAt(t, path, Options{})
}

func TestReadOnly(t *testing.T) {
	path := filled(t, 1)
	writer := openAt(t, path, Options{})
	reader := openAt(t, path, Options{ReadOnly: true})
	if n := count(t, reader); n != 1 {
		t.Errorf("%d tags, want 1", n)
	}
	see(t, writer, 3)
	if n := count(t, reader); n != 3 {
		t.Errorf("%d tags after the writer wrote, want 3", n)
	}
	err := reader.SeeSource(t.Context(), repo(), when(), []state.SourceTag{{Name: "x"}})
	if err == nil || !strings.Contains(err.Error(), "for reading only") {
		t.Errorf("a write through a reader: %v", err)
	}
	if _, err := reader.Take(t.Context()); err == nil {
		t.Error("a reader took work")
	}
}

func TestReadOnlyNeedsState(t *testing.T) {
	dir := t.TempDir()
	missing, empty := filepath.Join(dir, "no", "state.db"), filepath.Join(dir, "empty.db")
	_, err := Open(t.Context(), missing, Options{ReadOnly: true})
	wants(t, err, fs.ErrNotExist, missing, "sync")
	if _, err := os.Stat(filepath.Dir(missing)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a reader made the folder: %v", err)
	}
	write(t, empty, nil)
	if _, err := Open(t.Context(), empty, Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "sync") {
		t.Errorf("an empty file: %v", err)
	}
	older := filled(t, 1)
	run(t, older, "UPDATE "+sqlstore.VersionTable+" SET version_id = 0")
	if _, err := Open(t.Context(), older, Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "up to date") {
		t.Errorf("an older schema: %v", err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// What is no sound state is refused, and left as it is.
func TestDamaged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, path string)
		kind   error
		words  []string
	}{
		{"not a database", func(t *testing.T, path string) {
			write(t, path, bytes.Repeat([]byte("rules:\n"), 2000))
		}, state.ErrDamaged, []string{"move it", "costs time"}},
		{"a few bytes", func(t *testing.T, path string) { write(t, path, []byte("x")) }, state.ErrDamaged, []string{"move it"}},
		{"truncated", func(t *testing.T, path string) {
			content := read(t, path)
			write(t, path, content[:len(content)/2])
		}, state.ErrDamaged, []string{"move it"}},
		{"overwritten inside", func(t *testing.T, path string) {
			content := read(t, path)
			copy(content[len(content)-pageBytes:], bytes.Repeat([]byte{0xff}, 64)) // of a large table
			write(t, path, content)
		}, state.ErrDamaged, []string{"move it"}},
		{"of another program", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			run(t, path, "CREATE TABLE bookmarks (url TEXT)")
		}, state.ErrDamaged, []string{"another program", "move it"}},
		{"newer", func(t *testing.T, path string) {
			run(t, path, "INSERT INTO "+sqlstore.VersionTable+" (version_id, is_applied) VALUES (9999, 1)")
		}, state.ErrNewer, []string{"9999"}},
	} {
		for _, readOnly := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, " readonly=", readOnly), func(t *testing.T) {
				path := filled(t, 3000)
				tt.damage(t, path)
				before := read(t, path)
				_, err := Open(t.Context(), path, Options{ReadOnly: readOnly})
				wants(t, err, tt.kind, append(tt.words, path)...)
				if !bytes.Equal(before, read(t, path)) {
					t.Error("the file was changed")
				}
				if err := os.Rename(path, path+".old"); err != nil {
					t.Fatal(err)
				}
				openAt(t, path, Options{}) // as the message says
			})
		}
	}
}

func TestFolder(t *testing.T) {
	if _, err := Open(t.Context(), t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a folder: %v", err)
	}
}

// Damage that is met only later has the same name.
func TestDamagedWhileOpen(t *testing.T) {
	path := filled(t, 3000)
	s := openAt(t, path, Options{})
	content := read(t, path)
	for i := pageBytes; i < len(content); i++ {
		content[i] = 0xff
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	defer f.Close() // only now: it would drop SQLite's locks on the file
	for _, err := range s.SourceTags(t.Context(), repo()) {
		if !errors.Is(err, state.ErrDamaged) {
			t.Fatalf("%v, want ErrDamaged", err)
		}
	}
}

// A full disk fails the write, keeps what was there, and passes.
func TestFull(t *testing.T) {
	path := filled(t, 10)
	s := openAt(t, path, Options{MaxBytes: 512 << 10})
	var err error
	for i := 0; err == nil && i < 10000; i++ {
		err = s.SaveUpload(t.Context(), state.Upload{Repo: repo(), Location: strings.Repeat("x", 4096), Digest: digest(i)})
	}
	wants(t, err, state.ErrFull, "record an open upload")
	if n := count(t, s); n != 10 {
		t.Errorf("%d tags, want 10", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, Options{})
	if err := s.SaveUpload(t.Context(), state.Upload{Repo: repo(), Location: "x"}); err != nil {
		t.Error(err)
	}
}

func digest(i int) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%064x", i)} }

// Losing the file costs time only: a new one is there at once.
func TestDeleted(t *testing.T) {
	path := filled(t, 5)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path, Options{})
	if n := count(t, s); n != 0 {
		t.Errorf("%d tags in a new file", n)
	}
	see(t, s, 1)
}

// A state that was closed is one file: what was written is in it, and not in a log
// beside it.
func TestClosedIsOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo := state.Repo{Host: "h", Name: "app"}
	if err := s.SeeSource(t.Context(), repo, time.Now(), []state.SourceTag{{Name: "v1"}}); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.SourceTags(t.Context(), repo) { // the readers are open too
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		t.Errorf("%d bytes of the log are left", info.Size())
	}
}
