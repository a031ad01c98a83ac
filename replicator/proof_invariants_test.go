package replicator_test

import (
	"context"
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// One tag that cannot be moved fails alone: another tag of its image is put, and
// told as put (I5).
func TestI5OneTagCannotBeMoved(t *testing.T) {
	w := newWorld(t, "one")
	w.set("one", func(q *registrytest.Quirks) { q.Immutable = registrytest.ImmutableQuay })
	m := content.Image("ours", []content.Blob{content.Layer("l", 100)})
	w.load("app", m, "a", "b", "c")
	w.must(w.servers["one"].Load("app", content.Image("theirs", nil), "b"))
	reports, _, err := w.start().pass(context.Background())
	if err != nil || len(reports) != 1 || len(reports[0].Failures) != 1 || reports[0].Failures[0].Tag != "b" {
		t.Errorf("%v, %+v", err, reports)
	}
	for _, tag := range []string{"a", "c"} {
		if got := w.servers["one"].Tags("app")[tag]; got != m.Digest {
			t.Errorf("%s is %s", tag, got)
		}
	}
}
