package providers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// hexOf is the digest that stands for a name in these tests.
func hexOf(name string) string {
	d, _, err := v1.SHA256(strings.NewReader(name))
	if err != nil {
		panic(err)
	}
	return d.String()
}

func desc(name string, size int) string {
	return fmt.Sprintf(`{"mediaType":"application/x-%s","digest":"%s","size":%d}`, name, hexOf(name), size)
}

func manifestOf(t types.MediaType, raw string) Manifest {
	d, _, err := v1.SHA256(strings.NewReader(raw))
	if err != nil {
		panic(err)
	}
	return Manifest{MediaType: t, Digest: d, Raw: []byte(raw)}
}

func TestParse(t *testing.T) {
	image := types.OCIManifestSchema1
	for _, tt := range []struct {
		name  string
		media types.MediaType
		raw   string
		want  string // artifact type, blobs, children, subject
	}{
		{"image", image, `{"config":` + desc("c", 1) + `,"layers":[` + desc("l1", 2) + `,` + desc("l2", 3) + `]}`,
			"application/x-c | c:1 l1:2 l2:3 | | "},
		{"layers that repeat, config among them", image, `{"config":` + desc("c", 1) + `,"layers":[` + desc("l1", 2) + `,` + desc("l1", 2) + `,` + desc("c", 1) + `]}`,
			"application/x-c | c:1 l1:2 | | "},
		{"no layers, no config", image, `{}`, " | | | "},
		{"layer of no bytes", image, `{"layers":[` + desc("l1", 0) + `]}`, " | l1:0 | | "},
		{"artifact with subject", image, `{"artifactType":"a/b","config":` + desc("c", 2) + `,"subject":` + desc("s", 9) + `}`,
			"a/b | c:2 | | s"},
		{"OCI artifact manifest", "application/vnd.oci.artifact.manifest.v1+json", `{"artifactType":"a/b","blobs":[` + desc("b", 4) + `]}`,
			"a/b | b:4 | | "},
		{"index", types.OCIImageIndex, `{"manifests":[` + desc("m1", 5) + `,` + desc("m2", 6) + `]}`, " | | m1 m2 | "},
		{"manifest list", types.DockerManifestList, `{"manifests":[` + desc("m1", 5) + `]}`, " | | m1 | "},
		{"schema 1", types.DockerManifestSchema1, `{"fsLayers":[{"blobSum":"` + hexOf("l1") + `"},{"blobSum":"` + hexOf("l1") + `"}]}`,
			" | l1:-1 | | "},
		{"a type nobody knows", "application/x-new+json", `{"layers":[` + desc("l1", 2) + `]}`, " | l1:2 | | "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse(manifestOf(tt.media, tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(c); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// show writes a content in the notation of these tests.
func show(c Content) string {
	names := map[string]string{}
	for _, n := range []string{"c", "l1", "l2", "b", "m1", "m2", "s"} {
		names[hexOf(n)] = n
	}
	var blobs, children []string
	for _, b := range c.Blobs() {
		blobs = append(blobs, fmt.Sprintf("%s:%d", names[b.Digest.String()], b.Size))
	}
	for _, m := range c.Children {
		children = append(children, names[m.Digest.String()])
	}
	subject := ""
	if c.Subject != nil {
		subject = names[c.Subject.Digest.String()]
	}
	join := func(list []string) string { return strings.Join(append(list, ""), " ") }
	return fmt.Sprintf("%s | %s| %s| %s", c.ArtifactType, join(blobs), join(children), subject)
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		media types.MediaType
		raw   string
		want  string
	}{
		{"not JSON", types.OCIManifestSchema1, `<html>`, "not a manifest"},
		{"a digest that is none", types.OCIManifestSchema1, `{"layers":[{"digest":"sha256:12"}]}`, "not a manifest"},
		{"no digest", types.OCIManifestSchema1, `{"layers":[{"size":1}]}`, "without digest"},
		{"subject without digest", types.OCIManifestSchema1, `{"subject":{"size":1}}`, "without digest"},
		{"negative size", types.OCIManifestSchema1, `{"config":` + desc("c", -1) + `}`, "size of -1"},
		{"index with layers", types.OCIImageIndex, `{"layers":[` + desc("l1", 1) + `]}`, "calls itself an index"},
		{"image with children", types.OCIManifestSchema1, `{"manifests":[` + desc("m1", 1) + `]}`, "lists manifests"},
		{"too wide", types.OCIImageIndex, `{"manifests":[` + strings.Repeat(desc("m", 1)+",", MaxChildren) + desc("m", 1) + `]}`, "10001 manifests"},
		{"too large", types.OCIManifestSchema1, `{"annotations":{"a":"` + strings.Repeat("x", MaxManifest) + `"}}`, "bytes, more than"},
		{"schema 1 without digest", types.DockerManifestSchema1Signed, `{"fsLayers":[{}]}`, "without digest"},
		{"schema 1, not JSON", types.DockerManifestSchema1, `{`, "schema 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(manifestOf(tt.media, tt.raw))
			if KindOf(err) != Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want Invalid with %q", err, tt.want)
			}
			if HintOf(err) == "" {
				t.Error("it does not say what to do")
			}
		})
	}
}

func TestReferrerTag(t *testing.T) {
	digest, err := v1.NewHash(hexOf("x"))
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]string{
		FallbackTag(digest):                 "yes ",
		FallbackTag(digest) + ".sig":        "yes .sig",
		FallbackTag(digest) + ".att":        "yes .att",
		FallbackTag(digest) + ".sbom":       "yes .sbom",
		FallbackTag(digest) + ".old":        "no",
		FallbackTag(digest) + "0":           "no",
		"sha256-" + strings.Repeat("G", 64): "no",
		"sha256-12":                         "no",
		"v1":                                "no",
		"":                                  "no",
	} {
		subject, suffix, ok := ReferrerTag(tag)
		got := "no"
		if ok {
			got = "yes " + suffix
		}
		if got != want || ok && subject != digest {
			t.Errorf("%s: %s of %s, want %s", tag, got, subject, want)
		}
	}
}

func TestForeign(t *testing.T) {
	for _, tt := range []struct {
		d    v1.Descriptor
		want bool
	}{
		{v1.Descriptor{MediaType: types.OCILayer}, false},
		{v1.Descriptor{MediaType: types.DockerForeignLayer}, true},
		{v1.Descriptor{MediaType: types.OCIRestrictedLayer}, true},
		{v1.Descriptor{MediaType: types.OCILayer, URLs: []string{"https://example.com/layer"}}, true},
	} {
		if got := Foreign(tt.d); got != tt.want {
			t.Errorf("%+v: %v, want %v", tt.d, got, tt.want)
		}
	}
}

// FuzzParse holds what every caller of Parse relies on, whatever a registry sends.
func FuzzParse(f *testing.F) {
	f.Add(string(types.OCIManifestSchema1), []byte(`{"config":`+desc("c", 1)+`,"layers":[`+desc("l", 2)+`]}`))
	f.Add(string(types.OCIImageIndex), []byte(`{"manifests":[`+desc("m", 5)+`],"subject":`+desc("s", 1)+`}`))
	f.Add(string(types.DockerManifestSchema1Signed), []byte(`{"fsLayers":[{"blobSum":"`+hexOf("l")+`"}]}`))
	f.Add("", []byte(`{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
	f.Fuzz(func(t *testing.T, media string, raw []byte) {
		m := Manifest{MediaType: types.MediaType(media), Raw: raw}
		c, err := Parse(m)
		if err != nil {
			if KindOf(err) != Invalid {
				t.Errorf("%v is no Invalid", err)
			}
			return
		}
		if len(c.Children) > MaxChildren || len(c.Children) > 0 && !IsIndex(c.MediaType) {
			t.Errorf("%d children of %s", len(c.Children), c.MediaType)
		}
		seen := map[v1.Hash]bool{}
		for _, b := range c.Blobs() {
			if b.Digest.Hex == "" || seen[b.Digest] || b.Size < 0 && !IsSchema1(c.MediaType) {
				t.Errorf("blob %+v", b)
			}
			seen[b.Digest] = true
		}
		if again, err := Parse(m); err != nil || !bytes.Equal(jsonOf(t, c), jsonOf(t, again)) {
			t.Errorf("the second time: %+v, %v", again, err)
		}
	})
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
