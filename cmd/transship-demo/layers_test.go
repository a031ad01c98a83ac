package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
)

func pack(t *testing.T, s stock) map[string]layer {
	t.Helper()
	layers, done, err := s.pack(t.Context(), t.TempDir(), recipes(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	return layers
}

func TestLayersUnpackAndAreAlwaysTheSame(t *testing.T) {
	s := openStock(t.Context())
	if s.tree == nil {
		t.Fatalf("no Go installation found: %s", s.name)
	}
	first, second := pack(t, s), pack(t, s)
	seen := map[string]string{}
	for name, l := range first {
		if again := second[name]; again.Digest != l.Digest || again.diff != l.diff {
			t.Errorf("%s differs from run to run: %s, %s", name, l.Digest, again.Digest)
		}
		if other, ok := seen[l.Digest.Hex]; ok {
			t.Errorf("%s and %s are the same", name, other)
		}
		seen[l.Digest.Hex] = name
		if strings.Join(unpack(t, l), "\n") != strings.Join(l.files, "\n") {
			t.Errorf("%s holds other files than it says", name)
		}
	}
}

// unpack reads a layer as a container engine would, verifies both digests, and
// returns the names in it.
func unpack(t *testing.T, l layer) []string {
	t.Helper()
	packed, plain := sha256.New(), sha256.New()
	raw := io.TeeReader(io.NewSectionReader(l.Content, 0, l.Size), packed)
	zip, err := gzip.NewReader(raw)
	if err != nil {
		t.Fatal(err)
	}
	tree := io.TeeReader(zip, plain)
	archive := tar.NewReader(tree)
	var names []string
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	for _, r := range []io.Reader{tree, raw} { // what lies behind the archive's end
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
	}
	if digestOf(packed) != l.Digest || digestOf(plain) != l.diff {
		t.Errorf("%v has other bytes than it says", l.Digest)
	}
	return names
}

func TestWithoutGo(t *testing.T) {
	self := openStock(t.Context()).self
	digests := map[string]bool{}
	for _, l := range pack(t, stock{name: "nothing", self: self}) {
		digests[l.Digest.Hex] = true
		unpack(t, l)
	}
	if len(digests) != len(recipes(true)) {
		t.Errorf("%d different layers of %d", len(digests), len(recipes(true)))
	}
	t.Setenv("GOROOT", t.TempDir())
	if s := openStock(t.Context()); s.tree != nil {
		t.Errorf("a folder without sources was taken for a Go installation: %s", s.name)
	}
}
