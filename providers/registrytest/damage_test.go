package registrytest

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest/content"
)

// TestVerifyFindsDamage does one kind of damage at a time and wants Verify, from
// the tag, and Equal, from a whole copy, to see it.
func TestVerifyFindsDamage(t *testing.T) {
	ix := fixture()
	layer := ix.Children[1].Blobs[2]
	for _, tt := range []struct {
		name, want string
		damage     func(*Server) error
	}{
		{"a blob is gone", "is missing", func(s *Server) error { return s.DeleteBlob("app", layer.Digest) }},
		{"a bit is flipped", "has bytes of", func(s *Server) error { return s.CorruptBlob(layer.Digest, 699) }},
		{"a blob is shorter", "has 600 bytes", func(s *Server) error { return s.ResizeBlob(layer.Digest, 600) }},
		{"a blob is longer", "has 800 bytes", func(s *Server) error { return s.ResizeBlob(layer.Digest, 800) }},
		{"a child is gone", "is missing", func(s *Server) error { return s.Remove("app", ix.Children[0].Digest.String()) }},
		{"a manifest is changed", "has bytes of", func(s *Server) error { return s.CorruptManifest("app", ix.Children[0].Digest.String()) }},
		{"a referrer is changed", "has bytes of", func(s *Server) error { return s.CorruptManifest("app", ix.Referrers[0].Digest.String()) }},
		{"the tag is gone", "", func(s *Server) error { return s.Remove("app", "v1") }},
		{"the tag is moved", "", func(s *Server) error { return s.Retag("app", "v1", ix.Children[0].Digest) }},
		{"a referrer is gone", "", func(s *Server) error { return s.Remove("app", ix.Referrers[0].Digest.String()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole, s := New(t, Options{}), New(t, Options{})
			for _, server := range []*Server{whole, s} {
				if err := server.Load("app", ix, "v1"); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.damage(s); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify("app", "v1"); tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Verify: %v, want %q", err, tt.want)
			}
			if err := s.VerifyAll(); tt.want != "" && err == nil {
				t.Error("VerifyAll saw nothing")
			}
			if err := Equal(whole, s, nil); err == nil {
				t.Error("Equal saw nothing")
			}
		})
	}
}

func TestMendBlob(t *testing.T) {
	c, layer, data := withLayer(t, Quirks{})
	path := "/v2/app/blobs/" + layer.Digest.String()
	for _, damage := range []func() error{
		func() error { return c.s.CorruptBlob(layer.Digest, 10) },
		func() error { return c.s.ResizeBlob(layer.Digest, 10) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
	}
	if a := c.want(200, c.do("GET", path, nil)); len(a.body) != 10 {
		t.Errorf("%d bytes of a blob of 10", len(a.body))
	}
	if err := c.s.MendBlob(layer.Digest); err != nil {
		t.Fatal(err)
	}
	if a := c.want(200, c.do("GET", path, nil)); content.Hash(a.body) != layer.Digest {
		t.Errorf("%d of %d bytes after mending", len(a.body), len(data))
	}
	if err := c.s.CorruptBlob(content.Hash(nil), 0); err == nil {
		t.Error("a blob that is not there was damaged")
	}
}

func TestEqualRenames(t *testing.T) {
	source, target := New(t, Options{}), New(t, Options{})
	for repo, s := range map[string]*Server{"app": source, "mirror/app": target} {
		if err := s.Load(repo, fixture(), "v1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := Equal(source, target, func(repo string) string { return "mirror/" + repo }); err != nil {
		t.Error(err)
	}
	if err := Equal(source, target, nil); err == nil {
		t.Error("Equal did not miss app")
	}
	if err := Equal(source, target, func(string) string { return "" }); err != nil {
		t.Errorf("what is left out differs: %v", err)
	}
}
