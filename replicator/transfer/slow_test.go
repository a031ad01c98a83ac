package transfer

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

// Where uploads are cut off at an age, one is begun only when the spool has it
// all: a source that stalls for longer costs no second upload.
func TestUploadDeadline(t *testing.T) {
	w := newWorld(t, 1, func(w *world) {
		w.caps["t0"] = providers.Caps{UploadDeadline: time.Second}
		w.targets[0].Set(func(q *registrytest.Quirks) { q.Deadline = time.Second })
	})
	m := simple("app", 600<<10)
	plans := w.load(one("app", "v1", m))
	w.source.Before(stall(m.Blobs[1].Digest, registrytest.Fault{Break: registrytest.Stall, At: 200 << 10, For: 1500 * time.Millisecond}))
	w.mustAll(w.run(plans))
	w.verify(plans)
	c := w.targets[0].Counts()
	if n := c.Of(registrytest.UploadPost); n != int64(len(m.Blobs)) || len(c.Errors) > 0 {
		t.Errorf("%d uploads begun for %d blobs, errors %v", n, len(m.Blobs), c.Errors)
	}
	w.noReadTwice()
}

// stall breaks every read of a blob.
func stall(blob v1.Hash, f registrytest.Fault) func(*http.Request, registrytest.Class) *registrytest.Fault {
	return func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if class == registrytest.BlobGet && hasDigest(r, blob) {
			return &f
		}
		return nil
	}
}

// The source stalls, and the target gives the upload up more often than is tried
// again: it is done once more when the spool has it all, without a second read.
func TestStalledSource(t *testing.T) {
	w := newWorld(t, 1, nil)
	m := simple("app", 12<<20)
	plans := w.load(one("app", "v1", m))
	layer := m.Blobs[1].Digest
	var stalled atomic.Bool
	stalled.Store(true)
	w.source.Before(stall(layer, registrytest.Fault{Break: registrytest.Stall, At: 10 << 20}))
	w.targets[0].Before(func(r *http.Request, class registrytest.Class) *registrytest.Fault {
		if class == registrytest.UploadPut && hasDigest(r, layer) && stalled.Load() {
			return &registrytest.Fault{Break: registrytest.ResetUpload, At: 50 << 10}
		}
		return nil
	})
	w.regs["t0"] = &givesUp{Registry: w.regs["t0"], layer: layer, then: func() {
		stalled.Store(false)
		time.AfterFunc(100*time.Millisecond, w.source.Release) // after the transfer has seen why
	}}
	results := w.run(plans)
	w.mustAll(results)
	w.verify(plans)
	w.noReadTwice()
	if f := results[0].Figures; f.BlobsSent != int64(len(m.Blobs)) || f.BytesRead2 != 0 {
		t.Errorf("figures %+v", f)
	}
}

func hasDigest(r *http.Request, d v1.Hash) bool {
	return r.URL.Query().Get("digest") == d.String() || strings.HasSuffix(r.URL.Path, d.String())
}

// givesUp is a registry that tells when the upload of a layer has failed.
type givesUp struct {
	providers.Registry
	layer v1.Hash
	then  func()
}

func (g *givesUp) Put(ctx context.Context, repo string, desc v1.Descriptor, body io.ReaderAt, opts providers.UploadOptions) (*providers.Session, error) {
	s, err := g.Registry.Put(ctx, repo, desc, body, opts)
	if desc.Digest == g.layer && err != nil {
		g.then()
	}
	return s, err
}
