package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// The source breaks the first answer that comes to three quarters of the blob,
// and only that one.
func TestBreakRead(t *testing.T) {
	big, small := content.Layer("big", 400_000), content.Layer("small", 399_999)
	for _, tt := range []struct {
		name, ranged string
		blob         content.Blob
		want         int64 // bytes that arrive
	}{
		{"all of it", "", big, 300_000},
		{"another blob", "", small, small.Size},
		{"a range before", "bytes=0-200000", big, 200_001},
		{"a range from there on", "bytes=100000-", big, 200_000},
		{"a range behind", "bytes=300001-", big, 99_999},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := registrytest.New(t, registrytest.Options{})
			must(t, s.LoadBlob("app", big))
			must(t, s.LoadBlob("app", small))
			s.Before(breakRead(big))
			get := func(ranged string) (int64, error) {
				r, _ := http.NewRequest(http.MethodGet, s.URL()+"/v2/app/blobs/"+tt.blob.Digest.String(), nil)
				if ranged != "" {
					r.Header.Set("Range", ranged)
				}
				answer, err := s.Client().Do(r)
				must(t, err)
				defer answer.Body.Close()
				return io.Copy(io.Discard, answer.Body)
			}
			if n, err := get(tt.ranged); n != tt.want || (err != nil) != (tt.want == 300_000 || tt.want == 200_000) {
				t.Errorf("%d bytes arrive with %v, want %d", n, err, tt.want)
			}
			if tt.blob.Digest != big.Digest {
				return
			}
			again := int64(300_000) // what broke nothing leaves it to the next
			if tt.want == 300_000 || tt.want == 200_000 {
				again = big.Size
			}
			if n, _ := get(""); n != again {
				t.Errorf("the next time %d bytes arrive, want %d", n, again)
			}
		})
	}
}

// The target breaks the upload that comes to a length, in one body or in pieces,
// once; what it got until then it keeps.
func TestUploadBreaker(t *testing.T) {
	for _, piece := range []int{1000, 400, 300} {
		s := registrytest.New(t, registrytest.Options{})
		s.Before((&uploadBreaker{at: 750, got: map[string]int64{}}).before)
		broke := 0
		for range 2 {
			begun, err := s.Client().Post(s.URL()+"/v2/app/blobs/uploads/", "", nil)
			must(t, err)
			_ = begun.Body.Close()
			location, sent := begun.Header.Get("Location"), 0
			for sent < 1000 {
				body := bytes.Repeat([]byte("x"), min(piece, 1000-sent))
				r, _ := http.NewRequest(http.MethodPatch, location, bytes.NewReader(body))
				answer, err := s.Client().Do(r)
				if err != nil {
					broke++
					break
				}
				_ = answer.Body.Close()
				location, sent = answer.Header.Get("Location"), sent+len(body)
			}
		}
		if broke != 1 {
			t.Errorf("pieces of %d: %d of two uploads broke, want the first", piece, broke)
		}
		if got := s.Counts().BytesIn; got != 1750 {
			t.Errorf("pieces of %d: %d bytes arrived, want 750 and 1000", piece, got)
		}
	}
}
