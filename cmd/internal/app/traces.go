package app

import (
	"github.com/transship/transship/cmd/internal/trace"
	"github.com/transship/transship/replicator"
	"github.com/transship/transship/replicator/jobs"
)

// A tracer is told of passes, jobs, images and blobs.
type tracer interface {
	replicator.Tracer
	jobs.Tracer
}

// traces begins to export traces, if the environment names a collector, until the
// returned function is called. That it cannot be stops nothing.
func (p *program) traces() (done func()) {
	t, err := trace.Open(thisBuild().Version, p.log)
	if err != nil {
		p.log.Warn("there are no traces; all else goes on", "err", err)
	}
	if t == nil {
		return func() {}
	}
	p.tracer = t
	return func() {
		if err := t.Close(); err != nil {
			p.log.Debug("traces were not ended well", "err", err)
		}
	}
}
