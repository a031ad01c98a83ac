package oci

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// open opens the registry at s, with a back-off that tests can wait for.
func open(t *testing.T, s *registrytest.Server, change ...func(*Options)) *Registry {
	t.Helper()
	o := Options{Host: s.Host(), PlainHTTP: s.CA() == nil, TLS: TLS{CAPEM: s.CA()},
		Retry: Retry{Min: time.Millisecond, Max: 5 * time.Millisecond}}
	for _, f := range change {
		f(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func server(t *testing.T, quirks func(*registrytest.Quirks)) *registrytest.Server {
	t.Helper()
	s := registrytest.New(t, registrytest.Options{})
	if quirks != nil {
		s.Set(quirks)
	}
	return s
}

func load(t *testing.T, s *registrytest.Server, repo string, m *content.Manifest, tags ...string) {
	t.Helper()
	if err := s.Load(repo, m, tags...); err != nil {
		t.Fatal(err)
	}
}

func image(name string) *content.Manifest {
	return content.Image(name, []content.Blob{content.Layer("base", 1000), content.Layer(name, 5000)})
}

// wantKind fails unless err is a provider error of this kind with everything a
// person needs.
func wantKind(t *testing.T, err error, kind providers.Kind) *providers.Error {
	t.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("error %v, want one of kind %s", err, kind)
	}
	if e.Op == "" || e.Ref == "" || e.Err == nil {
		t.Errorf("error without operation, reference or cause: %#v", e)
	}
	return e
}

func readBlob(ctx context.Context, r *Registry, repo string, d v1.Descriptor, offset int64) ([]byte, error) {
	body, err := r.Open(ctx, repo, d, offset)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func blobBytes(t *testing.T, b content.Blob) []byte {
	t.Helper()
	raw, err := io.ReadAll(io.NewSectionReader(b.Content, 0, b.Size))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func tagsOf(t *testing.T, r *Registry, repo string) []string {
	t.Helper()
	var tags []string
	for row, err := range r.Rows(t.Context(), repo) {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, row.Tags...)
	}
	slices.Sort(tags)
	return tags
}

// copyImage brings an image over by single writes, as transfer does.
func copyImage(ctx context.Context, r *Registry, repo, tag string, m *content.Manifest) error {
	for _, b := range m.Blobs {
		if _, err := r.Put(ctx, repo, b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			return err
		}
	}
	_, err := r.PutManifest(ctx, repo, tag, m.Manifest, providers.PutOptions{})
	return err
}

func TestCopyOneImage(t *testing.T) {
	for _, mode := range []registrytest.Mode{registrytest.Open, registrytest.Basic, registrytest.Bearer} {
		t.Run("auth "+string(mode), func(t *testing.T) {
			s := server(t, func(q *registrytest.Quirks) {
				q.Mode, q.Users = mode, map[string]string{"sync": "secret"}
				q.Redirect = true
			})
			r := open(t, s, func(o *Options) { o.Authenticator = &authn.Basic{Username: "sync", Password: "secret"}; o.Push = true })
			m := image("app")
			if err := copyImage(t.Context(), r, "team/app", "v1", m); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify("team/app", "v1"); err != nil {
				t.Error(err)
			}
			d, err := r.Head(t.Context(), "team/app", "v1")
			if err != nil || d.Digest != m.Digest || d.Size != int64(len(m.Raw)) || d.MediaType != m.MediaType {
				t.Errorf("head: %+v, %v", d, err)
			}
			got, err := r.Manifest(t.Context(), "team/app", "v1")
			if err != nil || !bytes.Equal(got.Raw, m.Raw) || got.MediaType != m.MediaType || got.Digest != m.Digest {
				t.Errorf("manifest: %+v, %v", got, err)
			}
			for _, b := range m.Blobs {
				raw, err := readBlob(t.Context(), r, "team/app", b.Descriptor, 10)
				if err != nil || !bytes.Equal(raw, blobBytes(t, b)[10:]) {
					t.Errorf("blob %s: %d bytes, %v", b.Digest, len(raw), err)
				}
			}
			if tags := tagsOf(t, r, "team/app"); !slices.Equal(tags, []string{"v1"}) {
				t.Errorf("tags %v", tags)
			}
			counts := s.Counts()
			if n := counts.Requests[registrytest.Token]; mode == registrytest.Bearer && n != 1 {
				t.Errorf("%d token requests, want 1", n)
			}
			pings := int64(1)
			if mode == registrytest.Basic {
				pings = 2 // the second shows the password, before anything is asked with it
			}
			if n := counts.Requests[registrytest.Ping]; n != pings {
				t.Errorf("%d pings, want %d", n, pings)
			}
			if n := counts.Of(registrytest.UploadPost, registrytest.UploadPut, registrytest.UploadPatch); n != 6 {
				t.Errorf("%d upload requests for three blobs, want 6", n)
			}
		})
	}
}

func TestRepositories(t *testing.T) {
	s := server(t, func(q *registrytest.Quirks) { q.PageMax = 2 })
	for _, repo := range []string{"a/one", "a/two", "b/one", "a/three", "a/four"} {
		load(t, s, repo, image(repo), "v1")
	}
	r := open(t, s)
	var got []string
	for repo, err := range r.Repositories(t.Context(), "a/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, repo)
	}
	slices.Sort(got)
	if want := []string{"a/four", "a/one", "a/three", "a/two"}; !slices.Equal(got, want) {
		t.Errorf("repositories %v, want %v", got, want)
	}
}
