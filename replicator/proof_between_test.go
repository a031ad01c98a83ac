package replicator_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// between is what happens to a process, its state and its spool after a pass.
func (s *trial) between() {
	spool := filepath.Join(s.dir, "spool")
	switch k := s.grow.IntN(8); k {
	case 0, 1:
		s.tell("the same process goes on, if it was not stopped")
		return
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
		s.spoil = true
	}
	if s.grow.chance(30) {
		s.moveTag(s.grow.Rand)
	}
	if s.grow.chance(20) {
		s.retention()
	}
	if s.grow.chance(20) {
		s.usurp()
	}
}

// retention takes a tag with its image away from a target.
func (s *trial) retention() {
	to := s.servers[target(s.grow.Rand)]
	for _, repo := range repos {
		for _, tag := range []string{"t1", "t0", "t2"} {
			if _, ok := to.Tags(repo)[tag]; ok {
				s.must(to.Remove(repo, tag))
				s.tell("%s:%s is taken away at %s", repo, tag, to.Host())
				return
			}
		}
	}
}

// usurp has somebody else move a tag at a target.
func (s *trial) usurp() {
	name := target(s.grow.Rand)
	for _, repo := range repos {
		if _, ok := s.servers[name].Tags(repo)["t0"]; ok {
			s.must(s.servers[name].Load(repo, s.grow.image(), "t0"))
			s.tell("somebody moves %s:t0 at %s", repo, name)
			return
		}
	}
}

func (s *trial) dropState() {
	files, _ := filepath.Glob(filepath.Join(s.dir, "state.db*"))
	for _, f := range files {
		s.must(os.Remove(f))
	}
}

// oldState puts the state of the first process's start into place.
func (s *trial) oldState() {
	old := filepath.Join(s.dir, "old.db")
	raw, err := os.ReadFile(old)
	if err != nil {
		raw = freshState()
	}
	now, err := os.ReadFile(filepath.Join(s.dir, "state.db"))
	s.must(err)
	s.dropState()
	s.must(os.WriteFile(filepath.Join(s.dir, "state.db"), raw, 0o600))
	s.must(os.WriteFile(old, now, 0o600))
}

func (s *trial) damageSpool(dir string) {
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		info, err := f.Info()
		if err != nil || !f.Type().IsRegular() || info.Size() == 0 || !strings.HasPrefix(f.Name(), "sha256-") {
			continue
		}
		switch s.grow.IntN(4) {
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
	s.must(os.WriteFile(filepath.Join(dir, "sha256-"+strings.Repeat("0", 64)), []byte("of nobody"), 0o600))
}

// snapshot copies state and spool as a kill would leave them, and returns where.
// While it copies, the process is held only by what it asks of servers.
func (s *trial) snapshot() string {
	to := s.t.TempDir()
	for range 50 {
		if copyState(s.dir, to) {
			break
		}
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

// copyState copies the database and its log, and reports whether no checkpoint
// came in between.
func copyState(from, to string) bool {
	db := filepath.Join(from, "state.db")
	before, err := os.Stat(db)
	if err != nil {
		return true
	}
	for _, suffix := range []string{"", "-wal"} {
		if raw, err := os.ReadFile(db + suffix); err == nil {
			if os.WriteFile(filepath.Join(to, "state.db"+suffix), raw, 0o600) != nil {
				return false
			}
		}
	}
	after, err := os.Stat(db)
	return err == nil && after.ModTime() == before.ModTime()
}
