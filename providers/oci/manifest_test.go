package oci

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

func TestHeadWithoutDigest(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) { q.NoDigestHeader = true })
	m := image("app")
	load(t, s, "app", m, "v1")
	r := open(t, s)
	for range 3 {
		if d, err := r.Head(t.Context(), "app", "v1"); err != nil || d.Digest != m.Digest || d.Size != int64(len(m.Raw)) {
			t.Fatal(d, err)
		}
	}
	c := s.Counts()
	if c.Requests[registrytest.ManifestHead] != 1 || c.Requests[registrytest.ManifestGet] != 3 {
		t.Errorf("%d HEAD and %d GET, want 1 and 3", c.Requests[registrytest.ManifestHead], c.Requests[registrytest.ManifestGet])
	}
}

func TestDigestsThatDisagree(t *testing.T) {
	m := image("app")
	s := server(t, func(q *registrytest.Quirks) { q.WrongDigestHeader = true })
	load(t, s, "app", m, "v1")
	r := open(t, s)
	for _, ref := range []string{"v1", m.Digest.String()} {
		_, err := r.Manifest(t.Context(), "app", ref)
		wantKind(t, err, providers.Invalid)
	}
	_, err := r.Head(t.Context(), "app", m.Digest.String())
	wantKind(t, err, providers.Invalid)
	s.Set(func(q *registrytest.Quirks) { q.WrongDigestHeader = false })
	if err := s.CorruptManifest("app", "v1"); err != nil {
		t.Fatal(err)
	}
	_, err = r.Manifest(t.Context(), "app", "v1")
	if e := wantKind(t, err, providers.Invalid); e.Hint == "" {
		t.Error("no hint")
	}
}

func TestSchema1(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) { q.Schema1 = true })
	m := content.Schema1("app", "v1", []content.Blob{content.Layer("a", 1000)})
	load(t, s, "app", m, "v1")
	r := open(t, s)
	for _, ref := range []string{"v1", m.Digest.String()} {
		got, err := r.Manifest(t.Context(), "app", ref)
		if err != nil || got.Digest != m.Digest || !bytes.Equal(got.Raw, m.Raw) || got.MediaType != types.DockerManifestSchema1Signed {
			t.Fatal(got.Digest, got.MediaType, err)
		}
	}
	if err := copyImage(t.Context(), r, "copy", "v1", m); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify("copy", "v1"); err != nil {
		t.Error(err)
	}
	payload, ok := schema1Payload(m.Raw)
	if want, err := content.Schema1Payload(m.Raw); !ok || err != nil || !bytes.Equal(payload, want) {
		t.Error("the payload is not what was signed")
	}
}

func FuzzSchema1Payload(f *testing.F) {
	f.Add(content.Schema1("app", "v1", nil).Raw)
	f.Fuzz(func(t *testing.T, raw []byte) { schema1Payload(raw) })
}

func TestMediaTypes(t *testing.T) {
	for _, tt := range []struct {
		header, body string
		want         types.MediaType
	}{
		{"application/vnd.oci.image.manifest.v1+json; charset=utf-8", `{}`, types.OCIManifestSchema1},
		{"application/x-unknown", `{"mediaType":"application/other"}`, "application/x-unknown"},
		{"application/json", `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}`, types.DockerManifestSchema2},
		{"application/json", `{"schemaVersion":2,"manifests":[]}`, types.OCIImageIndex},
		{"", `{"schemaVersion":2,"config":{}}`, types.OCIManifestSchema1},
		{"text/plain", `{"schemaVersion":1,"signatures":[{}]}`, types.DockerManifestSchema1Signed},
		{"application/octet-stream", `{"schemaVersion":1}`, types.DockerManifestSchema1},
	} {
		r := host(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{tt.header}
			fmt.Fprint(w, tt.body)
		})
		m, err := r.Manifest(t.Context(), "app", "v1")
		if err != nil || m.MediaType != tt.want || string(m.Raw) != tt.body {
			t.Errorf("%s %s: %s, %v; want %s", tt.header, tt.body, m.MediaType, err, tt.want)
		}
	}
}

func TestManifestsThatAreNone(t *testing.T) {
	for name, f := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<html>")
		},
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
			w.Write(make([]byte, providers.MaxManifest+1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := host(t, f).Manifest(t.Context(), "app", "v1")
			wantKind(t, err, providers.Invalid)
		})
	}
}

func TestSHA512(t *testing.T) {
	raw := []byte(`{"schemaVersion":2}`)
	sum := sha512.Sum512(raw)
	ref := "sha512:" + hex.EncodeToString(sum[:])
	r := host(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		w.Header().Set("Docker-Content-Digest", sha(raw).String())
		w.Write(raw)
	})
	if m, err := r.Manifest(t.Context(), "app", ref); err != nil || m.Digest.String() != ref {
		t.Errorf("%s, %v", m.Digest, err)
	}
	_, err := r.Manifest(t.Context(), "app", strings.Replace(ref, ref[7:9], "00", 1))
	wantKind(t, err, providers.Invalid)
}

func TestPutManifestKinds(t *testing.T) {
	one, two := image("one"), image("two")
	for _, style := range []registrytest.Immutable{registrytest.ImmutableECR, registrytest.ImmutableACR,
		registrytest.ImmutableQuay, registrytest.ImmutableHarbor, registrytest.ImmutableGAR} {
		s := server(t, func(q *registrytest.Quirks) { q.Immutable = style })
		load(t, s, "app", one, "v1")
		load(t, s, "app", two, "v2")
		_, err := open(t, s).PutManifest(t.Context(), "app", "v1", two.Manifest, providers.PutOptions{})
		if e := wantKind(t, err, providers.Conflict); e.Hint == "" {
			t.Errorf("%s: no hint", style)
		}
	}
	s := server(t, nil)
	load(t, s, "app", one, "v1")
	load(t, s, "app", two, "v2")
	r := open(t, s)
	_, err := r.PutManifest(t.Context(), "app", "v1", two.Manifest, providers.PutOptions{IfMatch: two.Digest})
	wantKind(t, err, providers.Conflict)
	if _, err := r.PutManifest(t.Context(), "app", "v1", two.Manifest, providers.PutOptions{IfMatch: one.Digest}); err != nil {
		t.Error(err)
	}
	_, err = r.PutManifest(t.Context(), "other", "v1", one.Manifest, providers.PutOptions{})
	wantKind(t, err, providers.Incomplete)
	s.Set(func(q *registrytest.Quirks) { q.ReadOnly = true })
	_, err = r.PutManifest(t.Context(), "app", "v1", one.Manifest, providers.PutOptions{})
	wantKind(t, err, providers.Denied)
	s.Set(func(q *registrytest.Quirks) { q.ReadOnly, q.Full = false, true })
	_, err = r.PutManifest(t.Context(), "app", "v1", one.Manifest, providers.PutOptions{})
	wantKind(t, err, providers.Quota)
	_, err = r.Put(t.Context(), "app", content.Layer("x", 10).Descriptor, content.Layer("x", 10).Content, providers.UploadOptions{})
	wantKind(t, err, providers.Quota)
	s.Set(func(q *registrytest.Quirks) { q.Full, q.MustExist = false, registrytest.MustExistAsGAR })
	_, err = r.Put(t.Context(), "nowhere", content.Layer("x", 10).Descriptor, content.Layer("x", 10).Content, providers.UploadOptions{})
	if e := wantKind(t, err, providers.Denied); !strings.Contains(e.Hint, "create the repository") {
		t.Errorf("hint %q", e.Hint)
	}
}

func TestStoredUnderAnotherDigest(t *testing.T) {
	m := image("app")
	r := host(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Content-Digest", someBlob.Digest.String())
		w.WriteHeader(201)
	})
	_, err := r.PutManifest(t.Context(), "app", "v1", m.Manifest, providers.PutOptions{})
	wantKind(t, err, providers.Invalid)
}

// A manifest's redirect to another host, as registry.k8s.io does.
func TestManifestRedirect(t *testing.T) {
	real := server(t, nil)
	m := image("app")
	load(t, real, "app", m, "v1")
	r := host(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, real.URL()+req.URL.Path, http.StatusTemporaryRedirect)
	})
	if d, err := r.Head(t.Context(), "app", "v1"); err != nil || d.Digest != m.Digest {
		t.Error(d, err)
	}
	if got, err := r.Manifest(t.Context(), "app", "v1"); err != nil || got.Digest != m.Digest {
		t.Error(err)
	}
	loop := host(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, req.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := loop.Head(t.Context(), "app", "v1")
	wantKind(t, err, providers.Invalid)
}

// TestPutManifestTooLarge: what no registry should take is not offered to one.
func TestPutManifestTooLarge(t *testing.T) {
	r := host(t, func(http.ResponseWriter, *http.Request) { t.Error("the host was asked") })
	m := providers.Manifest{MediaType: types.OCIManifestSchema1, Raw: make([]byte, providers.MaxManifest+1)}
	_, err := r.PutManifest(t.Context(), "app", "v1", m, providers.PutOptions{})
	wantKind(t, err, providers.Invalid)
}
