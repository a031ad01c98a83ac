package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
)

// A display is what people see while a run goes on: bars on a terminal, or a
// line for each change. It hears of images as a [transfer.Journal].
type display struct {
	meter *meter
	bars  *bars     // nil without a terminal
	notes io.Writer // for what has to be said in between

	mu    sync.Mutex
	lines io.Writer // nil if nobody reads them
}

// quiet reports whether no progress is wanted.
func (p *program) quiet() bool {
	return p.opts.Progress == "none" || p.opts.Progress == "auto" && p.json()
}

// show starts the display that the options ask for.
func (p *program) show() *display {
	d := &display{meter: newMeter(), notes: p.stderr}
	switch kind := p.opts.Progress; {
	case p.quiet():
	case kind == "bars", kind == "auto" && isTerminal(p.stderr):
		d.bars = showBars(p.stderr, d.meter)
	case p.json():
		d.lines = p.stderr
	default:
		d.lines = p.stdout
	}
	return d
}

// Image writes the line of one image that has ended.
func (d *display) Image(_ context.Context, r transfer.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lines != nil {
		fmt.Fprintln(d.lines, resultLine(r))
	}
}

// Write prints a line in between: above the bars, where there are some.
func (d *display) Write(line []byte) (int, error) {
	if d.bars != nil {
		if n, err := d.bars.Write(line); err == nil {
			return n, nil
		}
	}
	return d.notes.Write(line)
}

func (d *display) close() {
	if d.bars != nil {
		d.bars.close()
	}
}

// resultLine tells in one line what an image brought, or why it did not.
func resultLine(r transfer.Result) string {
	var names []string
	for _, t := range r.Image.Tags {
		names = append(names, fmt.Sprintf("%s (%s)", t.Name, t.Why))
	}
	if len(names) == 0 {
		names = []string{r.Image.Root.Digest.String()}
	}
	head := fmt.Sprintf("%s -> %s", r.Image.From, reference(r.Target.String(), strings.Join(names, ", ")))
	if errors.Is(r.Err, transfer.ErrInterrupted) {
		return "stopped: " + head
	}
	if r.Err != nil {
		return "failed: " + head + ": " + r.Err.Error()
	}
	f := r.Figures
	return fmt.Sprintf("%s: sent %s in %s, %d mounted, %d there already", head, plan.Bytes(f.BytesSent), count(int(f.BlobsSent), "blob"), f.Mounted, f.Present)
}
