package registrytest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest/content"
)

// A write that is only pretended is answered and changes nothing.
func TestPretend(t *testing.T) {
	s := New(t, Options{})
	c := newClient(t, s)
	m := content.Image("x", nil)
	s.Next(1, ManifestPut, Fault{Pretend: true})
	a := c.do("PUT", "/v2/app/manifests/v1", m.Raw, "Content-Type: "+string(m.MediaType))
	if a.status != http.StatusCreated || a.header.Get("Docker-Content-Digest") != m.Digest.String() {
		t.Errorf("%d, digest %s", a.status, a.header.Get("Docker-Content-Digest"))
	}
	if n := len(s.Repositories()); n != 0 {
		t.Errorf("%d repositories", n)
	}
}

func TestOddBodies(t *testing.T) {
	c, layer, data := withLayer(t, Quirks{})
	path := "/v2/app/blobs/" + layer.Digest.String()

	c.s.Next(1, BlobGet, Fault{Break: Gzip})
	a := c.do("GET", path, nil, "Accept-Encoding: identity")
	unpacked, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil || a.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v, encoding %q", err, a.header.Get("Content-Encoding"))
	}
	if raw, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(raw, data) {
		t.Errorf("%d bytes, %v", len(raw), err)
	}

	c.s.Next(1, BlobGet, Fault{Break: Drip, At: layer.Size - 5, For: time.Microsecond})
	if a := c.do("GET", path, nil); !bytes.Equal(a.body, data) {
		t.Errorf("%d bytes, %v", len(a.body), a.err)
	}

	c.s.Next(1, BlobGet, Fault{Break: Endless})
	resp, err := c.s.Client().Get(c.s.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, resp.Body, 3*layer.Size); n != 3*layer.Size {
		t.Errorf("%d bytes, %v", n, err)
	}
	resp.Body.Close()
}

// What a collection sweeps is what no manifest names; a repository is razed with
// all that it has.
func TestSweepAndRaze(t *testing.T) {
	s := New(t, Options{})
	m, loose := content.Image("x", []content.Blob{content.Layer("named", 100)}), content.Layer("loose", 100)
	if err := s.Load("app", m, "v1"); err != nil {
		t.Fatal(err)
	}
	if err := s.LoadBlob("app", loose); err != nil {
		t.Fatal(err)
	}
	swept, err := s.Sweep("app")
	if err != nil || len(swept) != 1 || swept[0] != loose.Digest || s.Has("app", loose.Digest) {
		t.Errorf("swept %v, %v", swept, err)
	}
	if err := s.Verify("app", "v1"); err != nil {
		t.Error(err)
	}
	if err := s.RemoveRepository("app"); err != nil || len(s.Repositories()) != 0 || s.Has("app", m.Blobs[0].Digest) {
		t.Errorf("%v, repositories %v", err, s.Repositories())
	}
}
