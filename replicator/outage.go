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
	err         error
	told, until time.Time // until then nobody tries
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
	if !down {
		return nil
	}
	if now.Before(out.until) {
		return fmt.Errorf("not asked again since %s: %w", out.told.Format(time.TimeOnly), out.err)
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

// tell says how asking it went.
func (o *outages) tell(registry string, err error, now time.Time) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	away := providers.KindOf(err) == providers.Unavailable || errors.Is(err, context.DeadlineExceeded)
	if !away || errors.Is(err, context.Canceled) {
		delete(o.last, registry)
		return
	}
	if o.last == nil {
		o.last = map[string]outage{}
	}
	o.last[registry] = outage{err, now, now.Add(outageRest)}
}
