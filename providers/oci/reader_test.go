package oci

import (
	"bytes"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

func bigBlob(t *testing.T, s *registrytest.Server) content.Blob {
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
		"closed ranges":   {fault: registrytest.Fault{Break: registrytest.Reset, At: 1_500_000}, quirks: func(q *registrytest.Quirks) { q.ClosedRanges = true }, times: 1, max: 3_400_000},
		"refused ranges":  {fault: registrytest.Fault{Break: registrytest.Reset, At: 1_500_000}, quirks: func(q *registrytest.Quirks) { q.RefuseRanges = true }, times: 1, max: 4_900_000},
		"more than tries": {fault: registrytest.Fault{Break: registrytest.Truncate, At: 100_000}, times: 5, max: 3_700_000},
	} {
		for _, redirect := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s := server(t, func(q *registrytest.Quirks) {
					if q.Redirect = redirect; tt.quirks != nil {
						tt.quirks(q)
					}
				})
				b := bigBlob(t, s)
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
			b := bigBlob(t, s)
			s.Next(1, registrytest.BlobGet, fault)
			_, err := readBlob(t.Context(), open(t, s), "app", b.Descriptor, 0)
			wantKind(t, err, providers.Invalid)
		})
	}
	t.Run("resized", func(t *testing.T) {
		s := server(t, nil)
		b := bigBlob(t, s)
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
	b := bigBlob(t, s)
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
	b := bigBlob(t, s)
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

// A read that gets on may break more often than a request may be tried.
func TestProgressRenewsTheBudget(t *testing.T) {
	s := server(t, nil)
	b := content.Layer("huge", 12_000_000)
	if err := s.LoadBlob("app", b); err != nil {
		t.Fatal(err)
	}
	s.Next(9, registrytest.BlobGet, registrytest.Fault{Break: registrytest.Truncate, At: 1_200_000})
	raw, err := readBlob(t.Context(), open(t, s), "app", b.Descriptor, 0)
	if err != nil || !bytes.Equal(raw, blobBytes(t, b)) {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}
