package ghcr

import (
	"context"
	"time"

	"github.com/transship/transship/providers"
)

// shutFor is how long an API that is closed to us is not asked again about an
// owner: whoever grants something should not have to start anew.
const shutFor = time.Hour

// listed reports whether the API is to be asked for an owner's tags: it is known,
// somebody signs in, and it was not closed lately. "" is any owner.
func (r *Registry) listed(ctx context.Context, owner string) bool {
	if r.api == nil || r.isShut(owner) {
		return false
	}
	c, err := r.Credential(ctx)
	return err == nil && c.Password != "" // the API wants somebody, of public packages too
}

func (r *Registry) isShut(owner string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for of, until := range r.shut {
		if (owner == "" || owner == of) && now.Before(until) {
			return true
		}
	}
	return false
}

// closed reports whether err says that the API does not tell us, so that the
// registry has to be asked for names. That it does not know a package may mean
// that there is none: the registry tells.
func (r *Registry) closed(owner string, err error) bool {
	switch providers.KindOf(err) {
	case providers.NotFound:
		return true
	case providers.Denied, providers.Waiting, providers.Throttled:
		r.close(owner, err)
		return true
	}
	return false
}

// close has the API not asked about an owner for a while, and says so once.
func (r *Registry) close(owner string, err error) {
	r.mu.Lock()
	r.shut[owner] = time.Now().Add(shutFor)
	told := r.told
	r.told = true
	r.mu.Unlock()
	if !told {
		r.log.Warn("GitHub's packages API does not tell us for now: tags are listed by name, and each is asked for by itself",
			"host", r.Host(), "owner", owner, "err", err, "try", hintAPI(err))
	}
}

func hintAPI(err error) string {
	if hint := providers.HintOf(err); hint != "" {
		return hint
	}
	return hintRead
}
