package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	lockName = "lock"
	guests   = "other-" // folders of processes that found the main one taken
)

// A folder is one that this process alone uses.
type folder struct {
	path string
	lock *os.File
	temp bool // removed at the end
}

// openFolder takes dir, or a folder of our own below it if another process has it.
func openFolder(dir string) (*folder, error) {
	if dir == "" {
		path, err := os.MkdirTemp("", "transship-spool-")
		return &folder{path: path, temp: true}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	switch {
	case err == nil:
		sweep(dir)
		return &folder{path: dir, lock: lock}, nil
	case errors.Is(err, errTaken):
		return guest(dir)
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

// guest makes a folder of our own below dir. A sweep of the owner may take it
// before we hold its lock: then another one is made.
func guest(dir string) (*folder, error) {
	for range 10 {
		path, err := os.MkdirTemp(dir, guests)
		if err != nil {
			return nil, err
		}
		lock, err := lockFile(filepath.Join(path, lockName))
		if err != nil {
			continue
		}
		if _, err := os.Stat(lock.Name()); err == nil {
			return &folder{path: path, lock: lock, temp: true}, nil
		}
		lock.Close()
	}
	return nil, fmt.Errorf("%s is held by another process, and no folder can be made in it; pass another spool folder", dir)
}

// sweep removes what guests that are dead left behind.
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, guests+"*"))
	for _, path := range left {
		if lock, err := lockFile(filepath.Join(path, lockName)); err == nil {
			os.RemoveAll(path)
			lock.Close()
		}
	}
}

func (f *folder) close() error {
	var err error
	if f.temp {
		err = os.RemoveAll(f.path)
	}
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}

// scan finds what an earlier process left. None of it is trusted before it has
// been hashed again. The oldest goes first if it is more than the bound.
func (s *Spool) scan() error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	type found struct {
		*entry
		at time.Time
	}
	var all []found
	for _, f := range files {
		digest, named, ok := parseName(f.Name())
		info, err := f.Info()
		if !ok || err != nil || !f.Type().IsRegular() {
			continue
		}
		if info.Size() == 0 || s.entries[digest] != nil {
			s.remove(filepath.Join(s.dir, f.Name()))
			continue
		}
		e := &entry{digest: digest, named: named, room: info.Size(), have: info.Size()}
		s.entries[digest] = e
		all = append(all, found{e, info.ModTime()})
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.digest.Hex, b.digest.Hex)) })
	for _, f := range all {
		s.disk += f.room
		f.elem = s.idle.PushBack(f.entry)
	}
	s.makeRoom(0, nil)
	return nil
}

// parseName reads a file's name as a digest; named tells that it has no ".part".
func parseName(name string) (digest v1.Hash, named, ok bool) {
	stem, part := strings.CutSuffix(name, ".part")
	algorithm, hex, _ := strings.Cut(stem, "-")
	digest = v1.Hash{Algorithm: algorithm, Hex: hex}
	return digest, !part, valid(digest)
}

var errTaken = fs.ErrExist // of lockFile: another process holds it
