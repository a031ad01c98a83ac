package spool

import (
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Keep holds small content that was read elsewhere, a manifest, under its
// digest: in memory, and on disk when memory is short. Content whose digest is
// not that of its bytes (Docker schema 1) is held in memory only. It is best
// effort: what finds no room is not kept.
func (s *Spool) Keep(digest v1.Hash, raw []byte) {
	if !valid(digest) {
		return
	}
	loose := sumOf(raw) != digest
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.entries[digest] != nil || !s.makeMemory(int64(len(raw))) {
		return
	}
	e := &entry{digest: digest, size: int64(len(raw)), have: int64(len(raw)), whole: true, loose: loose,
		mem: append(make([]byte, 0, len(raw)), raw...)}
	s.memory += e.size
	s.entries[digest] = e
	e.elem = s.small.PushBack(e)
}

// Bytes returns what Keep or a read holds of digest, if it is whole and at most
// most bytes. The caller does not change it.
func (s *Spool) Bytes(digest v1.Hash, most int64) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[digest]
	switch {
	case e == nil || e.read != nil && !e.whole || e.have > most:
		return nil, false
	case e.mem != nil:
		if e.elem != nil {
			s.small.MoveToBack(e.elem)
		}
		return e.mem, e.whole
	}
	raw, err := os.ReadFile(s.name(e))
	if err != nil || sumOf(raw) != digest {
		return nil, false
	}
	if e.elem != nil {
		s.idle.MoveToBack(e.elem)
	}
	return raw, true
}
