package oci

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

func TestUploadsBreak(t *testing.T) {
	b := content.Layer("big", 3_000_000)
	for name, tt := range map[string]struct {
		fault registrytest.Fault
		max   int64 // bytes taken in all
	}{
		"reset":       {registrytest.Fault{Break: registrytest.ResetUpload, At: 1_500_000}, 4_700_000},
		"stalled":     {registrytest.Fault{Break: registrytest.StallUpload, At: 1_500_000}, 4_700_000},
		"answer lost": {registrytest.Fault{Break: registrytest.LoseResponse}, 3_000_000},
		"503":         {registrytest.Unavailable(""), 7_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, nil)
			s.Next(1, registrytest.UploadPut, tt.fault)
			r := open(t, s, func(o *Options) { o.Timeouts = Timeouts{Idle: 300 * time.Millisecond, Header: 300 * time.Millisecond} })
			if _, err := r.Put(t.Context(), "app", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
			if !s.Has("app", b.Digest) {
				t.Error("the blob is not there")
			}
			if in := s.Counts().BytesIn; in > tt.max {
				t.Errorf("%d bytes were taken", in)
			}
			if n := r.Limiter().InFlight(limit.Write); n != 0 {
				t.Errorf("%d slots held", n)
			}
		})
	}
}

func inPieces(o *Options) { o.Caps.Chunks, o.ChunkFrom, o.ChunkSize = providers.Yes, 1000, 500_000 }

func TestPiecesGoOn(t *testing.T) {
	b := content.Layer("big", 3_000_000)
	for name, tt := range map[string]struct {
		class  registrytest.Class
		fault  registrytest.Fault
		times  int
		quirks func(*registrytest.Quirks)
		max    int64
	}{
		"nothing":         {max: 3_000_000},
		"reset":           {class: registrytest.UploadPatch, times: 2, fault: registrytest.Fault{Break: registrytest.ResetUpload, At: 400_000}, max: 3_000_000},
		"answer lost":     {class: registrytest.UploadPatch, times: 2, fault: registrytest.Fault{Break: registrytest.LoseResponse}, max: 3_000_000},
		"503":             {class: registrytest.UploadPatch, times: 3, fault: registrytest.Unavailable(""), max: 4_600_000},
		"last one lost":   {class: registrytest.UploadPut, times: 1, fault: registrytest.Fault{Break: registrytest.LoseResponse}, max: 3_000_000},
		"last one 503":    {class: registrytest.UploadPut, times: 1, fault: registrytest.Unavailable(""), max: 3_000_000},
		"201, relative":   {quirks: func(q *registrytest.Quirks) { q.PatchCreated, q.Location = true, registrytest.Relative }, max: 3_000_000},
		"at the storage":  {quirks: func(q *registrytest.Quirks) { q.Location = registrytest.OnStorage }, max: 3_000_000},
		"without status":  {class: registrytest.UploadPatch, times: 1, fault: registrytest.Fault{Break: registrytest.ResetUpload, At: 100_000}, quirks: func(q *registrytest.Quirks) { q.NoStatus = true }, max: 3_700_000},
		"session expired": {class: registrytest.UploadPatch, times: 1, fault: registrytest.Fault{Status: 404, Code: "BLOB_UPLOAD_UNKNOWN"}, max: 3_600_000},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, tt.quirks)
			s.Next(tt.times, tt.class, tt.fault)
			r := open(t, s, inPieces)
			session, err := r.Put(t.Context(), "app", b.Descriptor, b.Content, providers.UploadOptions{})
			if err != nil || session != nil {
				t.Fatal(session, err)
			}
			if !s.Has("app", b.Digest) {
				t.Error("the blob is not there")
			}
			if in := s.Counts().BytesIn; in > tt.max {
				t.Errorf("%d bytes were taken, want at most %d", in, tt.max)
			}
		})
	}
}

// The session outlives the process that began it.
func TestSessionIsHandedOn(t *testing.T) {
	s := server(t, nil)
	b := content.Layer("big", 3_000_000)
	var patches int
	s.Before(func(_ *http.Request, c registrytest.Class) *registrytest.Fault {
		if c == registrytest.UploadPatch {
			if patches++; patches > 2 {
				return &registrytest.Fault{Status: 403, Code: "DENIED"}
			}
		}
		return nil
	})
	session, err := open(t, s, inPieces).Put(t.Context(), "app", b.Descriptor, b.Content, providers.UploadOptions{})
	wantKind(t, err, providers.Denied)
	if session == nil || session.Committed != 1_500_000 || session.Started.IsZero() {
		t.Fatalf("session %+v", session)
	}
	s.Before(nil)
	before := s.Counts().BytesIn
	if _, err := open(t, s, inPieces).Put(t.Context(), "app", b.Descriptor, b.Content, providers.UploadOptions{From: session}); err != nil {
		t.Fatal(err)
	}
	if in := s.Counts().BytesIn - before; in != 1_500_000 {
		t.Errorf("%d bytes after the first half", in)
	}
	session.Committed = 2_000_000 // it is long gone
	if err := s.LoadBlob("other", content.Layer("x", 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, s, inPieces).Put(t.Context(), "other", b.Descriptor, b.Content, providers.UploadOptions{From: session}); err != nil || !s.Has("other", b.Digest) {
		t.Errorf("a lost session is not replaced: %v", err)
	}
}

func TestMountSessionIsUsed(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) { q.NoMount = true })
	m := image("app")
	load(t, s, "lib", m, "v1")
	r := open(t, s)
	b := m.Blobs[1]
	mounted, session, err := r.Mount(t.Context(), "app", "lib", b.Digest)
	if mounted || session == nil || err != nil {
		t.Fatal(mounted, session, err)
	}
	if _, err := r.Put(t.Context(), "app", b.Descriptor, b.Content, providers.UploadOptions{From: session}); err != nil {
		t.Fatal(err)
	}
	if n := s.Counts().Requests[registrytest.UploadPost]; n != 0 {
		t.Errorf("%d uploads were begun besides the mount's", n)
	}
	_, lost, _ := r.Mount(t.Context(), "app", "lib", m.Blobs[2].Digest)
	s.ForgetUploads()
	if _, err := r.Put(t.Context(), "app", m.Blobs[2].Descriptor, m.Blobs[2].Content, providers.UploadOptions{From: lost}); err != nil {
		t.Errorf("a forgotten upload: %v", err)
	}
}

func TestMountRefusals(t *testing.T) {
	m := image("app")
	for _, status := range []int{400, 401, 403, 404, 405} {
		s := server(t, func(q *registrytest.Quirks) { q.NoMount, q.MountStatus = true, status })
		load(t, s, "lib", m, "v1")
		mounted, session, err := open(t, s).Mount(t.Context(), "app", "lib", m.Blobs[0].Digest)
		if mounted || session != nil || err != nil {
			t.Errorf("%d: %v, %v, %v; want a refusal", status, mounted, session, err)
		}
	}
	s := server(t, func(q *registrytest.Quirks) { q.MustExist = registrytest.MustExistAsECR })
	load(t, s, "lib", m, "v1")
	_, _, err := open(t, s).Mount(t.Context(), "team/app", "lib", m.Blobs[0].Digest)
	wantKind(t, err, providers.NotFound)
}

// A source that fails breaks the upload off, and nothing is committed.
func TestBodyThatFails(t *testing.T) {
	b := content.Layer("big", 3_000_000)
	broken := errors.New("the spool broke")
	for name, change := range map[string]func(*Options){"whole": func(*Options) {}, "in pieces": inPieces} {
		t.Run(name, func(t *testing.T) {
			s := server(t, nil)
			r := open(t, s, change)
			_, err := r.Put(t.Context(), "app", b.Descriptor, &failing{b.Content, 2_000_000, broken}, providers.UploadOptions{})
			if !errors.Is(err, broken) || providers.KindOf(err) != providers.Unknown {
				t.Errorf("error %v, want the body's", err)
			}
			if !strings.Contains(err.Error(), "upload blob") || !strings.Contains(err.Error(), b.Digest.Hex) {
				t.Errorf("error %v does not say what was read", err)
			}
			_, err = r.Put(t.Context(), "app", b.Descriptor, &failing{b.Content, 2_000_000, io.EOF}, providers.UploadOptions{})
			wantKind(t, err, providers.Invalid)
			if s.Has("app", b.Digest) || s.Counts().Requests[registrytest.UploadPost] != 2 {
				t.Errorf("committed, or tried again: %s", s.Counts())
			}
			if n := r.Limiter().InFlight(limit.Write); n != 0 {
				t.Errorf("%d slots held", n)
			}
		})
	}
}

type failing struct {
	io.ReaderAt
	at  int64
	err error
}

func (f *failing) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.at {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, at)
}

// Nothing is uploaded twice where a connection breaks: the host has what it read,
// and says so. The peak of what it is asked is a piece, which doubles.
func TestPiecesLoseNothing(t *testing.T) {
	b := content.Layer("big", 8_000_000)
	s := server(t, nil)
	var sizes []int64
	s.Before(func(r *http.Request, c registrytest.Class) *registrytest.Fault {
		if c != registrytest.UploadPatch {
			return nil
		}
		sizes = append(sizes, r.ContentLength)
		if len(sizes) == 4 { // 0.5 + 1 + 2 MB are there, and 4.5 are on their way
			return &registrytest.Fault{Break: registrytest.ResetUpload, At: 2_500_000}
		}
		return nil
	})
	if _, err := open(t, s, inPieces).Put(t.Context(), "app", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	if in := s.Counts().BytesIn; in != b.Size || !s.Has("app", b.Digest) {
		t.Errorf("%d bytes were taken, want %d", in, b.Size)
	}
	if want := []int64{500_000, 1_000_000, 2_000_000, 4_000_000, 500_000, 1_000_000, 500_000}; !slices.Equal(sizes, want) {
		t.Errorf("pieces of %d bytes, want %d", sizes, want)
	}
}

// A proxy before the host takes no large request: pieces stay as small as asked
// for, in this upload and in those that follow.
func TestPiecesThatAreTooLarge(t *testing.T) {
	b, next := content.Layer("big", 4_000_000), content.Layer("next", 4_000_000)
	s := server(t, nil)
	refused := 0
	s.Before(func(r *http.Request, c registrytest.Class) *registrytest.Fault {
		if c != registrytest.UploadPatch || r.ContentLength <= 600_000 {
			return nil
		}
		refused++
		return &registrytest.Fault{Status: http.StatusRequestEntityTooLarge}
	})
	r := open(t, s, inPieces)
	for _, blob := range []content.Blob{b, next} {
		if _, err := r.Put(t.Context(), "app", blob.Descriptor, blob.Content, providers.UploadOptions{}); err != nil || !s.Has("app", blob.Digest) {
			t.Fatal(err)
		}
	}
	if n := s.Counts().Of(registrytest.UploadPatch); refused != 1 || n != 17 {
		t.Errorf("%d pieces were refused of %d, want 1 of 17", refused, n)
	}
}

// What Keep was told is enough for another process to go on, however old it is.
func TestKeptSessionsGoOn(t *testing.T) {
	b := content.Layer("big", 3_000_000)
	for at, committed := range []int64{0, 500_000, 1_500_000} {
		s := server(t, nil)
		var kept []providers.Session
		stop := errors.New("killed")
		_, err := open(t, s, inPieces).Put(t.Context(), "app", b.Descriptor, &failing{b.Content, 2_000_000, stop},
			providers.UploadOptions{Keep: func(s providers.Session) { kept = append(kept, s) }})
		if !errors.Is(err, stop) || len(kept) != 3 {
			t.Fatalf("kept %d sessions, %v", len(kept), err)
		}
		if kept[at].Committed != committed || kept[at].Started.IsZero() || kept[at].New {
			t.Errorf("session %d: %+v", at, kept[at])
		}
		if _, err := open(t, s, inPieces).Put(t.Context(), "app", b.Descriptor, b.Content, providers.UploadOptions{From: &kept[at]}); err != nil {
			t.Fatal(err)
		}
		c := s.Counts()
		if c.BytesIn != b.Size || !s.Has("app", b.Digest) || c.Of(registrytest.UploadPost) != 1 {
			t.Errorf("from session %d: %d bytes were taken of %d, in %d uploads", at, c.BytesIn, b.Size, c.Of(registrytest.UploadPost))
		}
	}
}

// A session that somebody else wrote to, or whose bytes were wrong, is given up
// for a new one, once; the same in one request never goes into a used session.
func TestSpoiltSessionIsReplaced(t *testing.T) {
	b := content.Layer("big", 3_000_000)
	for name, change := range map[string]func(*Options){"in pieces": inPieces, "whole": func(*Options) {}} {
		t.Run(name, func(t *testing.T) {
			s := server(t, nil)
			wrong := content.Layer("other", 3_000_000)
			var kept providers.Session
			keep := func(s providers.Session) { kept = s }
			_, err := open(t, s, inPieces).Put(t.Context(), "app", b.Descriptor, &failing{wrong.Content, 1_500_000, io.ErrClosedPipe}, providers.UploadOptions{Keep: keep})
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Fatal(err)
			}
			session, err := open(t, s, change).Put(t.Context(), "app", b.Descriptor, b.Content, providers.UploadOptions{From: &kept})
			if err != nil || session != nil || !s.Has("app", b.Digest) {
				t.Errorf("%v, %v", session, err)
			}
		})
	}
}

// A body that is slow to come is not a host that is slow to answer.
func TestBodyMayTakeItsTime(t *testing.T) {
	s := server(t, nil)
	b := content.Layer("small", 100_000)
	r := open(t, s, func(o *Options) {
		o.Timeouts.Idle, o.Timeouts.Header, o.Retry.Tries = 50*time.Millisecond, 50*time.Millisecond, 1
	})
	gate := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() { close(gate) })
	if _, err := r.Put(t.Context(), "app", b.Descriptor, gated{b.Content, gate}, providers.UploadOptions{}); err != nil {
		t.Error(err)
	}
}

type gated struct {
	io.ReaderAt
	gate chan struct{}
}

func (g gated) ReadAt(p []byte, at int64) (int, error) {
	if at > 50_000 {
		<-g.gate
	}
	return g.ReaderAt.ReadAt(p, at)
}

func TestWrongDigestNeverLands(t *testing.T) {
	s := server(t, nil)
	b := content.Layer("one", 10_000)
	other := content.Layer("two", 10_000)
	_, err := open(t, s).Put(t.Context(), "app", b.Descriptor, other.Content, providers.UploadOptions{})
	wantKind(t, err, providers.Invalid)
	if s.Has("app", b.Digest) || s.Has("app", other.Digest) {
		t.Error("it was committed")
	}
}
