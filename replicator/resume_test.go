package replicator_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/state"
	"github.com/transship/transship/state/sqlite"
)

// The tests of this file break the way of one large layer at three quarters, on
// either side, by a reset and by SIGKILL. It has 24 MB, or 2 GB with
// TRANSSHIP_LONG=1. Pieces begin at an eighth of it.

// childPieces makes a child's targets take uploads in pieces that begin at so many bytes.
const childPieces = "TRANSSHIP_TEST_PIECES"

// childOptions is how a child process speaks to a registry of its policy.
func childOptions(name string, r policy.Registry) oci.Options {
	o := oci.Options{Host: r.Host, PlainHTTP: true, Push: name != "src", UserAgent: os.Getenv("AGENT")}
	if size, err := strconv.ParseInt(os.Getenv(childPieces), 10, 64); err == nil && name != "src" {
		pieces(&o, size)
	}
	return o
}

func pieces(o *oci.Options, size int64) {
	o.Caps.Chunks, o.ChunkFrom, o.ChunkSize = providers.Yes, size, size
}

// A broken is a world with one large layer, and where its way breaks.
type broken struct {
	*world
	layer  content.Blob
	others int64 // what the target is sent of other blobs
	at     int64
	piece  int64
}

func newBroken(t *testing.T) *broken {
	size := int64(24_000_000)
	if os.Getenv("TRANSSHIP_LONG") == "1" {
		size = 2_000_000_000
	}
	w := newWorld(t, "one")
	w.tune = withSpool(8 << 30)
	w.servers["one"].Close()
	w.servers["one"] = registrytest.New(t, registrytest.Options{Dir: t.TempDir()})
	b := &broken{world: w, layer: content.Layer("large", size), at: size / 4 * 3, piece: size / 8}
	m := content.Image("large", []content.Blob{b.layer})
	b.others = m.Blobs[0].Size
	w.load("app", m, "v1")
	return b
}

// read returns f for the first read of the layer.
func (b *broken) read(f registrytest.Break) {
	b.src().Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if class == registrytest.BlobGet && strings.HasSuffix(r.URL.Path, b.layer.Digest.String()) && r.Header.Get("Range") == "" {
			return &registrytest.Fault{Break: f, At: b.at}
		}
		return nil
	})
}

// sent returns f for the first request that brings the layer's byte at to the target.
func (b *broken) sent(f registrytest.Break) {
	var done atomic.Bool
	b.servers["one"].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		first, last, _ := strings.Cut(r.Header.Get("Content-Range"), "-")
		from, _ := strconv.ParseInt(first, 10, 64)
		end, _ := strconv.ParseInt(last, 10, 64)
		whole := class == registrytest.UploadPut && r.ContentLength == b.layer.Size
		if piece := class == registrytest.UploadPatch && from <= b.at && b.at <= end; (whole || piece) && !done.Swap(true) {
			return &registrytest.Fault{Break: f, At: b.at - from}
		}
		return nil
	})
}

// once fails the test unless the layer left the source once, and went to the
// target at most so many times.
func (b *broken) once(t *testing.T, read, sent float64) {
	t.Helper()
	b.equal()
	hold(t,
		bar{"bytes of the layer from the source", b.src().Counts().Digests[b.layer.Digest.String()].BytesOut, b.layer.Size, read},
		bar{"bytes of the layer to the target", b.servers["one"].Counts().BytesIn - b.others, b.layer.Size, sent})
}

// After a reset on either side nothing is read again, and where chunks work
// nothing is sent again.
func TestResetInsideABlob(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fail  func(*broken)
		whole bool
		most  float64
	}{
		{"source", func(b *broken) { b.read(registrytest.Reset) }, false, 1},
		{"target, in pieces", func(b *broken) { b.sent(registrytest.ResetUpload) }, false, 1},
		{"target, in one request", func(b *broken) { b.sent(registrytest.ResetUpload) }, true, 1.75},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroken(t)
			b.client = func(name string, o *oci.Options) {
				if name == "one" && !tt.whole {
					pieces(o, b.piece)
				}
			}
			tt.fail(b)
			b.start().fine()
			b.once(t, 1, tt.most)
		})
	}
}

// A process that is killed inside a blob is followed by one that goes on there:
// nothing that was read is read again, and where chunks work nothing is sent
// again.
func TestKilledInsideABlob(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fail  func(*broken)
		there func(*broken) bool // whether it is time to kill
		whole bool
		most  float64
	}{
		{"reading", func(b *broken) { b.read(registrytest.Stall) }, (*broken).spooled, false, 1},
		{"sending in pieces", func(b *broken) { b.sent(registrytest.StallUpload) }, (*broken).arrived, false, 1},
		{"sending in one request", func(b *broken) { b.sent(registrytest.StallUpload) }, (*broken).arrived, true, 1.75},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroken(t)
			tt.fail(b)
			var out bytes.Buffer
			cmd := b.child(&out, tt.whole)
			b.must(cmd.Start())
			b.waitFor(func() bool { return tt.there(b) })
			b.kill(cmd, &out)
			for _, s := range b.servers {
				s.Before(func(*http.Request, registrytest.Class) *registrytest.Fault { return nil })
			}
			b.finish(tt.whole)
			b.others *= 2 // what is small may not have been noted before the kill
			b.once(t, 1, tt.most)
		})
	}
}

// At full speed what was under way is lost as well: what the source had sent into
// the connection, and what the target had not yet read from it.
func TestKilledAtFullSpeed(t *testing.T) {
	if os.Getenv("TRANSSHIP_LONG") != "1" {
		t.Skip("what is lost is a part of two gigabytes, and more than a small layer: TRANSSHIP_LONG=1 runs it")
	}
	b := newBroken(t)
	var out bytes.Buffer
	cmd := b.child(&out, false)
	b.must(cmd.Start())
	b.waitFor(func() bool { return b.src().Counts().BytesOut > b.layer.Size/2 })
	b.kill(cmd, &out)
	b.finish(false)
	b.once(t, 1.03, 1.03)
}

// A large layer that has arrived when the process is killed, while another one of
// the same image is on its way, is not sent again.
func TestKilledBesideABlob(t *testing.T) {
	b := newBroken(t)
	beside := content.Layer("beside", 40_000_000)
	b.load("app", content.Image("two", []content.Blob{b.layer, beside}), "v1")
	b.sent(registrytest.StallUpload)
	var out bytes.Buffer
	cmd := b.child(&out, true)
	b.must(cmd.Start())
	b.waitFor(func() bool { return b.servers["one"].Has("app", beside.Digest) && b.remembers(beside) })
	b.kill(cmd, &out)
	if b.servers["one"].Has("app", b.layer.Digest) {
		t.Fatal("it was remembered only when the other layer had arrived")
	}
	b.servers["one"].Before(func(*http.Request, registrytest.Class) *registrytest.Fault { return nil })
	b.finish(true)
	b.equal()
	if n := b.servers["one"].Counts().Digests[beside.Digest.String()].Uploads; n != 1 {
		t.Errorf("the layer that had arrived was uploaded %d times", n)
	}
}

// remembers reports whether state knows that the target has a blob.
func (b *broken) remembers(blob content.Blob) bool {
	store, err := sqlite.Open(b.t.Context(), filepath.Join(b.dir, "state.db"), sqlite.Options{ReadOnly: true})
	if err != nil {
		return false
	}
	defer store.Close()
	has, err := store.Has(b.t.Context(), state.Repo{Host: b.servers["one"].Host(), Name: "app"}, []v1.Hash{blob.Digest})
	return err == nil && has[blob.Digest]
}

func (b *broken) child(out *bytes.Buffer, whole bool) *exec.Cmd {
	cmd := b.spawn(out)
	if !whole {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", childPieces, b.piece))
	}
	return cmd
}

// finish runs a process to its end.
func (b *broken) finish(whole bool) {
	b.t.Helper()
	var out bytes.Buffer
	if err := b.child(&out, whole).Run(); err != nil {
		b.t.Fatalf("%v: %s", err, out.String())
	}
}

func (b *broken) waitFor(ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("it never came so far; source\n%s\ntarget\n%s", b.src().Counts(), b.servers["one"].Counts())
		}
	}
}

func (b *broken) kill(cmd *exec.Cmd, out *bytes.Buffer) {
	b.t.Helper()
	b.must(cmd.Process.Kill())
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); !ok || exit.Exited() {
		b.t.Fatalf("it was not killed: %s", out.String())
	}
}

// spooled reports whether all bytes that the source has sent are in the spool.
func (b *broken) spooled() bool {
	info, err := os.Stat(filepath.Join(b.dir, "spool", "sha256-"+b.layer.Digest.Hex+".part"))
	return err == nil && info.Size() == b.at
}

// arrived reports whether the target has read all that it will before the kill,
// and the spool has it all.
func (b *broken) arrived() bool {
	_, err := os.Stat(filepath.Join(b.dir, "spool", "sha256-"+b.layer.Digest.Hex))
	return err == nil && b.servers["one"].Counts().BytesIn >= b.at
}
