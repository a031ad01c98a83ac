package spool

import (
	"context"
	"os"
	"slices"
	"time"
)

// reserve gets room for the whole of e, in memory or on disk, and waits for it
// as long as it takes. After Options.Patience room is taken from laggards.
func (s *Spool) reserve(ctx context.Context, e *entry, r *read) error {
	s.mu.Lock()
	if s.inMemory(e) {
		s.mu.Unlock()
		return nil
	}
	admitted := make(chan struct{})
	e.admitted = admitted
	s.queue = append(s.queue, e)
	s.admit()
	s.mu.Unlock()

	impatient := time.NewTicker(s.opts.Patience)
	defer impatient.Stop()
	for {
		select {
		case <-admitted:
			return nil
		case <-impatient.C:
			s.revoke(e, r)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// inMemory reserves memory for e if it is small and there is room.
func (s *Spool) inMemory(e *entry) bool {
	if e.have > 0 || e.size >= s.opts.Small || !s.makeMemory(e.size) {
		return e.mem != nil
	}
	e.mem = make([]byte, e.size)
	s.memory += e.size
	return true
}

// makeMemory makes n bytes of memory free, by moving what nobody claims to disk.
func (s *Spool) makeMemory(n int64) bool {
	for s.memory+n > s.opts.Memory {
		front := s.small.Front()
		if front == nil {
			return false
		}
		s.spill(front.Value.(*entry))
	}
	return true
}

// spill moves e from memory to disk if there is room, and drops it otherwise.
func (s *Spool) spill(e *entry) {
	s.unpark(e)
	raw := e.mem
	if e.loose || !s.makeRoom(int64(len(raw)), e) || os.WriteFile(s.path(e.digest), raw, 0o600) != nil {
		s.drop(e)
		s.remove(s.path(e.digest))
		return
	}
	s.memory -= int64(len(raw))
	s.disk += int64(len(raw))
	e.mem, e.named = nil, true
	e.room, e.have = int64(len(raw)), int64(len(raw))
	e.elem = s.idle.PushBack(e)
}

// admit gives room to those who wait for it, in their order. Spool.mu is held.
func (s *Spool) admit() {
	for len(s.queue) > 0 {
		e := s.queue[0]
		if !s.makeRoom(e.size-e.room, e) {
			return
		}
		s.disk += e.size - e.room
		e.room = e.size
		s.queue = s.queue[1:]
		close(e.admitted)
	}
}

// makeRoom makes n bytes of disk free for e: of what nobody claims, least
// recently used first, then of half-read entries that wait behind e.
func (s *Spool) makeRoom(n int64, e *entry) bool {
	for s.disk+n > s.opts.Bytes {
		if front := s.idle.Front(); front != nil {
			s.drop(front.Value.(*entry))
			continue
		}
		i := slices.IndexFunc(s.queue, func(q *entry) bool { return q != e && q.room > 0 })
		if i < 0 {
			return false
		}
		s.discard(s.queue[i])
	}
	return true
}

// unqueue takes e out of the queue if it still waits.
func (s *Spool) unqueue(e *entry) {
	if i := slices.Index(s.queue, e); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
		s.admit()
	}
}

// revoke takes room for e from finished entries that are claimed only by parties
// other than one that waits for e: those lag, and hold that one up.
func (s *Spool) revoke(e *entry, r *read) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.queue[0] != e {
		return
	}
	waiting := parties(r)
	for _, victim := range s.entries {
		if s.disk+e.size-e.room <= s.opts.Bytes {
			break
		}
		v := victim.read
		if v == nil || !v.settled || victim.room == 0 || !outside(waiting, parties(v)) {
			continue
		}
		s.opts.Logger.Debug("spool: claim revoked", "digest", victim.digest, "bytes", victim.size)
		v.fail(ErrLost)
		s.drop(victim)
	}
	s.admit()
}

func parties(r *read) map[string]bool {
	all := map[string]bool{}
	for c := range r.claims {
		all[c.party] = true
	}
	return all
}

// outside reports whether one of a is not in b.
func outside(a, b map[string]bool) bool {
	for name := range a {
		if !b[name] {
			return true
		}
	}
	return false
}
