package registrytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// absent: what is not there is NotFound, in a repository that is not there and in
// one that is.
func (c *conformer) absent() {
	c.push("there", content.Image("x", nil), "v1")
	b := content.Layer("absent", 10)
	digest := content.Hash([]byte("absent"))
	for _, repo := range []string{"there", "not/there"} {
		_, err := c.Head(c.ctx, repo, "absent")
		c.fails("head of a tag", providers.NotFound, err)
		_, err = c.Head(c.ctx, repo, digest.String())
		c.fails("head of a digest", providers.NotFound, err)
		_, err = c.Manifest(c.ctx, repo, "absent")
		c.fails("manifest by tag", providers.NotFound, err)
		_, err = c.Manifest(c.ctx, repo, digest.String())
		c.fails("manifest by digest", providers.NotFound, err)
		c.lacks(repo, b)
		_, err = c.read(repo, b.Descriptor, 0)
		c.fails("open", providers.NotFound, err)
	}
	for _, err := range c.Rows(c.ctx, "not/there") {
		c.fails("rows of a repository that is not there", providers.NotFound, err)
		return
	}
	if !c.h.EmptyIsThere {
		c.Error("rows of a repository that is not there are no error")
	}
}

// samples is one of each kind of content that is not refused anywhere.
func samples() map[string]*content.Manifest {
	base, own := content.Layer("base", 5000), content.Layer("own", 300)
	img := content.Image("image", []content.Blob{base, own})
	return map[string]*content.Manifest{
		"image":           img,
		"docker":          content.Image("docker", []content.Blob{base}, content.Docker()),
		"duplicate-layer": content.Image("duplicates", []content.Blob{base, own, base}),
		"empty-layer":     content.Image("empty", []content.Blob{content.Layer("", 0)}),
		"foreign-layer":   content.Image("foreign", []content.Blob{base, content.Foreign("win", 99)}),
		"no-layers":       content.Artifact("application/x.none", nil),
		"helm":            content.Helm("chart"),
		"wasm":            content.Module("mod", 700),
		"index":           content.Index([]*content.Manifest{img, content.Image("arm", []content.Blob{base})}),
		"nested":          content.Index([]*content.Manifest{content.Index([]*content.Manifest{img})}),
		"docker-list":     content.Index([]*content.Manifest{content.Image("d", []content.Blob{base}, content.Docker())}, content.Docker()),
		"attested":        content.Attested([]*content.Manifest{img}),
		"no-children":     content.Index(nil),
	}
}

// bytes: manifests and blobs come back as they went in, by tag and by digest.
func (c *conformer) bytes() {
	for tag, m := range samples() {
		if strings.HasPrefix(tag, "docker") && c.h.NoDocker {
			c.refuses(m, providers.Unsupported)
			continue
		}
		if strings.HasPrefix(tag, "foreign") && c.h.WantsForeign {
			c.refuses(m, c.lack())
			continue
		}
		c.push("app", m, tag)
		want := m.Descriptor()
		for _, ref := range []string{tag, m.Digest.String()} {
			got, err := c.Manifest(c.ctx, "app", ref)
			if err != nil || !bytes.Equal(got.Raw, m.Raw) || got.Digest != m.Digest || got.MediaType != m.MediaType {
				c.Errorf("manifest %s: %s %s (%v), want %s %s with its bytes", ref, got.MediaType, got.Digest, err, m.MediaType, m.Digest)
			}
			d, err := c.Head(c.ctx, "app", ref)
			if err != nil || d.Digest != want.Digest || d.Size != want.Size || d.MediaType != want.MediaType {
				c.Errorf("head %s: %+v (%v), want %+v", ref, d, err, want)
			}
		}
		for _, part := range m.All() {
			for _, b := range part.Blobs {
				c.holds("app", b)
			}
		}
	}
}

// open: any offset, and a size that nobody knows.
func (c *conformer) open() {
	const size = 200_000
	b := content.Layer("layer", size)
	c.push("app", content.Image("x", []content.Blob{b}), "v1")
	whole, err := c.read("app", b.Descriptor, 0)
	c.must("read", err)
	for _, offset := range []int64{0, 1, size / 2, size - 1, size} {
		for _, said := range []int64{size, -1} {
			if said < 0 && offset == size {
				continue // nobody can know that this is the end
			}
			d := b.Descriptor
			d.Size = said
			got, err := c.read("app", d, offset)
			if err != nil || !bytes.Equal(got, whole[offset:]) {
				c.Errorf("from %d with size %d: %d bytes (%v), want %d", offset, said, len(got), err, size-offset)
			}
		}
	}
	body, err := c.Open(c.ctx, "app", b.Descriptor, 0)
	c.must("open", err)
	_, err = io.ReadFull(body, make([]byte, 10))
	c.must("read ten bytes", err)
	c.must("close in the middle", body.Close())
}

// corruptManifest: bytes that are not those of their digest are Invalid.
func (c *conformer) corruptManifest() {
	if !c.needsServer() {
		return
	}
	m := content.Image("x", nil)
	c.push("app", m, "v1")
	c.must("damage", c.server.CorruptManifest(c.at("app"), "v1"))
	refs := []string{m.Digest.String()}
	if !c.h.Quirks.NoDigestHeader {
		refs = append(refs, "v1") // without the header, only a digest tells
	}
	for _, ref := range refs {
		_, err := c.Manifest(c.ctx, "app", ref)
		c.fails("manifest whose bytes changed, by "+ref, providers.Invalid, err)
	}
}

// referrers: all of them, page by page, and none for a manifest that has none.
func (c *conformer) referrers() {
	m := content.Index([]*content.Manifest{content.Image("child", nil)})
	first := content.Refer(m, "application/x.sbom", "one", content.Annotate("k", "v"))
	for _, name := range []string{"two", "three", "four", "five"} {
		content.Refer(m, "application/x.scan", name)
	}
	nested := content.Refer(first, "application/x.signature", "of one")
	c.push("app", m, "v1")
	if c.h.NoReferrers {
		_, err := c.Referrers(c.ctx, "app", m.Digest)
		c.fails("referrers without the API", providers.Unsupported, err)
		return
	}
	if c.needsServer() {
		c.server.Set(func(q *Quirks) { q.ReferrersPage = 2 })
	}
	got, err := c.Referrers(c.ctx, "app", m.Digest)
	c.must("referrers", err)
	want := map[v1.Hash]*content.Manifest{}
	for _, r := range m.Referrers {
		want[r.Digest] = r
	}
	for _, d := range got {
		r := want[d.Digest]
		if r == nil || d.Size != int64(len(r.Raw)) || d.MediaType != r.MediaType || d.ArtifactType == "" {
			c.Errorf("referrer %+v is none of ours, comes twice, or is described wrongly", d)
		}
		delete(want, d.Digest)
	}
	if len(want) > 0 {
		c.Errorf("%d referrers are not listed", len(want))
	}
	if got, err := c.Referrers(c.ctx, "app", nested.Digest); err != nil || len(got) != 0 {
		c.Errorf("referrers of one that has none: %v (%v)", got, err)
	}
	receipt := c.put("app", first.Digest.String(), first)
	if c.needsServer() && receipt.Subject != m.Digest {
		c.Errorf("receipt says subject %s, want %s", receipt.Subject, m.Digest)
	}
}

// cancelled: a context that has ended comes back as its cause, and is no Error.
func (c *conformer) cancelled() {
	m := content.Image("x", []content.Blob{content.Layer("l", 100)})
	c.push("app", m, "v1")
	cause := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(c.ctx)
	cancel(cause)
	for what, err := range c.all(ctx, m) {
		if _, isError := errors.AsType[*providers.Error](err); !errors.Is(err, cause) || isError {
			c.Errorf("%s with a context that ended: %v, want its cause", what, err)
		}
	}
}

// all calls every method that takes a context and can fail, and returns their errors.
func (c *conformer) all(ctx context.Context, m *content.Manifest) map[string]error {
	errs := map[string]error{}
	b, fresh := m.Blobs[1], content.Layer("fresh", 100)
	_, errs["head"] = c.Head(ctx, "app", "v1")
	_, errs["manifest"] = c.Manifest(ctx, "app", "v1")
	_, errs["put manifest"] = c.PutManifest(ctx, "app", "v2", m.Manifest, providers.PutOptions{})
	_, errs["referrers"] = c.Referrers(ctx, "app", m.Digest)
	_, errs["stat"] = c.Stat(ctx, "app", b.Digest)
	if body, err := c.Open(ctx, "app", b.Descriptor, 0); err != nil {
		errs["open"] = err
	} else {
		_, errs["open"] = io.ReadAll(body)
		_ = body.Close()
	}
	_, _, errs["mount"] = c.Mount(ctx, "app2", "app", b.Digest)
	_, errs["put"] = c.Put(ctx, "app", fresh.Descriptor, fresh.Content, providers.UploadOptions{})
	for _, err := range c.Rows(ctx, "app") {
		errs["rows"] = err
	}
	for _, err := range c.Repositories(ctx, "") {
		errs["repositories"] = err
	}
	return errs
}

// refuses: the first manifest of what is below m is not taken, whatever there is.
func (c *conformer) refuses(m *content.Manifest, kind providers.Kind) {
	c.Helper()
	c.must("ensure", c.Ensure(c.ctx, "app"))
	first := m.All()[0]
	for _, b := range first.Blobs {
		if !providers.Foreign(b.Descriptor) {
			c.blob("app", b)
		}
	}
	_, err := c.PutManifest(c.ctx, "app", first.Digest.String(), first.Manifest, providers.PutOptions{})
	c.fails("put of "+string(first.MediaType), kind, err)
	if kind == providers.Unsupported && providers.HintOf(err) == "" {
		c.Error("no hint")
	}
}

// lack is how a manifest is refused that names what is missing.
func (c *conformer) lack() providers.Kind {
	if c.h.LackIsInvalid {
		return providers.Invalid
	}
	return providers.Incomplete
}
