package app

import (
	"cmp"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
)

// A meter counts what a run moves, per target registry; bars and the JSON report
// read it. It is a [transfer.Progress], safe for concurrent use.
type meter struct {
	read atomic.Int64 // bytes from sources

	mu      sync.Mutex
	toRead  int64
	targets map[string]*gauge // by registry name
}

// A gauge is one target registry's part of a meter. Counts only grow.
type gauge struct {
	name              string
	total, done       atomic.Int64 // bytes: to send or save; sent or saved
	images, ended     atomic.Int64
	failed            atomic.Int64
	retries           atomic.Int64
	bytesSent, saving atomic.Int64
}

func newMeter() *meter { return &meter{targets: map[string]*gauge{}} }

func (m *meter) gauge(target plan.Place) *gauge {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.targets[target.Registry]
	if g == nil {
		g = &gauge{name: target.Registry}
		m.targets[target.Registry] = g
	}
	return g
}

// gauges returns the targets seen so far, by name.
func (m *meter) gauges() []*gauge {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*gauge
	for _, g := range m.targets {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *gauge) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Begin adds what plans are expected to move.
func (m *meter) Begin(plans []plan.Plan) {
	for _, p := range plans {
		g := m.gauge(p.Target)
		g.total.Add(p.Cost.Bytes + p.Cost.Saved)
		g.images.Add(int64(len(p.Images)))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.toRead += plan.Totals(plans).Read
}

// Start does nothing: an image counts when it ends.
func (m *meter) Start(plan.Place, *plan.Image) {}

// End counts an image.
func (m *meter) End(target plan.Place, _ *plan.Image, err error) {
	g := m.gauge(target)
	if errors.Is(err, transfer.ErrInterrupted) {
		return // the next run goes on with it
	}
	g.ended.Add(1)
	if err != nil && providers.KindOf(err) != providers.Waiting {
		g.failed.Add(1)
	}
}

// Read counts bytes from a registry.
func (m *meter) Read(_ plan.Place, n int64) { m.read.Add(n) }

// Sent counts bytes to a target.
func (m *meter) Sent(target plan.Place, n int64) {
	g := m.gauge(target)
	g.done.Add(n)
	g.bytesSent.Add(n)
}

// Saved counts bytes that did not have to go.
func (m *meter) Saved(target plan.Place, n int64) {
	g := m.gauge(target)
	g.done.Add(n)
	g.saving.Add(n)
}

// Retry counts steps that were done again.
func (m *meter) Retry(target plan.Place, _ string) { m.gauge(target).retries.Add(1) }

var _ transfer.Progress = (*meter)(nil)

// isTerminal reports whether a person watches w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
