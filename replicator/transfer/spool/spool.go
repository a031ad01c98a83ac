package spool

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Failures that callers tell apart.
var (
	// ErrTooLarge: it can never fit; stream it.
	ErrTooLarge = errors.New("larger than the spool")
	// ErrLost: the bytes had to make room for others; read them some other way.
	ErrLost = errors.New("its bytes had to make room in the spool")
	// ErrNoRoom: the disk is full, whatever the spool's own bound says.
	ErrNoRoom = errors.New("no room on the spool's disk")
	// ErrDisk: the disk fails in another way.
	ErrDisk = errors.New("the spool's disk fails")
	// ErrClosed: the spool or the claim is.
	ErrClosed = errors.New("spool is closed")
)

// A Mismatch is a read whose bytes are not what the digest promised. They have
// been thrown away.
type Mismatch struct {
	From      string // where they came from
	Want      v1.Hash
	Size      int64   // bytes wanted
	Got       v1.Hash // zero if the size was wrong already
	GotSize   int64   // bytes that came; of a longer body one more than Size
	GotLonger bool
}

func (m *Mismatch) Error() string {
	switch {
	case m.GotLonger:
		return fmt.Sprintf("%s: got more than the %d bytes that its descriptor says", m.Want, m.Size)
	case m.GotSize != m.Size:
		return fmt.Sprintf("%s: got %d bytes instead of %d", m.Want, m.GotSize, m.Size)
	}
	return fmt.Sprintf("%s: got bytes with the digest %s", m.Want, m.Got)
}

// Options of a [Spool]; zero values mean the defaults.
type Options struct {
	Dir      string        // made with mode 0700; "" is a temporary folder, removed by Close
	Bytes    int64         // bound on disk; the lesser of 10 GiB and half of what is free
	Memory   int64         // bound in memory; 32 MiB
	Small    int64         // below this, bytes go to memory first; 256 KiB
	Patience time.Duration // how long a read waits for room before it takes it from laggards; 15 s
	Logger   *slog.Logger
}

// A Source is where a read's bytes come from.
type Source interface {
	// Open returns the bytes from offset on; the spool closes.
	Open(ctx context.Context, offset int64) (io.ReadCloser, error)
	String() string
}

// A Spool is safe for concurrent use.
type Spool struct {
	opts Options
	dir  string
	own  *folder

	reads sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	disk    int64 // bytes reserved on disk
	memory  int64 // bytes held in memory
	windows int   // that are open
	entries map[v1.Hash]*entry
	idle    *list.List // entries on disk that nobody claims, least recently used first
	small   *list.List // the same in memory
	queue   []*entry   // whose reads wait for room, first come first served
}

// Open makes or reopens a spool. If another process holds the folder, a folder
// of its own inside is used, and removed at the end; what dead processes left
// there is removed. It starts no goroutine.
func Open(opts Options) (*Spool, error) {
	opts.Memory = cmp.Or(opts.Memory, 32<<20)
	opts.Small = cmp.Or(opts.Small, 256<<10)
	opts.Patience = cmp.Or(opts.Patience, 15*time.Second)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	own, err := openFolder(opts.Dir)
	if err != nil {
		return nil, err
	}
	if opts.Bytes == 0 {
		opts.Bytes = defaultBytes(own.path)
	}
	s := &Spool{opts: opts, dir: own.path, own: own,
		entries: map[v1.Hash]*entry{}, idle: list.New(), small: list.New()}
	if err := s.scan(); err != nil {
		own.close()
		return nil, err
	}
	return s, nil
}

// defaultBytes is 10 GiB, or half of what is free if that is less.
func defaultBytes(dir string) int64 {
	const most = 10 << 30
	if free, ok := freeBytes(dir); ok {
		return min(most, free/2)
	}
	return most
}

// Dir is the folder in use.
func (s *Spool) Dir() string { return s.dir }

// Limit is the bound on disk, in bytes.
func (s *Spool) Limit() int64 { return s.opts.Bytes }

// Used is how much of the bound is taken, in bytes.
func (s *Spool) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disk
}

// Close ends all reads, waits for them, and lets go of the folder. Claims fail
// from then on. Finished and half-read entries stay for the next process.
func (s *Spool) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, e := range s.entries {
		if e.read != nil {
			e.read.cancel(ErrClosed)
		}
	}
	s.mu.Unlock()
	s.reads.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if r := e.read; r != nil {
			r.fail(ErrClosed)
			e.closeFile()
		}
	}
	return s.own.close()
}

// Stats is what the spool holds at the moment.
type Stats struct {
	Entries      int
	Disk, Memory int64 // bytes
	Waiting      int   // reads that wait for room
	Claims       int   // that were not released
}

// Stats returns a snapshot.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Entries: len(s.entries), Disk: s.disk, Memory: s.memory, Waiting: len(s.queue)}
	for _, e := range s.entries {
		if e.read != nil {
			stats.Claims += len(e.read.claims)
		}
	}
	return stats
}

func (s *Spool) path(digest v1.Hash) string {
	return filepath.Join(s.dir, digest.Algorithm+"-"+digest.Hex)
}

// remove deletes a file that is no longer wanted; one that is gone already is fine.
func (s *Spool) remove(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.opts.Logger.Warn("spool: remove", "path", path, "err", err)
	}
}
