package replicator_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// between is what happens to a process, its state and its spool after a pass, and
// to the world meanwhile.
func (s *trial) between() {
	s.copyState()
	spool := filepath.Join(s.dir, "spool")
	switch k := s.grow.IntN(10); k {
	case 0, 1:
		s.tell("the same process goes on, if it was not stopped")
	case 2, 3:
		s.tell("a restart")
		s.over()
	case 4:
		s.tell("state is lost")
		s.over()
		s.dropState()
	case 5:
		s.tell("state is lost, and an older one comes back")
		s.over()
		s.oldState()
	case 6:
		s.tell("the spool is lost")
		s.over()
		s.must(os.RemoveAll(spool))
	case 7:
		s.tell("the spool is damaged")
		s.over()
		s.damageSpool(spool)
	case 8, 9:
		s.tell("state is that of another world")
		s.over()
		s.lie()
	}
	if s.grow.chance(30) {
		s.moveTag(s.grow.Rand)
	}
	s.meddle()
}

func (s *trial) dropState() {
	files, _ := filepath.Glob(filepath.Join(s.dir, "state.db*"))
	for _, f := range files {
		s.must(os.Remove(f))
	}
}

// copyState keeps the state as it is, to come back later.
func (s *trial) copyState() {
	to := s.t.TempDir()
	for range 50 {
		if copyState(s.dir, to) {
			s.olds = append(s.olds, to)
			return
		}
	}
}

// oldState puts a state into place that was there at an earlier time.
func (s *trial) oldState() {
	s.dropState()
	path := filepath.Join(s.dir, "state.db")
	k := s.grow.IntN(len(s.olds) + 1)
	if k == len(s.olds) {
		s.must(os.WriteFile(path, freshState(), 0o600))
		return
	}
	for _, suffix := range []string{"", "-wal"} {
		if raw, err := os.ReadFile(filepath.Join(s.olds[k], "state.db"+suffix)); err == nil {
			s.must(os.WriteFile(path+suffix, raw, 0o600))
		}
	}
}

// damageSpool changes some of its files, and makes one of a blob that is wanted.
func (s *trial) damageSpool(dir string) {
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		info, err := f.Info()
		if err != nil || !f.Type().IsRegular() || info.Size() == 0 || !strings.HasPrefix(f.Name(), "sha256-") {
			continue
		}
		name := strings.TrimSuffix(f.Name(), ".part")
		s.wrong = append(s.wrong, strings.Replace(name, "-", ":", 1))
		switch s.grow.IntN(5) {
		case 4:
			s.must(os.WriteFile(path, make([]byte, info.Size()), 0o600))
		case 0:
			s.must(os.Truncate(path, info.Size()/2))
		case 1:
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			s.must(err)
			_, err = file.WriteAt([]byte("damaged"), info.Size()/2)
			s.must(errors.Join(err, file.Close()))
		case 2:
			s.must(os.Truncate(path, info.Size()+10))
		}
	}
	s.must(os.MkdirAll(dir, 0o700))
	blob := s.someBlob(s.grow.Rand)
	s.wrong = append(s.wrong, blob.String())
	half := make([]byte, s.grow.sizes[blob.String()]/2)
	s.must(os.WriteFile(filepath.Join(dir, "sha256-"+blob.Hex+".part"), half, 0o600))
	s.must(os.WriteFile(filepath.Join(dir, "sha256-"+strings.Repeat("0", 64)), []byte("of nobody"), 0o600))
}

// snapshot copies state and spool as a kill would leave them, and returns where.
// While it copies, the process is held only by what it asks of servers.
func (s *trial) snapshot() string {
	to := s.t.TempDir()
	whole := false
	for range 50 {
		if whole = copyState(s.dir, to); whole {
			break
		}
	}
	if !whole {
		s.t.Error("state moves too fast to be copied")
	}
	s.must(os.MkdirAll(filepath.Join(to, "spool"), 0o700))
	files, _ := os.ReadDir(filepath.Join(s.dir, "spool"))
	for _, f := range files {
		from := filepath.Join(s.dir, "spool", f.Name())
		raw, err := os.ReadFile(from)
		if err != nil { // it was renamed when it was whole
			raw, err = os.ReadFile(strings.TrimSuffix(from, ".part"))
			from = strings.TrimSuffix(from, ".part")
		}
		if err == nil {
			s.must(os.WriteFile(filepath.Join(to, "spool", filepath.Base(from)), raw, 0o600))
		}
	}
	return to
}

// copyState copies the database and its log, and reports whether the two belong
// together: what was moved from the log into the database meanwhile is in both, as
// long as the log was not begun anew. (Times of files are too coarse to tell.)
func copyState(from, to string) bool {
	db := filepath.Join(from, "state.db")
	if _, err := os.Stat(db); err != nil {
		return true
	}
	_ = os.Remove(filepath.Join(to, "state.db-wal")) // of an earlier try
	before := logHead(db + "-wal")
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(db + suffix)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, "state.db"+suffix), raw, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return bytes.Equal(before, logHead(filepath.Join(to, "state.db-wal")))
}

// logHead is the header of SQLite's log, whose salt changes when it is begun anew.
func logHead(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, 32)
	n, _ := io.ReadFull(f, head) // a shorter one is none yet
	return head[:n]
}
