package replicator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/transship/transship/providers"
)

// outages remember which registries could not be reached for their lists: asking one
// of these takes minutes, and however many rules have it for a source, one try at a
// time is enough. It is safe for concurrent use.
type outages struct {
	mu   sync.Mutex
	last map[string]outage // by the policy's name
}

type outage struct {
	err   error
	told  time.Time
	until time.Time // until then nobody tries; zero is who is slow, not away
}

const (
	// outageRest is how long a registry is left alone that could not be reached.
	outageRest = 30 * time.Second
	// outageTry is how long one may try while the others go by what is known.
	outageTry = 5 * time.Minute
)

// refuse returns why the registry is not to be asked now. Whoever gets nil asks it,
// and tells how that went.
func (o *outages) refuse(registry string, now time.Time) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	out, down := o.last[registry]
	if !down || out.until.IsZero() {
		return nil
	}
	if now.Before(out.until) {
		return fmt.Errorf("registry %s failed at %s and is left alone for a while: %w", registry, out.told.UTC().Format(time.RFC3339), out.err)
	}
	out.until = now.Add(outageTry)
	o.last[registry] = out
	return nil
}

// down reports whether the registry could not be reached within the last hour.
func (o *outages) down(registry string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	out, down := o.last[registry]
	return down && now.Sub(out.told) < bookLife
}

// tell says how asking it went. Whoever gave up for want of time says nothing of the
// registry to its own rules; the others leave it to these. Whoever was stopped only
// says that somebody else may try.
func (o *outages) tell(ctx context.Context, registry string, err error, now time.Time) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = map[string]outage{}
	}
	out, down := o.last[registry]
	switch stopped := ctx.Err(); {
	case err != nil && errors.Is(stopped, context.Canceled):
		if rested := out.told.Add(outageRest); down && out.until.After(rested) {
			out.until = rested
			o.last[registry] = out
		}
	case err != nil && stopped != nil:
		o.last[registry] = outage{err: err, told: now}
	case providers.KindOf(err) == providers.Unavailable || errors.Is(err, context.DeadlineExceeded):
		o.last[registry] = outage{err, now, now.Add(outageRest)}
	default:
		delete(o.last, registry)
	}
}
