package registrytest

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// emptyBlob: a blob of no bytes is one like any other.
func (c *conformer) emptyBlob() {
	b := content.Layer("", 0)
	c.must("ensure", c.Ensure(c.ctx, "app"))
	c.blob("app", b)
	c.holds("app", b)
}

// wrongBlob: bytes that are not those of the digest are Invalid and not kept.
func (c *conformer) wrongBlob() {
	b, other := content.Layer("one", 1000), content.Layer("other", 1000)
	c.must("ensure", c.Ensure(c.ctx, "app"))
	_, err := c.Put(c.ctx, "app", b.Descriptor, other.Content, providers.UploadOptions{})
	c.fails("put of other bytes", providers.Invalid, err)
	c.lacks("app", b)
	c.blob("app", b)
	c.holds("app", b)
}

// A brokenReader fails from an offset on.
type brokenReader struct {
	io.ReaderAt
	from int64
	err  error
}

func (b brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.from {
		return 0, b.err
	}
	if off+int64(len(p)) <= b.from {
		return b.ReaderAt.ReadAt(p, off)
	}
	n, err := b.ReaderAt.ReadAt(p[:b.from-off], off)
	if err == nil {
		err = b.err
	}
	return n, err
}

// brokenBody: an error of the body breaks the upload off, comes back as it is, and
// commits nothing; the upload goes on from the session, from what Keep was told
// of it, or from the start.
func (c *conformer) brokenBody() {
	b := content.Layer("large", 3<<20)
	c.must("ensure", c.Ensure(c.ctx, "app"))
	told := errors.New("the source broke")
	var s *providers.Session
	for _, from := range []int64{0, 1 << 20, b.Size - 1} {
		var err error
		s, err = c.Put(c.ctx, "app", b.Descriptor, brokenReader{b.Content, from, told}, providers.UploadOptions{})
		if !errors.Is(err, told) {
			c.Errorf("put of a body that breaks at %d: %v, want its error", from, err)
		}
		c.lacks("app", b)
	}
	_, err := c.Put(c.ctx, "app", b.Descriptor, b.Content, providers.UploadOptions{From: s})
	c.must(fmt.Sprintf("put, going on from a session (%v)", s != nil), err)
	c.holds("app", b)

	other := content.Layer("kept", 3<<20)
	var kept *providers.Session
	_, err = c.Put(c.ctx, "app", other.Descriptor, brokenReader{other.Content, 1 << 20, told},
		providers.UploadOptions{Keep: func(s providers.Session) { kept = &s }})
	if !errors.Is(err, told) {
		c.Errorf("put of a body that breaks: %v, want its error", err)
	}
	_, err = c.Put(c.ctx, "app", other.Descriptor, other.Content, providers.UploadOptions{From: kept})
	c.must(fmt.Sprintf("put, going on from a session that was kept (%v)", kept != nil), err)
	c.holds("app", other)
}

// mount: from a repository that has the blob.
func (c *conformer) mount() {
	b := content.Layer("base", 1000)
	c.push("lib", content.Image("x", []content.Blob{b}), "v1")
	c.must("ensure", c.Ensure(c.ctx, "app"))
	mounted, s, err := c.Mount(c.ctx, "app", "lib", b.Digest)
	c.must("mount", err)
	if mounted == c.h.NoMount {
		c.Errorf("mounted: %v", mounted)
	}
	if !mounted {
		_, err := c.Put(c.ctx, "app", b.Descriptor, b.Content, providers.UploadOptions{From: s})
		c.must("put after a mount that was refused", err)
	}
	c.holds("app", b)
}

// mountRefused: from one that lacks it, or that is not there, is no error; the
// session that comes instead, if one does, takes the upload.
func (c *conformer) mountRefused() {
	c.push("lib", content.Image("x", nil), "v1")
	for i, from := range []string{"lib", "not/there"} {
		b := content.Layer(fmt.Sprint("blob ", i), 1000)
		c.must("ensure", c.Ensure(c.ctx, "app"))
		mounted, s, err := c.Mount(c.ctx, "app", from, b.Digest)
		if err != nil || mounted {
			c.Errorf("mount from %s: %v (%v), want a refusal", from, mounted, err)
		}
		c.lacks("app", b)
		_, err = c.Put(c.ctx, "app", b.Descriptor, b.Content, providers.UploadOptions{From: s})
		c.must("put into the session", err)
		c.holds("app", b)
	}
}

// retag: a tag moves to what is put under it, and what it had stays.
func (c *conformer) retag() {
	one, two := content.Image("one", nil), content.Image("two", nil)
	c.push("app", one, "v1")
	c.push("app", two, "v1")
	d, err := c.Head(c.ctx, "app", "v1")
	if err != nil || d.Digest != two.Digest {
		c.Errorf("v1 is %s (%v), want %s", d.Digest, err, two.Digest)
	}
	switch _, err := c.Manifest(c.ctx, "app", one.Digest.String()); {
	case c.h.DropsMoved:
		c.fails("the manifest that v1 had", providers.NotFound, err)
	case err != nil:
		c.Errorf("the manifest that v1 had: %v", err)
	}
	if n := len(c.tags("app")); n != 1 {
		c.Errorf("%d tags, want 1", n)
	}
}

// incomplete: a manifest that names a blob or a child that is missing.
func (c *conformer) incomplete() {
	m := content.Image("x", []content.Blob{content.Layer("missing", 10)})
	c.must("ensure", c.Ensure(c.ctx, "app"))
	c.blob("app", m.Blobs[0])
	lacks := c.lack()
	_, err := c.PutManifest(c.ctx, "app", "v1", m.Manifest, providers.PutOptions{})
	if c.h.TakesAnything {
		c.must("put of a manifest whose layer is missing", err)
	} else {
		c.fails("put of a manifest whose layer is missing", lacks, err)
	}
	ix := content.Index([]*content.Manifest{m})
	_, err = c.PutManifest(c.ctx, "app", "v1", ix.Manifest, providers.PutOptions{})
	if c.h.TakesSparse || c.h.TakesAnything {
		c.must("put of a sparse index", err)
		return
	}
	c.fails("put of an index whose child is missing", lacks, err)
	c.push("app", ix, "v1")
}

// wrongDigest: a manifest under a digest that is not its own.
func (c *conformer) wrongDigest() {
	m := content.Image("x", nil)
	c.push("app", m, "v1")
	_, err := c.PutManifest(c.ctx, "app", content.Hash([]byte("other")).String(), m.Manifest, providers.PutOptions{})
	if c.h.TakesAnything {
		c.must("put under another digest", err)
		return
	}
	c.fails("put under another digest", providers.Invalid, err)
}

// tooLarge: more than providers.MaxManifest bytes.
func (c *conformer) tooLarge() {
	big := content.Artifact("application/x.big", nil, content.Annotate("text", string(make([]byte, providers.MaxManifest/6))))
	if len(big.Raw) <= providers.MaxManifest {
		c.Fatalf("the large manifest has %d bytes only", len(big.Raw))
	}
	c.must("ensure", c.Ensure(c.ctx, "app"))
	c.blob("app", big.Blobs[0])
	_, err := c.PutManifest(c.ctx, "app", "big", big.Manifest, providers.PutOptions{})
	c.fails("put of a manifest that is too large", providers.Invalid, err)
}

// condition: IfMatch puts only over the digest that it names, IfAbsent over nothing.
func (c *conformer) condition() {
	if c.h.NoIfMatch {
		return
	}
	one, two := content.Image("one", nil), content.Image("two", nil)
	c.push("app", two)
	c.push("app", one, "v1")
	_, err := c.PutManifest(c.ctx, "app", "v1", two.Manifest, providers.PutOptions{IfMatch: two.Digest})
	c.fails("put over another digest than asked for", providers.Conflict, err)
	if d, err := c.Head(c.ctx, "app", "v1"); err != nil || d.Digest != one.Digest {
		c.Errorf("v1 is %s (%v), want %s", d.Digest, err, one.Digest)
	}
	_, err = c.PutManifest(c.ctx, "app", "v1", two.Manifest, providers.PutOptions{IfMatch: one.Digest})
	c.must("put over the digest asked for", err)
	_, err = c.PutManifest(c.ctx, "app", "v1", one.Manifest, providers.PutOptions{IfAbsent: true})
	c.fails("put of a tag that is there and should not be", providers.Conflict, err)
	_, err = c.PutManifest(c.ctx, "app", "new", one.Manifest, providers.PutOptions{IfAbsent: true})
	c.must("put of a tag that is not there", err)
}

// immutable: a tag that stays where it is is a Conflict, in every registry's words.
func (c *conformer) immutable() {
	if !c.needsServer() {
		return
	}
	one, two := content.Image("one", nil), content.Image("two", nil)
	c.push("app", two)
	c.push("app", one, "v1")
	for _, words := range []Immutable{ImmutableECR, ImmutableACR, ImmutableQuay, ImmutableHarbor, ImmutableGAR} {
		c.server.Set(func(q *Quirks) { q.Immutable = words })
		_, err := c.PutManifest(c.ctx, "app", "v1", two.Manifest, providers.PutOptions{})
		c.fails("put over an immutable tag of "+string(words), providers.Conflict, err)
	}
}

// concurrent: many writers and readers, of the same blob and of others.
func (c *conformer) concurrent() {
	base := content.Layer("base", 50_000)
	c.push("app", content.Image("first", []content.Blob{base}), "first")
	var g sync.WaitGroup
	for i := range 12 {
		g.Go(func() { c.worker(i, base) })
	}
	g.Wait()
	if n := len(c.tags("app")); n != 13 {
		c.Errorf("%d tags after twelve writers, want 13", n)
	}
}

func (c *conformer) worker(i int, base content.Blob) {
	m := content.Image(fmt.Sprint("worker ", i), []content.Blob{base, content.Layer(fmt.Sprint("own ", i), 20_000)})
	for _, b := range m.Blobs {
		if _, err := c.Put(c.ctx, "app", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
			c.Errorf("worker %d: put: %v", i, err)
			return
		}
	}
	err := c.again(providers.Incomplete, func() error {
		_, err := c.PutManifest(c.ctx, "app", fmt.Sprint("w", i), m.Manifest, providers.PutOptions{})
		return err
	})
	if err != nil {
		c.Errorf("worker %d: put manifest: %v", i, err)
	}
	err = c.again(providers.NotFound, func() error {
		got, err := c.read("app", base.Descriptor, 0)
		if err == nil && content.Hash(got) != base.Digest {
			err = errors.New("other bytes")
		}
		return err
	})
	if err != nil {
		c.Errorf("worker %d: read: %v", i, err)
	}
}

// again does what may miss a blob that is sent again meanwhile, twelve times at most.
func (c *conformer) again(missed providers.Kind, do func() error) (err error) {
	for range 12 {
		if err = do(); !c.h.MissesAgain || providers.KindOf(err) != missed {
			break
		}
	}
	return err
}

// ensureAndClose: both may be called twice.
func (c *conformer) ensureAndClose() {
	for range 2 {
		c.must("ensure", c.Ensure(c.ctx, "app/new"))
	}
	c.push("app/new", content.Image("x", nil), "v1")
	if c.Host() == "" {
		c.Error("Host is empty")
	}
	for range 2 {
		c.must("close", c.Close())
	}
}
