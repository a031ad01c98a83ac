package main

import (
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// Each way in which a copy can be wrong is seen, and named.
func TestJudge(t *testing.T) {
	app := func() *content.Manifest {
		m := content.Index([]*content.Manifest{content.Image("a", []content.Blob{content.Layer("l", 100)}), content.Image("b", nil)})
		content.Refer(content.Refer(m, string(content.SBOM), "sbom"), "application/signature", "signature")
		content.Refer(m.Children[0], string(content.SBOM), "of a child")
		return m
	}
	other := content.Image("other", nil)
	for _, tt := range []struct {
		name string
		harm func(*registrytest.Server) error
		want string
	}{
		{"nothing", func(*registrytest.Server) error { return nil }, "right"},
		{"a tag is gone", func(s *registrytest.Server) error { return s.Remove("app", "v2") }, "1 of 3 tags missing"},
		{"a tag names something else", func(s *registrytest.Server) error { return s.Retag("app", "v2", other.Digest) }, "1 of 3 digests changed"},
		{"a layer is gone", func(s *registrytest.Server) error { return s.DeleteBlob("app", content.Layer("l", 100).Digest) }, "2 of 3 tags incomplete"},
		{"a bit is flipped", func(s *registrytest.Server) error { return s.CorruptBlob(content.Layer("l", 100).Digest, 50) }, "2 of 3 tags incomplete"},
		{"a child is gone", func(s *registrytest.Server) error { return s.Remove("app", app().Children[1].Digest.String()) }, "2 of 3 tags incomplete"},
		{"a referrer's referrer is gone", func(s *registrytest.Server) error {
			return s.Remove("app", app().Referrers[0].Referrers[0].Digest.String())
		}, "1 of 3 referrers lost"},
		{"a child's referrer is gone", func(s *registrytest.Server) error {
			return s.Remove("app", app().Children[0].Referrers[0].Digest.String())
		}, "1 of 3 referrers lost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{source: registrytest.New(t, registrytest.Options{}), targets: []*registrytest.Server{registrytest.New(t, registrytest.Options{})}}
			for _, s := range w.servers() {
				must(t, s.Load("app", app(), "v1", "v2"))
				must(t, s.Load("app", other, "other"))
			}
			must(t, tt.harm(w.targets[0]))
			if got := judge(w).String(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
