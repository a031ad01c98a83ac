package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

func open(t *testing.T, dir string) *Registry {
	t.Helper()
	r, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// put brings m and everything below it and of it, as transfer does.
func put(t *testing.T, r *Registry, repo, ref string, m *content.Manifest) {
	t.Helper()
	for _, one := range m.All() {
		for _, b := range one.Blobs {
			if _, err := r.Put(t.Context(), repo, b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		at := one.Digest.String()
		if one == m {
			at = ref
		}
		receipt, err := r.PutManifest(t.Context(), repo, at, one.Manifest, providers.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c, _ := providers.Parse(one.Manifest)
		if c.Subject != nil && receipt.Subject != c.Subject.Digest {
			t.Errorf("receipt names subject %v, want %v", receipt.Subject, c.Subject.Digest)
		}
	}
}

func image(name string) *content.Manifest {
	return content.Image(name, []content.Blob{content.Layer("base", 1000), content.Layer(name, 5000)})
}

func wantKind(t *testing.T, err error, kind providers.Kind) {
	t.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != kind || e.Op == "" || e.Ref == "" {
		t.Fatalf("error %v, want one of kind %s with operation and reference", err, kind)
	}
}

func rows(t *testing.T, r *Registry, repo string) map[string]v1.Hash {
	t.Helper()
	tags := map[string]v1.Hash{}
	for row, err := range r.Rows(t.Context(), repo) {
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range row.Tags {
			tags[tag] = row.Digest
		}
	}
	return tags
}

func repositories(t *testing.T, r *Registry, prefix string) []string {
	t.Helper()
	var names []string
	for name, err := range r.Repositories(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func TestIndexWithReferrersSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	arm := image("arm")
	ix := content.Index([]*content.Manifest{image("amd"), arm})
	sbom := content.Refer(ix, string(content.SBOM), "sbom")
	nested := content.Refer(sbom, "application/signature", "sig")
	attached := content.Refer(arm, "application/signature", "sig of child")
	first := open(t, dir)
	put(t, first, "team/app", "v1", ix)
	first.Close()

	r := open(t, dir)
	if tags := rows(t, r, "team/app"); len(tags) != 1 || tags["v1"] != ix.Digest {
		t.Errorf("tags %v", tags)
	}
	for _, m := range ix.All() {
		got, err := r.Manifest(t.Context(), "team/app", m.Digest.String())
		if err != nil || !bytes.Equal(got.Raw, m.Raw) || got.MediaType != m.MediaType {
			t.Errorf("manifest %s: %v, %v", m.Digest, got.MediaType, err)
		}
		for _, b := range m.Blobs {
			checkBlob(t, r, "team/app", b)
		}
	}
	for subject, want := range map[v1.Hash]*content.Manifest{ix.Digest: sbom, sbom.Digest: nested, arm.Digest: attached} {
		got, err := r.Referrers(t.Context(), "team/app", subject)
		if err != nil || len(got) != 1 || got[0].Digest != want.Digest || got[0].ArtifactType == "" {
			t.Errorf("referrers of %s: %+v, %v", subject, got, err)
		}
	}
	if names := repositories(t, r, ""); !slices.Equal(names, []string{"team/app"}) {
		t.Errorf("repositories %v", names)
	}
}

func checkBlob(t *testing.T, r *Registry, repo string, b content.Blob) {
	t.Helper()
	body, err := r.Open(t.Context(), repo, b.Descriptor, 10)
	if b.Size < 10 {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	want, _ := io.ReadAll(io.NewSectionReader(b.Content, 10, b.Size-10))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("blob %s from 10: %d bytes, %v", b.Digest, len(got), err)
	}
	if size, err := r.Stat(t.Context(), repo, b.Digest); err != nil || size != b.Size {
		t.Errorf("stat %s: %d, %v", b.Digest, size, err)
	}
}

func TestTags(t *testing.T) {
	r := open(t, t.TempDir())
	one, two := image("one"), image("two")
	put(t, r, "app", "v1", one)
	put(t, r, "app", "latest", one)
	put(t, r, "app", "latest", two)
	put(t, r, "app", "v1", one)
	if tags := rows(t, r, "app"); tags["v1"] != one.Digest || tags["latest"] != two.Digest || len(tags) != 2 {
		t.Errorf("tags %v", tags)
	}
	_, err := r.PutManifest(t.Context(), "app", "latest", one.Manifest, providers.PutOptions{IfMatch: one.Digest})
	wantKind(t, err, providers.Conflict)
	if _, err := r.PutManifest(t.Context(), "app", "latest", one.Manifest, providers.PutOptions{IfMatch: two.Digest}); err != nil {
		t.Error(err)
	}
	if _, err := r.Manifest(t.Context(), "app", two.Digest.String()); err != nil {
		t.Errorf("a manifest that lost its tag is gone: %v", err)
	}
	n := 0
	for row := range r.Rows(t.Context(), "app") {
		n++
		if row.Digest == two.Digest && len(row.Tags) != 0 {
			t.Errorf("row of the untagged manifest: %+v", row)
		}
	}
	if n != 2 {
		t.Errorf("%d rows, want one a manifest", n)
	}
}

func TestRefusals(t *testing.T) {
	r := open(t, t.TempDir())
	m := image("app")
	put(t, r, "app", "v1", m)
	other := image("other")
	_, err := r.PutManifest(t.Context(), "app", "v2", other.Manifest, providers.PutOptions{})
	wantKind(t, err, providers.Incomplete)
	_, err = r.PutManifest(t.Context(), "app", "v2", content.Index([]*content.Manifest{other}).Manifest, providers.PutOptions{})
	wantKind(t, err, providers.Incomplete)
	_, err = r.PutManifest(t.Context(), "app", other.Digest.String(), m.Manifest, providers.PutOptions{})
	wantKind(t, err, providers.Invalid)
	_, err = r.PutManifest(t.Context(), "app", "../v2", m.Manifest, providers.PutOptions{})
	wantKind(t, err, providers.Invalid)
	_, err = r.Manifest(t.Context(), "app", "v9")
	wantKind(t, err, providers.NotFound)
	_, err = r.Head(t.Context(), "nothere", "v1")
	wantKind(t, err, providers.NotFound)
	_, err = r.Manifest(t.Context(), "app", m.Blobs[1].Digest.String())
	wantKind(t, err, providers.NotFound) // a layer
	_, err = r.Stat(t.Context(), "app", other.Digest)
	wantKind(t, err, providers.NotFound)
	for _, repo := range []string{"", ".", "..", "../out", "a/../b", "/abs", "a//b", "app/blobs/sha256", "index.json", ".hidden", "a\\b", strings.Repeat("a", 600)} {
		wantKind(t, r.Ensure(t.Context(), repo), providers.Invalid)
	}
}

func TestPutProvesTheDigest(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	b := content.Layer("layer", 10_000)
	right, _ := io.ReadAll(io.NewSectionReader(b.Content, 0, b.Size))
	wrong := bytes.Clone(right)
	wrong[5000] ^= 1
	for name, body := range map[string][]byte{"corrupt": wrong, "short": right[:9999], "empty": nil} {
		_, err := r.Put(t.Context(), "app", b.Descriptor, bytes.NewReader(body), providers.UploadOptions{})
		if wantKind(t, err, providers.Invalid); strings.Contains(err.Error(), dir+"/app/") {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("source broke")
	if _, err := r.Put(t.Context(), "app", b.Descriptor, failingAt{broken}, providers.UploadOptions{}); !errors.Is(err, broken) || providers.KindOf(err) != providers.Unknown {
		t.Errorf("error %v, want the body's own", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, err := r.Put(ctx, "app", b.Descriptor, bytes.NewReader(right), providers.UploadOptions{}); err != broken {
		t.Errorf("error %v, want the cause", err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "app/blobs/sha256/*")); len(files) != 0 {
		t.Errorf("files left: %v", files)
	}
	if hidden, _ := filepath.Glob(filepath.Join(dir, "app/blobs/sha256/.*")); len(hidden) != 0 {
		t.Errorf("temporary files left: %v", hidden)
	}
	file := filepath.Join(dir, "app/blobs/sha256", b.Digest.Hex)
	os.WriteFile(file, wrong, 0o644) // damaged on disk: put again mends it
	if _, err := r.Put(t.Context(), "app", b.Descriptor, bytes.NewReader(right), providers.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); !bytes.Equal(got, right) {
		t.Error("a damaged blob was kept")
	}
	zero := content.Bytes(types.OCILayer, nil)
	if _, err := r.Put(t.Context(), "app", zero.Descriptor, bytes.NewReader(nil), providers.UploadOptions{}); err != nil {
		t.Errorf("a layer of no bytes: %v", err)
	}
}

type failingAt struct{ err error }

func (f failingAt) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestOpen: a source that is misspelt is not made.
func TestOpen(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "misspelt")
	r, err := Open(missing)
	if providers.KindOf(err) != providers.NotFound || providers.HintOf(err) == "" || r != nil {
		t.Errorf("opened what is not there: %v, %v", r, err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("opening made the folder")
	}
}

func TestMountLinks(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	b := content.Layer("layer", 10_000)
	if _, err := r.Put(t.Context(), "lib", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there
		mounted, s, err := r.Mount(t.Context(), "team/app", "lib", b.Digest)
		if !mounted || s != nil || err != nil {
			t.Fatal(mounted, s, err)
		}
	}
	one, err1 := os.Stat(filepath.Join(dir, "lib/blobs/sha256", b.Digest.Hex))
	two, err2 := os.Stat(filepath.Join(dir, "team/app/blobs/sha256", b.Digest.Hex))
	if err1 != nil || err2 != nil || !os.SameFile(one, two) {
		t.Error("a mount does not share the file", err1, err2)
	}
	for _, from := range []string{"nothere", "team/app"} {
		if mounted, s, err := r.Mount(t.Context(), "x", from, v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}); mounted || s != nil || err != nil {
			t.Errorf("mount of nothing from %s: %v %v %v", from, mounted, s, err)
		}
	}
}

// TestMountReplacesDamage: a mount is how check's finding is mended.
func TestMountReplacesDamage(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	b := content.Layer("layer", 10_000)
	for _, repo := range []string{"lib", "app"} {
		if _, err := r.Put(t.Context(), repo, b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	good, bad := filepath.Join(dir, "lib/blobs/sha256", b.Digest.Hex), filepath.Join(dir, "app/blobs/sha256", b.Digest.Hex)
	if err := os.WriteFile(bad, bytes.Repeat([]byte{'x'}, 10_000), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time both are one file
		if mounted, _, err := r.Mount(t.Context(), "app", "lib", b.Digest); !mounted || err != nil {
			t.Fatal(mounted, err)
		}
	}
	want, err1 := os.ReadFile(good)
	got, err2 := os.ReadFile(bad)
	if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
		t.Error("the damaged blob is still there", err1, err2)
	}
	if files, err := os.ReadDir(filepath.Dir(bad)); err != nil || len(files) != 1 {
		t.Errorf("%d files beside the blob, %v", len(files)-1, err)
	}
}

func TestARootThatIsALayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	m := image("app")
	put(t, open(t, filepath.Dir(dir)), "app", "v1", m)
	r := open(t, dir)
	if names := repositories(t, r, ""); !slices.Equal(names, []string{"app"}) {
		t.Fatalf("repositories %v", names)
	}
	if tags := rows(t, r, "app"); tags["v1"] != m.Digest {
		t.Errorf("tags %v", tags)
	}
	_, err := r.Head(t.Context(), "other", "v1")
	wantKind(t, err, providers.NotFound)
}

// A layout made by others lists the index alone, and has annotations and fields
// of its own.
func TestForeignLayout(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	child := image("child")
	ix := content.Index([]*content.Manifest{child})
	put(t, r, "app", "v1", ix)
	file := filepath.Join(dir, "app", indexFile)
	entry, _ := json.Marshal(v1.Descriptor{MediaType: ix.MediaType, Digest: ix.Digest, Size: int64(len(ix.Raw)),
		Annotations: map[string]string{refName: "v1", "org.example": "kept"}})
	os.WriteFile(file, []byte(`{"schemaVersion":2,"annotations":{"a":"b"},"manifests":[`+string(entry)+`]}`), 0o644)

	if d, err := r.Head(t.Context(), "app", child.Digest.String()); err != nil || d.MediaType != child.MediaType {
		t.Errorf("unlisted child: %+v, %v", d, err)
	}
	n := 0
	for range r.Rows(t.Context(), "app") {
		n++
	}
	if n != 2 {
		t.Errorf("%d rows, want the index and its child", n)
	}
	put(t, r, "app", "v2", child)
	raw, _ := os.ReadFile(file)
	for _, kept := range []string{`"annotations":{"a":"b"}`, "org.example"} {
		if !strings.Contains(string(raw), kept) {
			t.Errorf("%s is lost: %s", kept, raw)
		}
	}
}

func TestDamagedIndex(t *testing.T) {
	for name, raw := range map[string]string{
		"not JSON": "{", "empty": "", "a list": "[]", "version 1": `{"schemaVersion":1}`,
		"bad digest": `{"schemaVersion":2,"manifests":[{"digest":"sha256:../../../etc/passwd"}]}`,
		"no digest":  `{"schemaVersion":2,"manifests":[{"size":3}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, dir)
			m := image("app")
			put(t, r, "app", "v1", m)
			file := filepath.Join(dir, "app", indexFile)
			os.WriteFile(file, []byte(raw), 0o644)
			_, err := r.Head(t.Context(), "app", "v1")
			wantKind(t, err, providers.Invalid)
			_, err = r.PutManifest(t.Context(), "app", "v2", m.Manifest, providers.PutOptions{})
			wantKind(t, err, providers.Invalid)
			if now, _ := os.ReadFile(file); string(now) != raw {
				t.Errorf("a damaged index was overwritten: %s", now)
			}
		})
	}
}

func TestNothingLeadsOut(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	os.WriteFile(secret, []byte("secret"), 0o600)
	r := open(t, dir)
	put(t, r, "app", "v1", image("app"))
	d := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}
	os.Symlink(secret, filepath.Join(dir, "app/blobs/sha256", d.Hex))
	if body, err := r.Open(t.Context(), "app", v1.Descriptor{Digest: d, Size: -1}, 0); err == nil {
		body.Close()
		t.Error("a link led out of the layout")
	}
	os.Symlink(filepath.Dir(secret), filepath.Join(dir, "away"))
	if err := r.Ensure(t.Context(), "away/repo"); err == nil {
		t.Error("a repository was made outside")
	}
}

func TestDamagedManifest(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	m := image("app")
	put(t, r, "app", "v1", m)
	file := filepath.Join(dir, "app/blobs/sha256", m.Digest.Hex)
	os.WriteFile(file, append(m.Raw[:len(m.Raw)-1:len(m.Raw)-1], ' '), 0o644)
	_, err := r.Manifest(t.Context(), "app", "v1")
	wantKind(t, err, providers.Invalid)
	put(t, r, "app", "v1", m)
	if _, err := r.Manifest(t.Context(), "app", "v1"); err != nil {
		t.Errorf("put again: %v", err)
	}
}

// Two registries stand for two processes.
func TestManyWritersLoseNothing(t *testing.T) {
	dir := t.TempDir()
	both := []*Registry{open(t, dir), open(t, dir)}
	m := image("app")
	put(t, both[0], "app", "v0", m)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			tag := "v" + strings.Repeat("1", i+1)
			if _, err := both[i%2].PutManifest(t.Context(), "app", tag, m.Manifest, providers.PutOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(rows(t, both[0], "app")); n != 41 {
		t.Errorf("%d tags, want 41", n)
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ix, err := parseIndex(raw)
		if err != nil {
			return
		}
		printed, err := ix.bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseIndex(printed)
		if err != nil || len(again.entries) != len(ix.entries) {
			t.Fatalf("%s printed as %s: %v", raw, printed, err)
		}
		d := v1.Descriptor{Digest: sha(raw), MediaType: types.OCIManifestSchema1, Size: 1}
		if got, ok := ix.with("v1", d).find("v1"); !ok || got.Digest != d.Digest {
			t.Fatalf("a tag put into %s is not found", raw)
		}
	})
}
