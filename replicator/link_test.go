package replicator_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// A way of 200 ms there and back, over which one flow brings 40 MB/s and all of them
// 1 Gbit/s.
func longLink() *registrytest.Link {
	return &registrytest.Link{RoundTrip: 200 * time.Millisecond, BytesPerSecond: 125_000_000, Window: 8_000_000, SlowStart: true}
}

// Over a long way a layer comes at four fifths of what one plain flow brings over
// it, from the source and to the target, in one request and in pieces; and eight
// layers at four fifths of what eight plain flows bring, which on a machine that has
// time for them is what the way takes. All of it is measured in the same run.
func TestLongFatLink(t *testing.T) {
	if os.Getenv("TRANSSHIP_LONG") != "1" {
		t.Skip("it measures times, for minutes: TRANSSHIP_LONG=1 runs it")
	}
	size := int64(2_000_000_000)
	if mb := os.Getenv("TRANSSHIP_LINK_MB"); mb != "" {
		fmt.Sscan(mb, &size)
		size *= 1_000_000
	}
	plain, eight := plainFlows(t, 1, size), plainFlows(t, 8, size)
	for _, tt := range []struct {
		name   string
		far    string // the registry at the end of the link
		pieces bool
		layers int
		least  int64 // bytes a millisecond
	}{
		{"from the source", "src", false, 1, plain},
		{"to the target in one request", "one", false, 1, plain},
		{"to the target in pieces", "one", true, 1, plain},
		{"eight to the target", "one", false, 8, eight},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "one")
			w.tune = withSpool(20 << 30)
			w.servers["one"].Close()
			w.servers["one"] = registrytest.New(t, registrytest.Options{Dir: t.TempDir()})
			w.set("one", func(q *registrytest.Quirks) { q.Location = registrytest.Relative }) // else uploads leave the link
			way := longLink().Listen(t, w.servers[tt.far].Host())
			w.client = func(name string, o *oci.Options) {
				o.Retry = oci.Retry{}
				if name == tt.far {
					o.Host = way
				}
				if name == "one" && tt.pieces {
					pieces(o, 64<<20)
				}
			}
			for i := range tt.layers {
				w.load(fmt.Sprint("app", i), content.Image(fmt.Sprint(i), []content.Blob{content.Layer(fmt.Sprint("layer", i), size)}), "v1")
			}
			p := w.start()
			start := time.Now()
			p.fine()
			got := int64(tt.layers) * size / time.Since(start).Milliseconds()
			t.Logf("%d kB/s, of %d: %.2f; %d pieces", got, tt.least, float64(got)/float64(tt.least), w.servers["one"].Counts().Of(registrytest.UploadPatch))
			if got > 2*tt.least {
				t.Error("that is more than the link lets through: something went around it")
			}
			if got < tt.least*4/5 {
				t.Errorf("%d kB/s, want four fifths of %d", got, tt.least)
			}
		})
	}
}

// plainFlows is how many bytes a millisecond some flows bring over a long link.
func plainFlows(t *testing.T, flows int, size int64) int64 {
	t.Helper()
	l, start := longLink(), time.Now()
	var g sync.WaitGroup
	for range flows {
		g.Go(func() { plainFlow(t, l, size) })
	}
	g.Wait()
	rate := int64(flows) * size / time.Since(start).Milliseconds()
	t.Logf("%d plain flows: %d kB/s", flows, rate)
	return rate
}

// plainFlow sends so many bytes over a link, and waits for a byte back that says
// that they have arrived.
func plainFlow(t *testing.T, l *registrytest.Link, size int64) {
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	defer sink.Close()
	go func() {
		c, err := sink.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.CopyN(io.Discard, c, size)
		_, _ = c.Write([]byte{0})
	}()
	c, err := net.Dial("tcp", l.Listen(t, sink.Addr().String()))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	zeroes := make([]byte, 1<<20)
	for left := size; left > 0; left -= int64(len(zeroes)) {
		if _, err := c.Write(zeroes[:min(left, int64(len(zeroes)))]); err != nil {
			t.Error(err)
			return
		}
	}
	if _, err := io.ReadFull(c, zeroes[:1]); err != nil {
		t.Error(err)
	}
}
