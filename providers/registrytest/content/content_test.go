package content

import (
	"bytes"
	"io"
	"testing"
	"testing/fstest"

	"github.com/transship/transship/providers"
)

func TestNoiseIsTheSameAtAnyOffset(t *testing.T) {
	const size = 3*block + 777
	n := newNoise("x", size)
	whole, err := io.ReadAll(io.NewSectionReader(n, 0, size))
	if err != nil || len(whole) != size {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	if bytes.Equal(whole[:block], whole[block:2*block]) {
		t.Error("two blocks are equal")
	}
	for _, off := range []int64{0, 1, 3, 511, 513, block - 3, block, 2*block + 5, size - 1} {
		for _, length := range []int{1, 7, 600, block + 9} {
			got := make([]byte, length)
			read, err := n.ReadAt(got, off)
			want := whole[off:min(size, off+int64(length))]
			if !bytes.Equal(got[:read], want) || (read < length) != (err == io.EOF) {
				t.Errorf("%d bytes at %d: %d, %v", length, off, read, err)
			}
		}
	}
	if _, err := n.ReadAt(make([]byte, 1), size); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
}

func TestLayersAreWhatTheySay(t *testing.T) {
	for _, size := range []int64{0, 1, 5000, generateAbove + 1} {
		a, b := Layer("x", size), Layer("x", size)
		got, err := io.ReadAll(io.NewSectionReader(a.Content, 0, a.Size))
		if err != nil || Hash(got) != a.Digest || a.Digest != b.Digest || a.Size != size {
			t.Errorf("layer of %d: %d bytes, %v", size, len(got), err)
		}
	}
	if Layer("x", 9).Digest == Layer("y", 9).Digest {
		t.Error("two names make one layer")
	}
}

func TestManifestsParse(t *testing.T) {
	img := Image("x", []Blob{Layer("l", 9)})
	r := Refer(img, "application/x", "r")
	tag, sig := Cosign(img, "sig")
	fallback, index := Fallback(img, r)
	for _, m := range []*Manifest{img, r, sig, index, Helm("h"), Module("m", 9), Attested([]*Manifest{img}), Schema1("a", "b", img.Blobs)} {
		if _, err := providers.Parse(m.Manifest); err != nil {
			t.Errorf("%s: %v", m.Raw, err)
		}
	}
	for name, want := range map[string]string{tag: ".sig", fallback: ""} {
		if subject, suffix, ok := providers.ReferrerTag(name); !ok || suffix != want || subject != img.Digest {
			t.Errorf("tag %s is for %s %q", name, subject, suffix)
		}
	}
}

func TestSchema1Payload(t *testing.T) {
	m := Schema1("app", "v1", []Blob{Layer("l", 9)})
	payload, err := Schema1Payload(m.Raw)
	if err != nil || Hash(payload) != m.Digest || bytes.Equal(payload, m.Raw) {
		t.Errorf("payload %s, %v", payload, err)
	}
}

// FuzzSchema1Payload wants no panic, whatever the signature's header claims.
func FuzzSchema1Payload(f *testing.F) {
	f.Add(Schema1("app", "v1", nil).Raw)
	f.Add([]byte(`{"signatures":[{"protected":"eyJmb3JtYXRMZW5ndGgiOi0xfQ"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if payload, err := Schema1Payload(raw); err == nil && len(payload) > 2*len(raw) {
			t.Errorf("%d bytes became %d", len(raw), len(payload))
		}
	})
}

func TestFiles(t *testing.T) {
	from := fstest.MapFS{"a": {Data: []byte("one")}, "b/c": {Data: []byte("two")}}
	one, err := Files(from, []string{"b/c", "a"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := Files(from, []string{"a", "b/c"})
	if err != nil || one.Digest != two.Digest {
		t.Errorf("the order of the names matters: %v", err)
	}
	if _, err := Files(from, []string{"absent"}); err == nil {
		t.Error("a file that is not there made a layer")
	}
}
