package replicator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
)

// A checker looks at one target repository; each digest once.
type checker struct {
	reg    providers.Registry
	place  plan.Place
	deep   bool
	report *CheckReport
	seen   map[v1.Hash]bool

	mu    sync.Mutex
	wrong map[v1.Hash]fault
}

// A fault is what is wrong with content; the zero value is nothing.
type fault struct {
	why, hint string
	gone      bool // it is not there, or not what it should be: no mere failure to ask
}

// worse returns the fault that counts: one that says what is missing first.
func worse(a, b fault) fault {
	if a.why == "" || b.gone && !a.gone {
		return b
	}
	return a
}

func newChecker(reg providers.Registry, place plan.Place, deep bool, r *CheckReport) *checker {
	return &checker{reg: reg, place: place, deep: deep, report: r, seen: map[v1.Hash]bool{}, wrong: map[v1.Hash]fault{}}
}

// failed makes a fault of an answer.
func failed(err error) fault {
	kind := providers.KindOf(err)
	f := fault{why: fmt.Sprintf("target: %v", err), hint: firstOf(providers.HintOf(err), "run transship check again")}
	if kind == providers.NotFound || kind == providers.Invalid {
		f.gone, f.hint = true, "run transship sync"
	}
	return f
}

func (c *checker) fail(found plan.Found, bad fault) {
	c.report.Failures = append(c.report.Failures, Failure{Rule: found.Rule, Target: c.place, Tag: firstOf(found.Tag, found.Digest.String()),
		Kind: providers.Incomplete, Side: transfer.Target, Reason: bad.why, Hint: bad.hint})
}

// believed looks for what state believes the target to hold of what is to be
// brought for img: the next run would believe it too.
func (c *checker) believed(ctx context.Context, img *plan.Image, has func([]v1.Hash) (map[v1.Hash]bool, error)) error {
	var nodes, blobs []v1.Hash
	byDigest := map[v1.Hash]v1.Descriptor{}
	for n := range img.Absent() {
		nodes = append(nodes, n.Digest)
		for _, b := range n.Blobs {
			blobs = append(blobs, b.Digest)
			byDigest[b.Digest] = b.Descriptor
		}
	}
	held, err := has(slices.Concat(nodes, blobs))
	if err != nil {
		return err
	}
	for _, d := range nodes {
		if held[d] {
			c.manifest(ctx, d, 1)
		}
	}
	var list []v1.Descriptor
	for _, d := range blobs {
		if held[d] {
			list = append(list, byDigest[d])
		}
	}
	c.blobs(ctx, list)
	return nil
}

// lacking tells of an image that the target lacks, or lacks something of: what the
// plan would do about each tag, and what is wrong with that which is there.
func (c *checker) lacking(img *plan.Image, bad fault) {
	hint := firstOf(bad.hint, "run transship sync")
	tell := func(tag, reason string) {
		if bad.why != "" {
			reason += "; " + bad.why
		}
		c.report.Failures = append(c.report.Failures, Failure{Rule: img.Rule, Target: c.place, Tag: tag,
			Kind: providers.Incomplete, Side: transfer.Target, Reason: reason, Hint: hint})
	}
	for _, t := range img.Tags {
		tell(t.Name, missed[t.Why])
	}
	if len(img.Tags) == 0 {
		tell(img.Root.Digest.String(), "it, or some of its referrers, are missing at the target")
	}
}

// missing returns what is not there as it should be, and the manifests that name it.
func (c *checker) missing() []v1.Hash {
	var gone []v1.Hash
	for d, f := range c.wrong {
		if f.gone {
			gone = append(gone, d)
		}
	}
	return gone
}

// image looks at a tag's manifest, everything below it, and what refers to it.
func (c *checker) image(ctx context.Context, found plan.Found) fault {
	bad := c.manifest(ctx, found.Digest, 1)
	for _, d := range found.Referrers {
		bad = worse(bad, ofReferrer(d, c.manifest(ctx, d, 1)))
	}
	return bad
}

// ofReferrer says of which referrer a fault is, if it is one.
func ofReferrer(digest v1.Hash, f fault) fault {
	if f.why != "" {
		f.why = fmt.Sprintf("referrer %s: %s", digest, f.why)
	}
	return f
}

// held looks at what the target holds of an image and of what refers to it: the
// next run puts none of that again.
func (c *checker) held(ctx context.Context, img *plan.Image) fault {
	bad := c.node(ctx, img.Root)
	for _, n := range img.Referrers {
		bad = worse(bad, ofReferrer(n.Digest, c.node(ctx, n)))
	}
	return bad
}

func (c *checker) node(ctx context.Context, n plan.Node) (bad fault) {
	if n.Here {
		return c.manifest(ctx, n.Digest, 1)
	}
	for _, child := range n.Children {
		bad = worse(bad, c.node(ctx, child))
	}
	return bad
}

// manifest looks at one manifest and what is below it; it returns what is wrong.
// Children that are not there are no fault of an index that may be sparse: the
// plan has judged that.
func (c *checker) manifest(ctx context.Context, digest v1.Hash, depth int) fault {
	if c.seen[digest] || depth > providers.MaxDepth {
		return c.fault(digest)
	}
	c.seen[digest] = true
	c.report.Manifests++
	m, err := c.reg.Manifest(ctx, c.place.Repo, digest.String())
	if err != nil {
		return c.note(digest, failed(err))
	}
	content, err := providers.Parse(m)
	if err != nil {
		return c.note(digest, failed(err))
	}
	bad := c.blobs(ctx, content.Blobs())
	for _, child := range content.Children {
		if _, err := c.reg.Head(ctx, c.place.Repo, child.Digest.String()); err != nil {
			if providers.KindOf(err) != providers.NotFound {
				bad = worse(bad, failed(err))
			}
			continue
		}
		bad = worse(bad, c.manifest(ctx, child.Digest, depth+1))
	}
	return c.note(digest, bad)
}

func (c *checker) note(digest v1.Hash, f fault) fault {
	if f.why == "" {
		return f
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong[digest] = f
	return f
}

func (c *checker) fault(digest v1.Hash) fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong[digest]
}

// blobs looks for blobs side by side; foreign ones may be elsewhere.
func (c *checker) blobs(ctx context.Context, list []v1.Descriptor) fault {
	var g errgroup.Group
	g.SetLimit(8)
	for _, d := range list {
		if c.seen[d.Digest] || providers.Foreign(d) {
			continue
		}
		c.seen[d.Digest] = true
		c.report.Blobs++
		g.Go(func() error {
			c.note(d.Digest, c.blob(ctx, d))
			return nil
		})
	}
	_ = g.Wait() // its functions never fail
	var bad fault
	for _, d := range list {
		bad = worse(bad, c.fault(d.Digest))
	}
	return bad
}

func (c *checker) blob(ctx context.Context, d v1.Descriptor) fault {
	if c.deep {
		return c.rehash(ctx, d)
	}
	size, err := c.reg.Stat(ctx, c.place.Repo, d.Digest)
	if err != nil {
		return failed(err)
	}
	if d.Size >= 0 && size >= 0 && size != d.Size {
		return damaged("target: blob %s has %d bytes, its manifest says %d", d.Digest, size, d.Size)
	}
	return fault{}
}

// damaged is content that is there and wrong. A registry that has bytes under a
// digest takes no others for it.
func damaged(format string, args ...any) fault {
	return fault{why: fmt.Sprintf(format, args...), gone: true,
		hint: "delete it at the target if the registry keeps what it has, then run transship sync"}
}

// rehash reads a blob and compares what it is with what it should be.
func (c *checker) rehash(ctx context.Context, d v1.Descriptor) fault {
	body, err := c.reg.Open(ctx, c.place.Repo, d, 0)
	if err != nil {
		return failed(err)
	}
	h := sha256.New()
	n, err := io.Copy(h, body)
	err = errors.Join(err, body.Close())
	c.mu.Lock()
	c.report.Bytes += n
	c.mu.Unlock()
	switch got := hex.EncodeToString(h.Sum(nil)); {
	case err != nil:
		return failed(fmt.Errorf("read blob %s: %w", d.Digest, err))
	case d.Digest.Algorithm == "sha256" && got != d.Digest.Hex:
		return damaged("target: blob %s is damaged: its bytes hash to sha256:%s", d.Digest, got)
	}
	return fault{}
}
