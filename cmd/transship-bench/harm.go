package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// prepare makes the registries ready to do the harm in the middle of a pass.
func (h harm) prepare(w *world, c corpus) {
	switch big := largest(c.Corpus); h {
	case resetSource:
		w.source.Before(breakRead(big))
	case resetUpload:
		for _, t := range w.targets {
			t.Before((&uploadBreaker{at: big.Size / 4 * 3, got: map[string]int64{}}).before)
		}
	}
}

// breakRead resets the first answer that comes to three quarters of a blob, whole
// or a range.
func breakRead(b content.Blob) func(*http.Request, registrytest.Class) *registrytest.Fault {
	at := b.Size / 4 * 3
	var once sync.Once
	return func(r *http.Request, class registrytest.Class) (f *registrytest.Fault) {
		if class != registrytest.BlobGet || path.Base(r.URL.Path) != b.Digest.String() {
			return nil
		}
		from, to := int64(0), b.Size
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n == 1 {
			to = b.Size
		}
		if from <= at && at < to {
			once.Do(func() { f = &registrytest.Fault{Break: registrytest.Reset, At: at - from} })
		}
		return f
	}
}

// An uploadBreaker resets the connection of the first upload that comes to some
// length, be it one body or many pieces. Safe for concurrent use.
type uploadBreaker struct {
	at int64

	mu   sync.Mutex
	got  map[string]int64 // by upload: bytes so far
	done bool
}

func (u *uploadBreaker) before(r *http.Request, class registrytest.Class) *registrytest.Fault {
	if class != registrytest.UploadPut && class != registrytest.UploadPatch {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		return nil
	}
	id := path.Base(r.URL.Path)
	left := u.at - u.got[id]
	r.Body = countedBody{r.Body, u, id}
	return &registrytest.Fault{Break: registrytest.ResetUpload, At: left}
}

// A countedBody adds what is read of it to its upload.
type countedBody struct {
	io.ReadCloser
	u  *uploadBreaker
	id string
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.u.mu.Lock()
	defer b.u.mu.Unlock()
	b.u.got[b.id] += int64(n)
	b.u.done = b.u.done || b.u.got[b.id] >= b.u.at
	return n, err
}

// whenHalf calls kill once half of these bytes have left the source; stop ends
// the watch.
func whenHalf(ctx context.Context, source *registrytest.Server, bytes int64, kill func()) {
	t := time.NewTicker(2 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if source.Counts().BytesOut >= bytes/2 {
				kill()
				return
			}
		}
	}
}
