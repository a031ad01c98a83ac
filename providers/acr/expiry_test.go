package acr

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// ending reads a blob, and calls end once when a read comes to at.
type ending struct {
	io.ReaderAt
	at   int64
	once sync.Once
	end  func()
}

func (e *ending) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > e.at {
		e.once.Do(e.end)
	}
	return e.ReaderAt.ReadAt(p, off)
}

// TestExpiryInUpload: every token ends in the middle of an upload in pieces, which
// goes on in the same session.
func TestExpiryInUpload(t *testing.T) {
	s := serve(t, acrtest.Options{})
	r := open(t, s, app(s), func(o *Options) { o.OCI.ChunkFrom, o.OCI.ChunkSize = 256<<10, 256<<10 })
	layer := content.Layer("large", 2<<20)
	body := &ending{ReaderAt: layer.Content, at: 1 << 20, end: func() {
		s.Entra().ForgetTokens()
		s.ExpireTokens(true)
	}}
	if _, err := r.Put(t.Context(), "team/app", layer.Descriptor, body, providers.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	n := s.Counts()
	if !s.Has("team/app", layer.Digest) || n.Of(registrytest.UploadPost) != 1 || n.Of(registrytest.UploadPatch) < 4 || s.Calls()["exchange"] < 2 {
		t.Errorf("%v\n%s", s.Calls(), n)
	}
}

// TestExpiryInDownload: every token ends, and the storage's connection breaks, in
// the middle of a blob; the read goes on where it was.
func TestExpiryInDownload(t *testing.T) {
	s := serve(t, acrtest.Options{})
	layer := content.Layer("large", 2<<20)
	if err := s.LoadBlob("team/app", layer); err != nil {
		t.Fatal(err)
	}
	r := open(t, s, app(s))
	s.Next(1, registrytest.Storage, registrytest.Fault{Break: registrytest.Reset, At: 1 << 20})
	body, err := r.Open(t.Context(), "team/app", v1.Descriptor{Digest: layer.Digest, Size: layer.Size}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	first := make([]byte, 64<<10)
	if _, err := io.ReadFull(body, first); err != nil {
		t.Fatal(err)
	}
	s.Entra().ForgetTokens()
	s.ExpireTokens(true)
	rest, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if got := content.Hash(bytes.Join([][]byte{first, rest}, nil)); got != layer.Digest {
		t.Errorf("read %d bytes of %s", len(first)+len(rest), got)
	}
	if n := s.Counts(); n.Of(registrytest.Storage) != 2 || n.BytesOut > layer.Size || s.Calls()["exchange"] < 2 {
		t.Errorf("%v\n%s", s.Calls(), n)
	}
}

// TestClouds: each cloud's registries sign in at its own authority.
func TestClouds(t *testing.T) {
	unset(t)
	for host, want := range map[string]string{"acmedr.azurecr.io": "login.microsoftonline.com", "acmedr.azurecr.cn": "login.chinacloudapi.cn",
		"acmedr.azurecr.us": "login.microsoftonline.us"} {
		var mu sync.Mutex
		seen := map[string]bool{}
		o := Options{Identity: principal(acrtest.App{Tenant: acrtest.Tenant, ClientID: "c", Secret: "s"})}
		o.OCI.Host, o.OCI.Retry.Tries = host, 1
		o.OCI.Base = roundTrip(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			seen[req.URL.Host] = true
			return nil, io.ErrUnexpectedEOF
		})
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Whoami(t.Context()); err == nil || !seen[want] {
			t.Errorf("%s signs in at %v (%v)", host, seen, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
