package transfer

import (
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/replicator/plan"
)

// damaged remembers which blobs a source gave wrong bytes for, twice, so that
// they are not read again for each image that names them. It holds for plans that
// were surveyed before: a later pass looks anew.
type damaged struct {
	mu    sync.Mutex
	blobs map[sourceBlob]wrongRead
}

type sourceBlob struct {
	at     plan.Place
	digest v1.Hash
}

type wrongRead struct {
	err error
	at  time.Time
}

const mostDamaged = 10_000 // beyond, all are forgotten: they are read again

// of returns why the blob of w's source is not read, nil if it may be.
func (d *damaged) of(w *work, digest v1.Hash) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if read, known := d.blobs[sourceBlob{w.img.From, digest}]; known && !read.at.Before(w.plan.At) {
		return read.err
	}
	return nil
}

func (d *damaged) note(w *work, digest v1.Hash, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blobs == nil || len(d.blobs) >= mostDamaged {
		d.blobs = map[sourceBlob]wrongRead{}
	}
	d.blobs[sourceBlob{w.img.From, digest}] = wrongRead{err, w.t.opts.Now()}
}
