package registrytest

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest/content"
)

// TestExpire: what no tag, no subject and no index that stays holds goes.
func TestExpire(t *testing.T) {
	s := New(t, Options{})
	image := func(name string) *content.Manifest { return content.Image(name, nil) }
	tagged, child, loose, kept := content.Index([]*content.Manifest{image("a"), image("b")}), image("c"), image("d"), image("e")
	signature := content.Image("sig", nil, content.Subject(loose))
	for _, m := range []*content.Manifest{loose, kept, child, signature} {
		if err := s.Load("app", m); err != nil {
			t.Fatal(err)
		}
	}
	untagged := content.Index([]*content.Manifest{child})
	if err := s.Load("app", untagged); err != nil {
		t.Fatal(err)
	}
	if err := s.Load("app", tagged, "v1"); err != nil {
		t.Fatal(err)
	}
	if n := s.Expire("app", func(d v1.Hash) bool { return d != kept.Digest }); n != 3 {
		t.Errorf("%d went, want 3", n)
	}
	for m, stays := range map[*content.Manifest]bool{tagged: true, tagged.Children[1]: true, kept: true, signature: true, loose: false, child: false, untagged: false} {
		if _, there := s.Resolve("app", m.Digest.String()); there != stays {
			t.Errorf("%s is there: %v", m.Digest, there)
		}
	}
	if s.Expire("nothing", nil) != 0 || s.Expire("app", nil) != 1 {
		t.Error("not ended as often as there was something")
	}
}
