package app

import (
	"context"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/all"
)

// way tries the links by which an identity of another cloud signs in, one finding
// each, and reports whether one is broken. The trust that it needs is told in any
// case, as soon as it is known what is shown.
func (d *doctor) way(ctx context.Context, reg providers.Registry) (broken bool) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, errNoAnswer)
	defer cancel()
	w := all.Way(ctx, reg)
	if w == nil {
		return false
	}
	d.up.Trust = w.Trust
	for _, l := range w.Links {
		f := failedBy(ctx, l.Err, l.Detail)
		f.Name = l.Name
		d.up.Checks = append(d.up.Checks, f)
		broken = l.Err != nil
	}
	return broken
}
