package spool

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// An entry is what is held of one digest. Its fields belong to Spool.mu, except
// that the goroutine of its read owns file and have while it fills.
type entry struct {
	digest v1.Hash
	size   int64  // of the whole
	room   int64  // bytes reserved on disk
	have   int64  // bytes on disk, from the start; trusted only if whole
	whole  bool   // all there and verified by this process
	named  bool   // the file has its final name
	mem    []byte // instead of the disk
	loose  bool   // its digest is not that of its bytes (schema 1): memory only
	file   *os.File
	read   *read         // the newest, nil when nobody claims
	elem   *list.Element // in idle or small, nil while claimed

	admitted chan struct{} // closed when the read that waits has its room
}

// park puts an entry that nobody claims where room is found, or drops it if
// there is nothing to keep.
func (s *Spool) park(e *entry) {
	e.read = nil
	e.closeFile()
	switch {
	case e.mem != nil && e.whole:
		e.elem = s.small.PushBack(e)
	case e.mem == nil && e.have > 0:
		s.disk -= e.room - e.have // a part holds only what is there
		e.room = e.have
		e.elem = s.idle.PushBack(e)
	default:
		s.drop(e)
	}
	s.admit()
}

// unpark takes e out of the reach of eviction.
func (s *Spool) unpark(e *entry) {
	if e.elem == nil {
		return
	}
	if e.mem != nil {
		s.small.Remove(e.elem)
	} else {
		s.idle.Remove(e.elem)
	}
	e.elem = nil
}

// drop forgets e and its bytes.
func (s *Spool) drop(e *entry) {
	s.unpark(e)
	s.discard(e)
	if s.entries[e.digest] == e {
		delete(s.entries, e.digest)
	}
}

// discard throws e's bytes away and gives its room back; e may be read anew.
func (s *Spool) discard(e *entry) {
	e.closeFile()
	if e.mem != nil {
		s.memory -= int64(len(e.mem))
	}
	if e.room > 0 || e.have > 0 {
		s.remove(s.path(e.digest))
		s.remove(s.path(e.digest) + ".part")
	}
	s.disk -= e.room
	e.room, e.have, e.whole, e.named, e.mem = 0, 0, false, false, nil
}

func (e *entry) closeFile() {
	if e.file != nil {
		e.file.Close()
		e.file = nil
	}
}

// name is where e's bytes are on disk now.
func (s *Spool) name(e *entry) string {
	if e.named {
		return s.path(e.digest)
	}
	return s.path(e.digest) + ".part"
}

// openFile opens e's bytes on disk, making the file if it is not there.
func (s *Spool) openFile(e *entry) (*os.File, error) {
	f, err := os.OpenFile(s.name(e), os.O_RDWR|os.O_CREATE, 0o600)
	return f, diskError(err)
}

// rehash hashes the first n bytes of r.
func rehash(r io.ReaderAt, n int64, h hash.Hash, buf []byte) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.NewSectionReader(r, 0, n)}, buf)
	return err
}

// sum turns h into a digest.
func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

func sumOf(raw []byte) v1.Hash {
	h := sha256.New()
	h.Write(raw)
	return sum(h)
}

// valid tells whether d can be a file's name here, and can be verified.
func valid(d v1.Hash) bool {
	if d.Algorithm != "sha256" || len(d.Hex) != 2*sha256.Size {
		return false
	}
	for _, c := range []byte(d.Hex) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// diskError marks a full disk as ErrNoRoom, and anything else as ErrDisk.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w; free some of it, or name another folder for the spool", ErrNoRoom, err)
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}
