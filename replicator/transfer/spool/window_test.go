package spool

import (
	"bytes"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
)

// Readers that follow a writer through a window get what was written, or less.
func TestWindow(t *testing.T) {
	all, _ := blob(7, 20*portion+12345)
	w, r := newWindow(), &read{size: int64(len(all)) + holdBack}
	r.cond.L = &r.mu
	start := int64(portion/2 + 77) // it goes on in the middle of a slot
	if n := copy(w.room(start), all[start:]); n != portion-int(start) || w.readAt(make([]byte, 10), start-10) != 0 {
		t.Error("bytes are told that were never written")
	}
	var g sync.WaitGroup
	for step := range 3 {
		g.Go(func() {
			c := &Claim{read: r}
			p := make([]byte, portion/(step+1)+step)
			for at := start; at < int64(len(all)); {
				end := min(at+int64(len(p)), int64(len(all)))
				if _, err := c.await(at, end); err != nil {
					t.Error(err)
					return
				}
				if n := w.readAt(p[:end-at], at); !bytes.Equal(p[:n], all[at:at+int64(n)]) {
					t.Errorf("wrong bytes in %d at %d", n, at)
					return
				}
				at = end
			}
		})
	}
	for at := start; at < int64(len(all)); {
		n := copy(w.room(at), all[at:min(at+1+rand.Int64N(portion), int64(len(all)))])
		at += int64(n)
		r.grown(at)
	}
	g.Wait()
	p := make([]byte, 2*portion)
	end := int64(len(all))
	if n := w.readAt(p, end-2*portion); n < 2*portion || !bytes.Equal(p, all[end-2*portion:]) {
		t.Errorf("%d of the newest bytes are there, want %d", n, len(p))
	}
	if n := w.readAt(p, end-windowSlots*portion-portion); n != 0 {
		t.Errorf("%d bytes that had to make room are still told", n)
	}
	if n := newWindow().readAt(p, 0); n != 0 {
		t.Errorf("an empty window tells %d bytes", n)
	}
}

// There are so many windows and no more, and all come back.
func TestWindowsAreBounded(t *testing.T) {
	s := open(t, Options{})
	var reads []*read
	for range mostWindows + 2 {
		r := &read{}
		s.openWindow(&entry{size: windowFrom}, r)
		reads = append(reads, r)
	}
	if s.openWindow(&entry{size: windowFrom - 1}, &read{}) != nil {
		t.Error("a small entry has a window")
	}
	have := 0
	for _, r := range reads {
		if r.window != nil {
			have++
		}
		s.closeWindow(r)
	}
	if have != mostWindows || s.windows != 0 {
		t.Errorf("%d windows were open, want %d; %d still are", have, mostWindows, s.windows)
	}
}

// The kernel is told to forget only what every claim has taken, and what it had
// time to put on the disk; the steps cover the file without a gap.
func TestCacheForgetsWhatIsTaken(t *testing.T) {
	s := open(t, Options{})
	slow, quick := &Claim{}, &Claim{}
	r := &read{size: 1 << 30, claims: map[*Claim]struct{}{slow: {}, quick: {}}}
	type step struct{ off, n, done int64 }
	told := make(chan step, 1)
	c := s.newCache(&entry{size: r.size}, r, (*os.File)(nil))
	c.hand = func(_ *os.File, off, n, done int64) { told <- step{off, n, done} }
	for _, tt := range []struct{ have, slow, quick, done int64 }{
		{cacheStep, 0, cacheStep, min(0, cacheStep-cacheKeep)},
		{4 * cacheKeep, cacheKeep, 4 * cacheKeep, cacheKeep},
		{5 * cacheKeep, 5 * cacheKeep, 5 * cacheKeep, 4 * cacheKeep},
	} {
		slow.passed, quick.passed = tt.slow, tt.quick
		from := c.from
		c.grown(c.next - 1) // too little to be worth it
		c.grown(tt.have)
		if got := <-told; got.off != from || got.off+got.n != tt.have || max(got.done, 0) != max(tt.done, 0) {
			t.Errorf("%+v: told %+v", tt, got)
		}
		s.reads.Wait()
	}
	if s.newCache(&entry{size: cacheKeep - 1}, r, (*os.File)(nil)) != nil || s.newCache(&entry{size: 1 << 30}, r, memory(nil)) != nil {
		t.Error("a small entry, or one in memory, is handed to the disk")
	}
	(*cache)(nil).grown(1 << 30)
}

// A claim that follows closely, one that lags, and one that comes late read the
// same bytes of a large entry.
func TestLargeEntry(t *testing.T) {
	s := open(t, Options{Bytes: 1 << 30})
	all, desc := blob(8, 33<<20+999)
	src := &blobSource{raw: all}
	var g sync.WaitGroup
	for _, lag := range []int64{0, 3 << 20, int64(len(all))} {
		c, err := s.Claim(t.Context(), desc, "t", src)
		if err != nil {
			t.Fatal(err)
		}
		g.Go(func() {
			defer c.Release()
			if lag > 0 {
				if _, err := c.ReadAt(make([]byte, 1), min(lag, desc.Size)-1); err != nil {
					t.Error(err)
				}
			}
			p := make([]byte, 200_000)
			for at := 0; at < len(all); {
				n, err := c.ReadAt(p[:min(len(p), len(all)-at)], int64(at))
				if err != nil || !bytes.Equal(p[:n], all[at:at+n]) {
					t.Errorf("lag %d: %d bytes at %d are wrong, or %v", lag, n, at, err)
					return
				}
				at += n
			}
		})
	}
	g.Wait()
	if s.windows != 0 {
		t.Errorf("%d windows are open at the end", s.windows)
	}
}
