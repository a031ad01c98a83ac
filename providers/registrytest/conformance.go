package registrytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// A Harness makes the registries that [Conformance] tests, and says what they
// lack. What is lacking has to be refused with the kinds that providers.Registry
// names; it is not skipped in silence.
type Harness struct {
	// Open returns a provider for a server that is empty. Retries should be quick.
	Open func(t *testing.T, s *Server) providers.Registry
	// OpenStore returns a provider over a store of its own, for one that does not
	// speak HTTP; tests that need a server are then left out. Set one of the two.
	OpenStore func(t *testing.T) providers.Registry
	// Quirks are the server's, for all of the suite.
	Quirks Quirks
	// Serve starts an empty server that is a part of something larger, such as a
	// cloud's emulator, in place of one with Quirks.
	Serve func(t *testing.T) *Server

	// Folder is where at the host the repositories of what Open returns are, if that
	// is a part of a registry; see [Below].
	Folder string
	Flat   bool // it is one of [Flat]

	NoCatalog   bool // Repositories is Unsupported
	NoReferrers bool // Referrers is Unsupported
	NoMount     bool // Mount never mounts, which is no error
	NoIfMatch   bool // PutManifest ignores the condition
	TakesSparse bool // an index may lack children
	HiddenBlobs bool // a blob can be read only once a manifest names it

	// What registries of other makers do otherwise.
	NoDocker      bool // Docker's manifests are Unsupported
	WantsForeign  bool // foreign layers have to be there
	LackIsInvalid bool // a manifest that names what is missing is Invalid
	TakesAnything bool // it is taken, and so is one under another digest than its own
	DropsMoved    bool // a manifest is gone when its last tag has moved
	EmptyIsThere  bool // a repository that is not there has no tags, which is no error
	TryLeaves     bool // an upload that was given up leaves an empty repository
	MissesAgain   bool // a blob that is sent again may be missed meanwhile

	// WrongUser opens a provider as Open does, with a credential that the server
	// refuses under Refusing. Without it signing in wrongly is not tested.
	WrongUser func(t *testing.T, s *Server) providers.Registry
	Refusing  Auth
}

// Conformance is the definition of a providers.Registry: every provider passes it.
func Conformance(t *testing.T, h Harness) {
	for name, test := range map[string]func(*conformer){
		"absent":           (*conformer).absent,
		"bytes":            (*conformer).bytes,
		"rows":             (*conformer).rows,
		"pages":            (*conformer).pages,
		"repositories":     (*conformer).repositories,
		"stop early":       (*conformer).stopEarly,
		"open":             (*conformer).open,
		"empty blob":       (*conformer).emptyBlob,
		"wrong blob":       (*conformer).wrongBlob,
		"broken body":      (*conformer).brokenBody,
		"mount":            (*conformer).mount,
		"mount refused":    (*conformer).mountRefused,
		"retag":            (*conformer).retag,
		"incomplete":       (*conformer).incomplete,
		"wrong digest":     (*conformer).wrongDigest,
		"too large":        (*conformer).tooLarge,
		"condition":        (*conformer).condition,
		"immutable":        (*conformer).immutable,
		"corrupt manifest": (*conformer).corruptManifest,
		"referrers":        (*conformer).referrers,
		"concurrent":       (*conformer).concurrent,
		"cancelled":        (*conformer).cancelled,
		"ensure and close": (*conformer).ensureAndClose,
		"whoami":           (*conformer).whoami,
		"try push":         (*conformer).tryPush,
		"names":            (*conformer).names,
	} {
		t.Run(name, func(t *testing.T) { test(h.start(t)) })
	}
}

// A conformer is one registry under one test.
type conformer struct {
	*testing.T
	providers.Registry
	h      Harness
	server *Server // nil without HTTP
	ctx    context.Context
}

func (h Harness) start(t *testing.T) *conformer {
	c := &conformer{T: t, h: h, ctx: t.Context()}
	if h.OpenStore != nil {
		c.Registry = h.OpenStore(t)
		return c
	}
	if h.Serve != nil {
		c.server = h.Serve(t)
	} else {
		c.server = New(t, Options{Quirks: h.Quirks})
	}
	c.Registry = h.Open(t, c.server)
	return c
}

// needsServer reports whether the registry is behind a server whose quirks the
// test can change.
func (c *conformer) needsServer() bool { return c.server != nil }

// push puts a manifest with everything below and beside it, and tags it.
func (c *conformer) push(repo string, m *content.Manifest, tags ...string) {
	c.Helper()
	c.must("ensure", c.Ensure(c.ctx, repo))
	for _, part := range m.All() {
		for _, b := range part.Blobs {
			c.blob(repo, b)
		}
		if part != m || len(tags) == 0 {
			c.put(repo, part.Digest.String(), part)
		}
	}
	for _, tag := range tags {
		c.put(repo, tag, m)
	}
}

func (c *conformer) blob(repo string, b content.Blob) {
	c.Helper()
	if _, err := c.Put(c.ctx, repo, b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
		c.Fatalf("put blob %s: %v", b.Digest, err)
	}
}

func (c *conformer) put(repo, ref string, m *content.Manifest) providers.Receipt {
	c.Helper()
	r, err := c.PutManifest(c.ctx, repo, ref, m.Manifest, providers.PutOptions{})
	if err != nil {
		c.Fatalf("put manifest %s: %v", ref, err)
	}
	return r
}

func (c *conformer) must(what string, err error) {
	c.Helper()
	if err != nil {
		c.Fatalf("%s: %v", what, err)
	}
}

// fails wants err to be a providers.Error of this kind that says what was tried.
func (c *conformer) fails(what string, want providers.Kind, err error) {
	c.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case !ok:
		c.Errorf("%s: got %v, want an Error of kind %s", what, err, want)
	case e.Kind != want:
		c.Errorf("%s: kind %s (%v), want %s", what, e.Kind, err, want)
	case e.Op == "" || e.Ref == "" || e.Err == nil:
		c.Errorf("%s: the error lacks its operation, reference or cause: %#v", what, e)
	}
}

// holds wants the blob to be in the repository, whole.
func (c *conformer) holds(repo string, b content.Blob) {
	c.Helper()
	size, err := c.Stat(c.ctx, repo, b.Digest)
	if err != nil || size != b.Size {
		c.Errorf("stat %s in %s: %d bytes (%v), want %d", b.Digest, repo, size, err, b.Size)
	}
	got, err := c.read(repo, b.Descriptor, 0)
	if c.h.HiddenBlobs && providers.KindOf(err) == providers.NotFound && !c.named(repo, b) {
		return
	}
	if err != nil || content.Hash(got) != b.Digest {
		c.Errorf("read %s in %s: %d other bytes (%v)", b.Digest, repo, len(got), err)
	}
}

// named reports whether a manifest is known to name the blob. A live service is
// not asked.
func (c *conformer) named(repo string, b content.Blob) bool {
	return c.server != nil && c.server.store.named(c.at(repo), b.Digest.String())
}

// at is the name by which the host knows a repository.
func (c *conformer) at(repo string) string {
	if c.h.Folder == "" {
		return repo
	}
	if c.h.Flat {
		repo = strings.ReplaceAll(repo, "/", flatSlash)
	}
	return c.h.Folder + "/" + repo
}

// lacks wants the blob not to be there.
func (c *conformer) lacks(repo string, b content.Blob) {
	c.Helper()
	_, err := c.Stat(c.ctx, repo, b.Digest)
	c.fails("stat of a missing blob", providers.NotFound, err)
}

func (c *conformer) read(repo string, d v1.Descriptor, offset int64) ([]byte, error) {
	body, err := c.Open(c.ctx, repo, d, offset)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(body)
	if err := body.Close(); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return got, err
}

// tags reads Rows into tag -> digest (zero where the listing has names only), and
// wants no tag to come twice.
func (c *conformer) tags(repo string) map[string]v1.Hash {
	c.Helper()
	tags := map[string]v1.Hash{}
	for row, err := range c.Rows(c.ctx, repo) {
		c.must("rows", err)
		for _, tag := range row.Tags {
			if _, again := tags[tag]; again {
				c.Errorf("tag %s is listed twice", tag)
			}
			tags[tag] = row.Digest
		}
	}
	return tags
}
