package replicator_test

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
)

// A repository whose plan is made gives its place to the next: with one place,
// all are listed while the first's image is held at the target. With room for one
// image, the third waits.
func TestSurveysGoOnWhileImagesMove(t *testing.T) {
	for _, tt := range []struct{ images, listed int }{{1, 2}, {10, 4}} {
		t.Run(fmt.Sprintf("room for %d", tt.images), func(t *testing.T) {
			w := newWorld(t, "one")
			w.tune = func(o *replicator.Options) { o.Jobs, o.Images = 1, tt.images }
			for i := range 4 {
				w.load(fmt.Sprint("r", i), content.Image(fmt.Sprint(i), []content.Blob{content.Layer(fmt.Sprint(i), 100)}), "v1")
			}
			h := &holding{want: tt.listed, enough: make(chan struct{}), more: make(chan struct{})}
			w.hook.set(h.see)
			w.start().fine()
			w.equal()
			if h.held != tt.listed {
				t.Errorf("%d repositories were listed while an image was held, want %d", h.held, tt.listed)
			}
		})
	}
}

// holding holds the first manifest at the target until enough repositories are
// listed at the source.
type holding struct {
	want         int
	enough, more chan struct{} // closed when so many are listed, and one more

	mu     sync.Mutex
	listed int
	once   sync.Once
	held   int // listed when the first manifest was let go
}

func (h *holding) see(name string, r *http.Request, class registrytest.Class) *registrytest.Fault {
	switch {
	case name == "src" && class == registrytest.Tags:
		h.list()
	case name == "one" && class == registrytest.ManifestPut && strings.HasPrefix(path.Base(r.URL.Path), "v"):
		h.once.Do(h.wait)
	}
	return nil
}

func (h *holding) list() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.listed++; h.listed {
	case h.want:
		close(h.enough)
	case h.want + 1:
		close(h.more)
	}
}

func (h *holding) wait() {
	select {
	case <-h.enough:
	case <-time.After(10 * time.Second): // then the test fails
	}
	select {
	case <-h.more:
	case <-time.After(100 * time.Millisecond): // that nothing more is listed has no sign of its own
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = h.listed
}
