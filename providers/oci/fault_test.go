package oci

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

func TestRetries(t *testing.T) {
	for name, fault := range map[string]registrytest.Fault{
		"503":                     registrytest.Unavailable(""),
		"429 with Retry-After":    registrytest.Throttled("0"),
		"429 with a past date":    registrytest.Throttled("Mon, 02 Jan 2006 15:04:05 GMT"),
		"500":                     {Status: 500},
		"reset":                   {Break: registrytest.Reset},
		"truncated":               {Break: registrytest.Truncate, At: 10},
		"answer lost":             {Break: registrytest.LoseResponse},
		"502 with a page":         {Status: 502, HTML: "<html>bad gateway</html>"},
		"429 that claims a quota": {Status: 429, Code: "DENIED", Message: "quota"},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, nil)
			m := image("app")
			load(t, s, "app", m, "v1")
			r := open(t, s)
			for _, class := range []registrytest.Class{registrytest.Ping, registrytest.Tags, registrytest.ManifestHead, registrytest.ManifestGet,
				registrytest.BlobGet, registrytest.BlobHead, registrytest.UploadPost, registrytest.UploadPut, registrytest.Mount, registrytest.ManifestPut} {
				s.Next(3, class, fault)
			}
			tagsOf(t, r, "app")
			if _, err := r.Head(t.Context(), "app", "v1"); err != nil {
				t.Error(err)
			}
			if _, err := r.Manifest(t.Context(), "app", "v1"); err != nil {
				t.Error(err)
			}
			if err := copyImage(t.Context(), r, "copy", "v1", m); err != nil {
				t.Error(err)
			}
			if mounted, _, err := r.Mount(t.Context(), "third", "app", m.Blobs[0].Digest); !mounted || err != nil {
				t.Error("mount", mounted, err)
			}
			if raw, err := readBlob(t.Context(), r, "app", m.Blobs[2].Descriptor, 0); err != nil || len(raw) != 5000 {
				t.Errorf("%d bytes, %v", len(raw), err)
			}
			if err := s.Verify("copy", "v1"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheBudgetEnds(t *testing.T) {
	s := server(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s)
	s.Next(100, registrytest.ManifestHead, registrytest.Unavailable(""))
	_, err := r.Head(t.Context(), "app", "v1")
	if e := wantKind(t, err, providers.Unavailable); e.Status != 503 || !strings.Contains(err.Error(), "6 times") {
		t.Errorf("error %v", err)
	}
	if n := s.Counts().Requests[registrytest.ManifestHead]; n != 6 {
		t.Errorf("%d tries, want 6", n)
	}
	if w := r.Limiter().Width(); w >= limit.DefaultStart {
		t.Errorf("width %d after six times 503", w)
	}
}

func TestLongRetryAfterIsTheCallers(t *testing.T) {
	s := server(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s)
	s.Next(1, registrytest.ManifestHead, registrytest.Throttled("7200"))
	_, err := r.Head(t.Context(), "app", "v1")
	if e := wantKind(t, err, providers.Throttled); e.After != 2*time.Hour {
		t.Errorf("after %v", e.After)
	}
	if n := s.Counts().Requests[registrytest.ManifestHead]; n != 1 {
		t.Errorf("%d tries, want 1", n)
	}
}

func TestRefusalsAreNotTriedAgain(t *testing.T) {
	s := server(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s)
	for status, kind := range map[int]providers.Kind{403: providers.Denied, 404: providers.NotFound, 400: providers.Invalid} {
		s.ResetCounts()
		s.Next(1, registrytest.ManifestGet, registrytest.Fault{Status: status})
		_, err := r.Manifest(t.Context(), "app", "v1")
		wantKind(t, err, kind)
		if n := s.Counts().Requests[registrytest.ManifestGet]; n != 1 {
			t.Errorf("%d: %d tries", status, n)
		}
	}
}

func TestContextEndsAsItsCause(t *testing.T) {
	s := server(t, nil)
	m := image("app")
	load(t, s, "app", m, "v1")
	r := open(t, s, func(o *Options) { o.Retry = Retry{Min: time.Hour, Max: time.Hour} })
	stop := errors.New("stop")
	for name, f := range map[string]func(context.Context) error{
		"head": func(ctx context.Context) error { _, err := r.Head(ctx, "app", "v1"); return err },
		"read": func(ctx context.Context) error {
			_, err := readBlob(ctx, r, "app", m.Blobs[0].Descriptor, 0)
			return err
		},
		"upload": func(ctx context.Context) error {
			_, err := r.Put(ctx, "new", m.Blobs[0].Descriptor, m.Blobs[0].Content, nil)
			return err
		},
		"mount": func(ctx context.Context) error {
			_, _, err := r.Mount(ctx, "new", "app", m.Blobs[0].Digest)
			return err
		},
	} {
		for _, fault := range []registrytest.Fault{{Delay: time.Hour}, registrytest.Unavailable(""), registrytest.Throttled("60")} {
			ctx, cancel := context.WithCancelCause(t.Context())
			s.Before(func(_ *http.Request, c registrytest.Class) *registrytest.Fault {
				if c == registrytest.Ping {
					return nil
				}
				time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
				return &fault
			})
			if err := f(ctx); err != stop {
				t.Errorf("%s, %+v: error %v, want the cause", name, fault, err)
			}
			cancel(nil)
		}
	}
	for _, c := range []limit.Class{limit.Read, limit.Write} {
		if n := r.Limiter().InFlight(c); n != 0 {
			t.Errorf("%d slots of %s are lost", n, c)
		}
	}
}

func big(t *testing.T, s *registrytest.Server) content.Blob {
	t.Helper()
	b := content.Layer("big", 3_000_000)
	if err := s.LoadBlob("app", b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadsGoOnWhereTheyBroke(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  registrytest.Fault
		quirks func(*registrytest.Quirks)
		times  int
		max    int64 // bytes sent in all
	}{
		"reset":           {fault: registrytest.Fault{Break: registrytest.Reset, At: 1_500_000}, times: 1, max: 3_400_000},
		"truncated":       {fault: registrytest.Fault{Break: registrytest.Truncate, At: 1_500_000}, times: 1, max: 3_400_000},
		"stalled":         {fault: registrytest.Fault{Break: registrytest.Stall, At: 1_500_000}, times: 1, max: 3_400_000},
		"before a byte":   {fault: registrytest.Fault{Break: registrytest.Reset}, times: 4, max: 3_400_000},
		"without ranges":  {fault: registrytest.Fault{Break: registrytest.Reset, At: 1_500_000}, quirks: func(q *registrytest.Quirks) { q.NoRange = true }, times: 1, max: 4_900_000},
		"more than tries": {fault: registrytest.Fault{Break: registrytest.Truncate, At: 100_000}, times: 5, max: 3_700_000},
	} {
		for _, redirect := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s := server(t, func(q *registrytest.Quirks) {
					if q.Redirect = redirect; tt.quirks != nil {
						tt.quirks(q)
					}
				})
				b := big(t, s)
				class := registrytest.BlobGet
				if redirect {
					class = registrytest.Storage
				}
				s.Next(tt.times, class, tt.fault)
				r := open(t, s, func(o *Options) { o.Timeouts.Idle = 100 * time.Millisecond })
				for _, size := range []int64{b.Size, -1} {
					raw, err := readBlob(t.Context(), r, "app", v1.Descriptor{Digest: b.Digest, Size: size}, 0)
					if err != nil || !bytes.Equal(raw, blobBytes(t, b)) {
						t.Fatalf("%d bytes, %v", len(raw), err)
					}
					if out := s.Counts().BytesOut; size >= 0 && out > tt.max {
						t.Errorf("%d bytes were sent for %d", out, b.Size)
					}
				}
				if n := r.Limiter().InFlight(limit.Read); n != 0 {
					t.Errorf("%d slots held", n)
				}
			})
		}
	}
}

func TestReadsThatLie(t *testing.T) {
	for name, fault := range map[string]registrytest.Fault{
		"short": {Break: registrytest.Short, At: 1000}, "long": {Break: registrytest.Long, At: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, nil)
			b := big(t, s)
			s.Next(1, registrytest.BlobGet, fault)
			_, err := readBlob(t.Context(), open(t, s), "app", b.Descriptor, 0)
			wantKind(t, err, providers.Invalid)
		})
	}
	t.Run("resized", func(t *testing.T) {
		s := server(t, nil)
		b := big(t, s)
		for _, size := range []int64{b.Size - 1, b.Size + 1, 0} {
			if err := s.ResizeBlob(b.Digest, size); err != nil {
				t.Fatal(err)
			}
			for _, offset := range []int64{0, 1_000_000} {
				_, err := readBlob(t.Context(), open(t, s), "app", b.Descriptor, offset)
				if e := wantKind(t, err, providers.Invalid); e.Hint == "" {
					t.Error("no hint")
				}
			}
		}
	})
}

func TestReadIsOverAfterItsBudget(t *testing.T) {
	s := server(t, nil)
	b := big(t, s)
	r := open(t, s)
	s.Next(100, registrytest.BlobGet, registrytest.Fault{Break: registrytest.Reset, At: 10})
	_, err := readBlob(t.Context(), r, "app", b.Descriptor, 0)
	wantKind(t, err, providers.Unavailable)
	if n := r.Limiter().InFlight(limit.Read); n != 0 {
		t.Errorf("%d slots held", n)
	}
}

// Signed addresses expire: a new one is asked for at each connection.
func TestRedirectIsAskedForAnew(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) { q.Redirect = true })
	b := big(t, s)
	s.Next(2, registrytest.Storage, registrytest.Fault{Status: 403})
	r := open(t, s)
	if _, err := readBlob(t.Context(), r, "app", b.Descriptor, 0); err != nil {
		t.Fatal(err)
	}
	c := s.Counts()
	if c.Requests[registrytest.BlobGet] != 3 || c.Requests[registrytest.Storage] != 3 {
		t.Errorf("%d asked, %d redirected; want 3 of each", c.Requests[registrytest.BlobGet], c.Requests[registrytest.Storage])
	}
	s.Next(100, registrytest.Storage, registrytest.Fault{Status: 403})
	_, err := readBlob(t.Context(), r, "app", b.Descriptor, 0)
	if wantKind(t, err, providers.Unavailable); !strings.Contains(err.Error(), s.StorageHost()) {
		t.Errorf("error %v does not name the storage host", err)
	}
}

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
			if _, err := r.Put(t.Context(), "app", b.Descriptor, b.Content, nil); err != nil {
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
		"reset":           {class: registrytest.UploadPatch, times: 2, fault: registrytest.Fault{Break: registrytest.ResetUpload, At: 400_000}, max: 4_100_000},
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
			session, err := r.Put(t.Context(), "app", b.Descriptor, b.Content, nil)
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
			if patches++; patches > 3 {
				return &registrytest.Fault{Status: 403, Code: "DENIED"}
			}
		}
		return nil
	})
	session, err := open(t, s, inPieces).Put(t.Context(), "app", b.Descriptor, b.Content, nil)
	wantKind(t, err, providers.Denied)
	if session == nil || session.Committed != 1_500_000 || session.Started.IsZero() {
		t.Fatalf("session %+v", session)
	}
	s.Before(nil)
	before := s.Counts().BytesIn
	if _, err := open(t, s, inPieces).Put(t.Context(), "app", b.Descriptor, b.Content, session); err != nil {
		t.Fatal(err)
	}
	if in := s.Counts().BytesIn - before; in != 1_500_000 {
		t.Errorf("%d bytes after the first half", in)
	}
	session.Committed = 2_000_000 // it is long gone
	if err := s.LoadBlob("other", content.Layer("x", 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, s, inPieces).Put(t.Context(), "other", b.Descriptor, b.Content, session); err != nil || !s.Has("other", b.Digest) {
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
	if _, err := r.Put(t.Context(), "app", b.Descriptor, b.Content, session); err != nil {
		t.Fatal(err)
	}
	if n := s.Counts().Requests[registrytest.UploadPost]; n != 0 {
		t.Errorf("%d uploads were begun besides the mount's", n)
	}
	_, lost, _ := r.Mount(t.Context(), "app", "lib", m.Blobs[2].Digest)
	s.ForgetUploads()
	if _, err := r.Put(t.Context(), "app", m.Blobs[2].Descriptor, m.Blobs[2].Content, lost); err != nil {
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
			_, err := r.Put(t.Context(), "app", b.Descriptor, &failing{b.Content, 2_000_000, broken}, nil)
			if !errors.Is(err, broken) || providers.KindOf(err) != providers.Unknown {
				t.Errorf("error %v, want the body's", err)
			}
			_, err = r.Put(t.Context(), "app", b.Descriptor, &failing{b.Content, 2_000_000, io.EOF}, nil)
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

// A body that is slow to come is not a host that is slow to answer.
func TestBodyMayTakeItsTime(t *testing.T) {
	s := server(t, nil)
	b := content.Layer("small", 100_000)
	r := open(t, s, func(o *Options) {
		o.Timeouts.Idle, o.Timeouts.Header, o.Retry.Tries = 50*time.Millisecond, 50*time.Millisecond, 1
	})
	gate := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() { close(gate) })
	if _, err := r.Put(t.Context(), "app", b.Descriptor, gated{b.Content, gate}, nil); err != nil {
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

func TestSilentHost(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	r := openAt(t, s.URL, func(o *Options) { o.Timeouts.Header = 20 * time.Millisecond })
	_, err := r.Head(t.Context(), "app", "v1")
	wantKind(t, err, providers.Unavailable)
}

func TestWrongDigestNeverLands(t *testing.T) {
	s := server(t, nil)
	b := content.Layer("one", 10_000)
	other := content.Layer("two", 10_000)
	_, err := open(t, s).Put(t.Context(), "app", b.Descriptor, other.Content, nil)
	wantKind(t, err, providers.Invalid)
	if s.Has("app", b.Digest) || s.Has("app", other.Digest) {
		t.Error("it was committed")
	}
}

// Connections are used again: at most two times the width are opened.
func TestConnections(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) { q.Redirect = true })
	m := image("app")
	load(t, s, "app", m, "v1")
	r := open(t, s, func(o *Options) { o.Limits.Max, o.Limits.Start = 4, 4 })
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 4 {
				r.Head(t.Context(), "app", "v1")
				r.Manifest(t.Context(), "app", "v2") // an error's body
				readBlob(t.Context(), r, "app", m.Blobs[2].Descriptor, 0)
				b := content.Layer("x", 3000)
				r.Put(t.Context(), "new", b.Descriptor, b.Content, nil)
			}
		})
	}
	all.Wait()
	c := s.Counts()
	if c.Connections > 8 || c.StorageConnections > 8 {
		t.Errorf("%d connections to the host and %d to its storage, want at most 8: %s", c.Connections, c.StorageConnections, c)
	}
}

func TestObserve(t *testing.T) {
	s := server(t, nil)
	m := image("app")
	load(t, s, "app", m, "v1")
	var mu sync.Mutex
	seen := map[string]Request{}
	r := open(t, s, func(o *Options) {
		o.Observe = func(q Request) {
			mu.Lock()
			defer mu.Unlock()
			seen[q.Op] = q
		}
	})
	readBlob(t.Context(), r, "app", m.Blobs[2].Descriptor, 0)
	b := content.Layer("x", 3000)
	r.Put(t.Context(), "new", b.Descriptor, b.Content, nil)
	r.Head(t.Context(), "app", "v9")
	for op, want := range map[string]Request{"ping": {Status: 200}, "get blob": {Status: 200, Got: 5000},
		"put upload": {Status: 201, Sent: 3000, Class: limit.Write}, "head manifest": {Status: 404}} {
		got := seen[op]
		if got.Status != want.Status || got.Sent != want.Sent || want.Got != 0 && got.Got != want.Got || got.Class != want.Class {
			t.Errorf("%s: %+v, want %+v", op, got, want)
		}
	}
}
