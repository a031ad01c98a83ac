package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A blobSource serves one blob and counts what it gave.
type blobSource struct {
	raw    []byte
	opens  atomic.Int64
	bytes  atomic.Int64
	offset atomic.Int64  // of the last Open
	start  chan struct{} // bytes come when it is closed
	gate   chan struct{} // bytes past half come when it is closed
	end    chan struct{} // the end of the body comes when it is closed
	broken error         // at half, once
	once   sync.Once
}

func (s *blobSource) String() string { return "source.example/app" }

func (s *blobSource) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	s.opens.Add(1)
	s.offset.Store(offset)
	return io.NopCloser(&blobReader{ctx: ctx, s: s, at: offset}), nil
}

type blobReader struct {
	ctx context.Context
	s   *blobSource
	at  int64
}

func (r *blobReader) Read(p []byte) (int, error) {
	if r.s.start != nil {
		select {
		case <-r.s.start:
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
	half := int64(len(r.s.raw) / 2)
	end := int64(len(r.s.raw))
	if r.at < half {
		end = half
	} else if r.s.gate != nil {
		select {
		case <-r.s.gate:
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
	if r.at == half && r.s.broken != nil {
		var err error
		r.s.once.Do(func() { err = r.s.broken })
		if err != nil {
			return 0, err
		}
	}
	if r.at >= int64(len(r.s.raw)) {
		if r.s.end != nil {
			<-r.s.end
		}
		return 0, io.EOF
	}
	n := copy(p, r.s.raw[r.at:end])
	r.at += int64(n)
	r.s.bytes.Add(int64(n))
	return n, nil
}

// blob makes size bytes from seed, and their descriptor.
func blob(seed uint64, size int) ([]byte, v1.Descriptor) {
	raw := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(raw)
	h := sha256.Sum256(raw)
	return raw, v1.Descriptor{Size: int64(size), Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h[:])}}
}

func open(t *testing.T, opts Options) *Spool {
	t.Helper()
	s, err := Open(opts)
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

func claim(t *testing.T, s *Spool, desc v1.Descriptor, party string, src Source) *Claim {
	t.Helper()
	c, err := s.Claim(t.Context(), desc, party, src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readAll(c *Claim) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(c, 0, c.read.size+1))
}

func mustRead(t *testing.T, c *Claim, want []byte) {
	t.Helper()
	got, err := readAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes that differ from the %d wanted", len(got), len(want))
	}
}

func TestOneReadFeedsAll(t *testing.T) {
	for _, size := range []int{0, 1, 1000, 256<<10 - 1, 256 << 10, 3 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := open(t, Options{Dir: t.TempDir(), Bytes: 10 << 20})
			raw, desc := blob(uint64(size), size)
			src := &blobSource{raw: raw}
			var wg sync.WaitGroup
			for i := range 8 {
				c := claim(t, s, desc, fmt.Sprint(i), src)
				wg.Go(func() {
					defer c.Release()
					mustRead(t, c, raw)
				})
			}
			wg.Wait()
			again := claim(t, s, desc, "later", src)
			mustRead(t, again, raw)
			again.Release()
			if n := src.bytes.Load(); n != int64(size) {
				t.Errorf("read %d bytes from the source, want %d", n, size)
			}
		})
	}
}

func TestReadersFollowTheWriterAndStopShortOfTheEnd(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Bytes: 10 << 20})
	raw, desc := blob(1, 1<<20)
	src := &blobSource{raw: raw, gate: make(chan struct{})}
	c := claim(t, s, desc, "a", src)
	defer c.Release()
	half := make([]byte, 512<<10)
	if _, err := c.ReadAt(half, 0); err != nil || !bytes.Equal(half, raw[:len(half)]) {
		t.Fatalf("first half: %v", err)
	}
	close(src.gate)
	mustRead(t, c, raw)
}

// All bytes are here, and the body has not ended yet: the last 64 KiB stay back.
func TestTheEndIsHeldBackUntilItIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{Dir: t.TempDir(), Bytes: 10 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		raw, desc := blob(9, 1<<20)
		src := &blobSource{raw: raw, end: make(chan struct{})}
		c := claim(t, s, desc, "a", src)
		defer c.Release()
		if _, err := c.ReadAt(make([]byte, len(raw)-64<<10), 0); err != nil {
			t.Fatal(err)
		}
		var out atomic.Bool
		go func() {
			c.ReadAt(make([]byte, 1), desc.Size-64<<10)
			out.Store(true)
		}()
		synctest.Wait()
		if out.Load() {
			t.Error("bytes of the end came out before they were verified")
		}
		close(src.end)
		mustRead(t, c, raw)
	})
}

// The end of wrong content must never come out: an upload behind it would commit.
func TestWrongBytesNeverComeOutWhole(t *testing.T) {
	raw, desc := blob(2, 1<<20)
	flipped := bytes.Clone(raw)
	flipped[100] ^= 1
	small, smallDesc := blob(3, 500)
	for _, tt := range []struct {
		name string
		raw  []byte
		desc v1.Descriptor
	}{
		{"corrupt", flipped, desc}, {"short", raw[:len(raw)-1], desc}, {"long", append(bytes.Clone(raw), 'x'), desc},
		{"small and short", small[:10], smallDesc}, {"empty", nil, smallDesc},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, Options{Dir: t.TempDir(), Bytes: 10 << 20})
			c := claim(t, s, tt.desc, "a", &blobSource{raw: tt.raw})
			got, err := readAll(c)
			wrong, ok := errors.AsType[*Mismatch](err)
			if !ok || wrong.Want != tt.desc.Digest || wrong.From != "source.example/app" {
				t.Errorf("got %v, want a mismatch", err)
			}
			if most := max(0, tt.desc.Size-64<<10); int64(len(got)) > most {
				t.Errorf("%d bytes came out, at most %d may", len(got), most)
			}
			c.Release()
			good := raw
			if tt.desc.Digest == smallDesc.Digest {
				good = small
			}
			fresh := claim(t, s, tt.desc, "a", &blobSource{raw: good})
			mustRead(t, fresh, good)
			fresh.Release()
		})
	}
}

func TestBrokenReadGoesOnWhereItStopped(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Bytes: 10 << 20})
	raw, desc := blob(4, 1<<20)
	src := &blobSource{raw: raw, broken: io.ErrUnexpectedEOF}
	c := claim(t, s, desc, "a", src)
	if _, err := readAll(c); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
	c.Release()
	c = claim(t, s, desc, "a", src)
	mustRead(t, c, raw)
	c.Release()
	if src.bytes.Load() != desc.Size || src.offset.Load() != desc.Size/2 {
		t.Errorf("read %d bytes, the last from %d on", src.bytes.Load(), src.offset.Load())
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	raw, desc := blob(5, 1<<20)
	whole, wholeDesc := blob(6, 1<<20)
	rotten, rottenDesc := blob(7, 1<<20)
	s, err := Open(Options{Dir: dir, Bytes: 10 << 20})
	if err != nil {
		t.Fatal(err)
	}
	src := &blobSource{raw: raw, gate: make(chan struct{})}
	c := claim(t, s, desc, "a", src)
	if _, err := c.ReadAt(make([]byte, 512<<10), 0); err != nil {
		t.Fatal(err)
	}
	c.Release() // stops the read at half
	for _, b := range []struct {
		raw  []byte
		desc v1.Descriptor
	}{{whole, wholeDesc}, {rotten, rottenDesc}} {
		c := claim(t, s, b.desc, "a", &blobSource{raw: b.raw})
		mustRead(t, c, b.raw)
		c.Release()
	}
	damaged := bytes.Clone(rotten)
	damaged[77] ^= 4
	if err := os.WriteFile(s.path(rottenDesc.Digest), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, Options{Dir: dir, Bytes: 10 << 20})
	for _, tt := range []struct {
		name string
		raw  []byte
		desc v1.Descriptor
		read int64
	}{
		{"half", raw, desc, desc.Size / 2}, {"whole", whole, wholeDesc, 0}, {"rotten", rotten, rottenDesc, rottenDesc.Size},
	} {
		src := &blobSource{raw: tt.raw}
		c := claim(t, s, tt.desc, "a", src)
		mustRead(t, c, tt.raw)
		c.Release()
		if n := src.bytes.Load(); n != tt.read {
			t.Errorf("%s: read %d bytes after the restart, want %d", tt.name, n, tt.read)
		}
	}
}

func TestTooLarge(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Bytes: 1 << 20})
	_, desc := blob(8, 1<<20+1)
	if _, err := s.Claim(t.Context(), desc, "a", &blobSource{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Claim(t.Context(), v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: "../../etc"}}, "a", nil); err == nil {
		t.Error("a digest that is a path was taken")
	}
}

// Many blobs through a spool that holds two: all arrive, and the bound holds.
func TestEviction(t *testing.T) {
	const size = 300 << 10
	s := open(t, Options{Dir: t.TempDir(), Bytes: 2*size + 10, Patience: time.Hour})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			raw, desc := blob(uint64(i), size)
			c := claim(t, s, desc, "a", &blobSource{raw: raw})
			defer c.Release()
			mustRead(t, c, raw)
			if held := s.Stats().Disk; held > 2*size+10 {
				t.Errorf("%d bytes reserved", held)
			}
		})
	}
	wg.Wait()
	files, _ := filepath.Glob(filepath.Join(s.Dir(), "sha256-*"))
	if len(files) > 2 {
		t.Errorf("%d files left, want at most 2", len(files))
	}
}

// Two parts from an earlier run fill the spool; neither may wait for the other.
func TestHalfReadEntriesDoNotBlockEachOther(t *testing.T) {
	dir := t.TempDir()
	const size = 1 << 20
	var raws [2][]byte
	var descs [2]v1.Descriptor
	for i := range raws {
		raws[i], descs[i] = blob(uint64(20+i), size)
		name := filepath.Join(dir, "sha256-"+descs[i].Digest.Hex+".part")
		if err := os.WriteFile(name, raws[i][:size*2/3], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, Options{Dir: dir, Bytes: size * 3 / 2})
	var wg sync.WaitGroup
	for i := range raws {
		c := claim(t, s, descs[i], "a", &blobSource{raw: raws[i]})
		wg.Go(func() { mustRead(t, c, raws[i]); c.Release() })
	}
	wg.Wait()
}

// One that lags, and holds another up, loses its claim; never for its own sake.
func TestLaggardLosesItsClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{Dir: t.TempDir(), Bytes: 1 << 20, Patience: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		raw, desc := blob(30, 1<<20)
		next, nextDesc := blob(31, 1<<20)
		slow := claim(t, s, desc, "slow", &blobSource{raw: raw})
		defer slow.Release()
		if err := slow.Whole(); err != nil {
			t.Fatal(err)
		}
		own := claim(t, s, nextDesc, "slow", &blobSource{raw: next})
		time.Sleep(time.Minute)
		if err := slow.Err(); err != nil {
			t.Fatalf("lost its claim to itself: %v", err)
		}
		began := time.Now()
		fast := claim(t, s, nextDesc, "fast", &blobSource{raw: next})
		mustRead(t, fast, next)
		if waited := time.Since(began); waited > 10*time.Second {
			t.Errorf("waited %v", waited)
		}
		if _, err := slow.ReadAt(make([]byte, 10), 0); !errors.Is(err, ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		fast.Release()
		own.Release()
	})
}

func TestMemoryIsBoundedAndOverflowsToDisk(t *testing.T) {
	const size = 100 << 10
	s := open(t, Options{Dir: t.TempDir(), Bytes: 10 << 20, Memory: 3 * size})
	var raws [6][]byte
	var descs [6]v1.Descriptor
	for i := range raws {
		raws[i], descs[i] = blob(uint64(40+i), size)
		s.Keep(descs[i].Digest, raws[i])
		if held := s.Stats().Memory; held > 3*size {
			t.Errorf("%d bytes in memory", held)
		}
	}
	for i := range raws {
		if got, ok := s.Bytes(descs[i].Digest, 4<<20); !ok || !bytes.Equal(got, raws[i]) {
			t.Errorf("blob %d: kept %v", i, ok)
		}
	}
	if _, ok := s.Bytes(descs[0].Digest, 10); ok {
		t.Error("more than the bound was returned")
	}
	src := &blobSource{raw: raws[0]}
	c := claim(t, s, descs[0], "a", src)
	mustRead(t, c, raws[0])
	c.Release()
	if src.opens.Load() != 0 {
		t.Error("kept content was read again")
	}
}

// Docker schema 1: the digest is not that of the bytes.
func TestKeepLoose(t *testing.T) {
	s := open(t, Options{Memory: 1000})
	_, desc := blob(50, 10)
	s.Keep(desc.Digest, []byte("signed"))
	if got, ok := s.Bytes(desc.Digest, 100); !ok || string(got) != "signed" {
		t.Errorf("got %q, %v", got, ok)
	}
	big, bigDesc := blob(51, 1000)
	s.Keep(bigDesc.Digest, big)
	if _, ok := s.Bytes(desc.Digest, 100); ok {
		t.Error("unverifiable bytes were moved to disk")
	}
}

func TestSecondProcessHasAFolderOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	one := open(t, Options{Dir: dir, Bytes: 1 << 20})
	dead := filepath.Join(dir, guests+"dead")
	if err := os.Mkdir(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	two, err := Open(Options{Dir: dir, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if one.Dir() == two.Dir() {
		t.Fatal("two spools share a folder")
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(two.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the guest's folder is still there: %v", err)
	}
	sweep(dir)
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dead process's folder is still there: %v", err)
	}
}

func TestReleaseAndCloseEndEverything(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir(), Bytes: 10 << 20})
	if err != nil {
		t.Fatal(err)
	}
	raw, desc := blob(60, 1<<20)
	ctx, cancel := context.WithCancelCause(t.Context())
	c, err := s.Claim(ctx, desc, "a", &blobSource{raw: raw, gate: make(chan struct{})})
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("stopped by us")
	cancel(why)
	if _, err := readAll(c); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	other := claim(t, s, desc, "b", &blobSource{raw: raw, gate: make(chan struct{})})
	c.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(other); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	other.Release()
	if _, err := s.Claim(t.Context(), desc, "a", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Claims come and go at random over a tiny spool; whoever reads to the end has
// the right bytes, and in the end nothing is held.
func TestChurn(t *testing.T) {
	const blobs, size = 6, 300 << 10
	s := open(t, Options{Dir: t.TempDir(), Bytes: 3 * size, Patience: time.Millisecond})
	var srcs [blobs]*blobSource
	var descs [blobs]v1.Descriptor
	for i := range srcs {
		raw, desc := blob(uint64(70+i), size)
		srcs[i], descs[i] = &blobSource{raw: raw}, desc
	}
	var wg sync.WaitGroup
	for g := range 16 {
		r := rand.New(rand.NewPCG(1, uint64(g)))
		wg.Go(func() {
			for range 40 {
				i := r.IntN(blobs)
				c := claim(t, s, descs[i], fmt.Sprint(g%3), srcs[i])
				if r.IntN(3) == 0 {
					c.ReadAt(make([]byte, 100), int64(r.IntN(size)))
				} else if got, err := readAll(c); err == nil && !bytes.Equal(got, srcs[i].raw) {
					t.Error("wrong bytes")
				} else if err != nil && !errors.Is(err, ErrLost) {
					t.Error(err)
				}
				c.Release()
			}
		})
	}
	wg.Wait()
	st := s.Stats()
	if st.Waiting != 0 || st.Disk > 3*size || st.Disk < 0 || st.Memory != 0 {
		t.Errorf("at the end: %+v", st)
	}
}

// Whoever has given up begins no read.
func TestNoReadForWhoGaveUp(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	desc := v1.Descriptor{Digest: sumOf([]byte("x")), Size: 1}
	if _, err := s.Claim(ctx, desc, "one", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n := s.Stats().Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

// What was asked for is kept, though whoever asked has gone before the first byte
// came: what is read into memory comes to its end, what is read into a file is gone
// on with from where it ended.
func TestWhatWasAskedForIsKept(t *testing.T) {
	for _, size := range []int{1000, 300 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, Options{Dir: t.TempDir(), Bytes: 10 << 20})
				raw, desc := blob(uint64(size), size)
				src := &blobSource{raw: raw, start: make(chan struct{})}
				small := int64(size) < s.opts.Small
				if !small {
					src.gate = make(chan struct{}) // it is not read to its end
				}
				released := release(t, claim(t, s, desc, "denied", src))
				close(src.start)
				<-released
				src.gate = nil
				c := claim(t, s, desc, "other", src)
				defer c.Release()
				mustRead(t, c, raw)
				if again := src.opens.Load() > 1; again == small || again && src.offset.Load() == 0 {
					t.Errorf("%d reads, the last from %d on", src.opens.Load(), src.offset.Load())
				}
			})
		})
	}
}

// Whoever gives up waits for no byte.
func TestNoByteForWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Options{Dir: t.TempDir(), Bytes: 10 << 20})
		raw, desc := blob(80, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		c, err := s.Claim(ctx, desc, "one", &blobSource{raw: raw, start: make(chan struct{})})
		if err != nil {
			t.Fatal(err)
		}
		released := release(t, c)
		cancel()
		<-released
	})
}

// release has c released aside once its read has begun; the channel is closed
// when that is over.
func release(t *testing.T, c *Claim) <-chan struct{} {
	t.Helper()
	if err := c.Begin(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.Release()
	}()
	synctest.Wait()
	return over
}
