package app

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bars draws a meter on a terminal: a line for each target, with bytes, rate and
// the time left.
type bars struct {
	meter *meter
	tty   io.Writer
	out   *mpb.Progress
	shown map[string]*mpb.Bar
	quit  chan struct{}
	done  sync.WaitGroup
}

const refresh = 150 * time.Millisecond

// showBars starts drawing on w; close ends it.
func showBars(w io.Writer, m *meter) *bars {
	b := &bars{
		meter: m, tty: w, shown: map[string]*mpb.Bar{}, quit: make(chan struct{}),
		out: mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(refresh), mpb.WithAutoRefresh(), mpb.WithWidth(40)),
	}
	b.done.Go(b.draw)
	return b
}

func (b *bars) draw() {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		b.update()
		select {
		case <-tick.C:
		case <-b.quit:
			b.update()
			return
		}
	}
}

func (b *bars) update() {
	for _, g := range b.meter.gauges() {
		bar := b.shown[g.name]
		if bar == nil && g.images.Load() == 0 {
			continue // nothing to do there so far
		}
		if bar == nil {
			bar = b.add(g)
			b.shown[g.name] = bar
		}
		done, total := g.done.Load(), g.total.Load()
		bar.SetTotal(max(done, total)+1, false) // one more, so that the bar ends when the run does
		bar.SetCurrent(done)
	}
}

func (b *bars) add(g *gauge) *mpb.Bar {
	images := func(decor.Statistics) string {
		s := fmt.Sprintf("  %d/%d images", g.ended.Load(), g.images.Load())
		if n := g.failed.Load(); n > 0 {
			s += fmt.Sprintf(", %d failed", n)
		}
		return s
	}
	return b.out.AddBar(0,
		mpb.PrependDecorators(
			decor.Name(g.name, decor.WC{C: decor.DindentRight | decor.DextraSpace}),
			decor.CountersKiloByte("% .1f / % .1f", decor.WC{W: 24}),
		),
		mpb.AppendDecorators(
			decor.AverageSpeed(decor.SizeB1000(0), "% .1f", decor.WC{W: 12}),
			decor.Name("  ETA "),
			decor.AverageETA(decor.ET_STYLE_GO),
			decor.Any(images),
		),
	)
}

// Write prints above the bars. They are drawn over from the cursor's column on,
// which the ^C that a terminal shows has moved.
func (b *bars) Write(p []byte) (int, error) {
	if _, err := io.WriteString(b.tty, "\r"); err != nil {
		return 0, err
	}
	return b.out.Write(p)
}

// close draws the last state and leaves it standing.
func (b *bars) close() {
	close(b.quit)
	b.done.Wait()
	for _, bar := range b.shown {
		bar.Abort(false)
	}
	b.out.Wait()
}
