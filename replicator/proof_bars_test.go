package replicator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator"
)

// The bars of this file are counted at the servers: counts are the same on every
// machine, and sizes do not change them. -v prints them.

// A bar is one figure, the least that it can be, and how much more is allowed.
type bar struct {
	what       string
	got, least int64
	most       float64 // times least; 0 only shows it
}

// hold prints bars as a table and fails the test for each that is not held.
func hold(t *testing.T, bars ...bar) {
	t.Helper()
	var table strings.Builder
	for _, b := range bars {
		ratio := float64(b.got) / float64(max(b.least, 1))
		fmt.Fprintf(&table, "\n%-44s %12d %12d  %6.3f", b.what, b.got, b.least, ratio)
		if b.most > 0 {
			fmt.Fprintf(&table, "  (at most %.2f)", b.most)
		}
		if b.most > 0 && float64(b.got) > b.most*float64(b.least) {
			t.Errorf("%s: %d, more than %.2f times %d", b.what, b.got, b.most, b.least)
		}
	}
	t.Logf("%-44s %12s %12s  %6s%s", "", "counted", "least", "ratio", table.String())
}

func (w *world) corpus(c content.Corpus) content.Shape {
	w.t.Helper()
	w.must(w.src().LoadCorpus(c))
	return c.Shape()
}

// equal fails the test unless each target has what the source has, to the last byte.
func (w *world) equal() {
	w.t.Helper()
	for _, name := range w.targets {
		if err := registrytest.Equal(w.src(), w.servers[name], nil); err != nil {
			w.t.Errorf("target %s: %v", name, err)
		}
	}
}

// uploaded is what was committed of blobs, in bytes.
func uploaded(c registrytest.Counts) int64 {
	var n int64
	for _, d := range c.Digests {
		n += d.BytesIn
	}
	return n
}

// A first sync of the corpus on which the peers were measured asks at most a
// twentieth more than the least that a plain registry allows.
func TestFirstSyncRequests(t *testing.T) {
	w := newWorld(t, "one")
	shape := w.corpus(content.Baseline(1, 0.01))
	want := content.BaselineShape()
	want.UniqueBytes, want.SummedBytes = shape.UniqueBytes, shape.SummedBytes
	if shape != want || shape.Source() != 781 || shape.Target() != 1108 {
		t.Fatalf("the corpus is not the baseline: %+v", shape)
	}
	n := w.start().fine()
	w.equal()
	src, one := n["src"], n["one"]
	hold(t,
		bar{"requests at the source", src.Total(), int64(shape.Source()), 1.05},
		bar{"requests at the target", one.Total(), int64(shape.Target()), 1.05},
		bar{"bytes from the source", src.BytesOut, shape.UniqueBytes, 1.02},
		bar{"bytes to the target", uploaded(one), shape.UniqueBytes, 1.02},
		bar{"pings and tokens", src.Of(registrytest.Ping, registrytest.Token) + one.Of(registrytest.Ping, registrytest.Token), 0, 0},
		bar{"connections to the source", src.Connections, 2 * limit.DefaultMax, 1},
		bar{"connections to the target", one.Connections, 2 * limit.DefaultMax, 1},
	)
	if t.Failed() {
		t.Logf("source\n%s\ntarget\n%s", src, one)
	}
}

// With 5 % of 503, 2 % of bodies reset and 0.5 % of 429 on both sides, one pass
// brings everything, and moves at most a twentieth more.
func TestFaultsBytes(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, "one")
			shape := w.corpus(content.Baseline(1, 0.01))
			for name := range w.servers {
				w.set(name, func(q *registrytest.Quirks) { q.Seed, q.Faults = seed, faulty() })
			}
			n := w.start().fine()
			w.equal()
			src, one := n["src"], n["one"]
			hold(t,
				bar{"bytes from the source", src.BytesOut, shape.UniqueBytes, 1.05},
				bar{"bytes to the target", one.BytesIn, shape.UniqueBytes, 1.05},
				bar{"requests at the source", src.Total(), int64(shape.Source()), 1.15},
				bar{"requests at the target", one.Total(), int64(shape.Target()), 1.15})
			if failed := src.Status[503] + src.Status[429] + one.Status[503] + one.Status[429]; failed < 50 {
				t.Errorf("%d requests were refused: that proves nothing", failed)
			}
		})
	}
}

// faulty is the weather of the measured peers' worst day.
func faulty() []registrytest.Rule {
	return []registrytest.Rule{
		{Rate: 0.05, Fault: registrytest.Unavailable("")},
		{Rate: 0.005, Fault: registrytest.Throttled("0")},
		{Rate: 0.02, Within: 8_000, Fault: registrytest.Fault{Break: registrytest.Reset},
			Classes: []registrytest.Class{registrytest.BlobGet, registrytest.ManifestGet}},
		{Rate: 0.02, Within: 8_000, Fault: registrytest.Fault{Break: registrytest.ResetUpload},
			Classes: []registrytest.Class{registrytest.UploadPut}},
	}
}

// Thirty repositories over eight layers go to three targets: nothing leaves the
// source twice, and nothing enters a target twice where it mounts.
func TestThirtyRepositories(t *testing.T) {
	for _, mounts := range replicator.Some(2, []bool{true, false}) {
		t.Run(fmt.Sprintf("mounts=%v", mounts), func(t *testing.T) {
			w := newWorld(t, "one", "two", "three")
			for _, name := range w.targets {
				w.set(name, func(q *registrytest.Quirks) { q.NoMount = !mounts })
			}
			shape := w.corpus(content.Shared(1, 0.02))
			n := w.start().fine()
			w.equal()
			bars := []bar{{"bytes from the source", n["src"].BytesOut, shape.UniqueBytes, 1.02}}
			for _, name := range w.targets {
				b := bar{"bytes to target " + name, uploaded(n[name]), shape.UniqueBytes, 1.02}
				if !mounts {
					b.least, b.most = shape.SummedBytes, 1.02
				}
				bars = append(bars, b, bar{"requests at target " + name, n[name].Total(), int64(shape.Target()), 0})
			}
			hold(t, bars...)
		})
	}
}

// An unchanged pass over plain registries asks for each tag of the source once,
// and for nothing at the targets but their lists.
func TestNoChangeRequests(t *testing.T) {
	w := newWorld(t, "one", "two")
	shape := w.corpus(content.Many(replicator.Fewer(10, 4), 40))
	p := w.start()
	p.fine()
	w.equal()
	lists, tags := int64(shape.Repositories), int64(shape.Tags)

	t.Run("nothing due", func(t *testing.T) {
		n := p.fine()
		// The catalog has a page of its own.
		hold(t,
			bar{"requests at the source", n["src"].Total() - n["src"].Of(registrytest.Catalog), lists + tags, 1},
			bar{"requests at target one", n["one"].Total(), lists, 1},
			bar{"requests at target two", n["two"].Total(), lists, 1})
		readsNothing(t, n)
	})
	t.Run("all due", func(t *testing.T) {
		w.skew += 25 * time.Hour
		n := p.fine()
		hold(t,
			bar{"requests at the source", n["src"].Total() - n["src"].Of(registrytest.Catalog), lists + 2*tags, 1},
			bar{"requests at target one", n["one"].Total(), lists + tags, 1},
			bar{"requests at target two", n["two"].Total(), lists + tags, 1})
		readsNothing(t, n)
	})
	t.Run("immutable tags", func(t *testing.T) {
		w.rules += "    immutableTags: [\"**\"]\n"
		p.end()
		p := w.start()
		n := p.fine()
		hold(t,
			bar{"requests at the source", n["src"].Total() - n["src"].Of(registrytest.Catalog), lists, 1},
			bar{"requests at target one", n["one"].Total(), lists, 1})
		readsNothing(t, n)
	})
}

// readsNothing fails if a manifest was read, or anything written.
func readsNothing(t *testing.T, n map[string]registrytest.Counts) {
	t.Helper()
	for name, c := range n {
		if c.Of(registrytest.ManifestGet) > 0 || c.Writes() > 0 || c.BytesOut > 0 {
			t.Errorf("%s: %d manifests read, %d writes\n%s", name, c.Of(registrytest.ManifestGet), c.Writes(), c)
		}
	}
}

// A host sees at most two connections for each request that may be in flight,
// however many images there are and however often it breaks them.
func TestConnections(t *testing.T) {
	const width = 4
	w := newWorld(t, "one", "two")
	w.client = func(_ string, o *oci.Options) { o.Limits = limit.Options{Start: width, Max: width} }
	w.corpus(content.Baseline(2, 0.01))
	for _, name := range []string{"src", "one", "two"} {
		w.set(name, func(q *registrytest.Quirks) { q.Latency = time.Millisecond })
	}
	n := w.start().fine()
	w.equal()
	hold(t,
		bar{"connections to the source", n["src"].Connections, 2 * width, 1},
		bar{"connections to target one", n["one"].Connections, 2 * width, 1},
		bar{"connections to target two", n["two"].Connections, 2 * width, 1})
}
