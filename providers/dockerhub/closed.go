package dockerhub

import (
	"time"

	"github.com/transship/transship/providers"
)

// shutFor is how long an API that is closed to us is not asked again.
const shutFor = time.Hour

func (r *Registry) isShut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.shut)
}

// closed reports whether err says that the API is closed to us, so that the
// registry is asked for names, and says so once.
func (r *Registry) closed(err error) bool {
	if providers.KindOf(err) != providers.Denied {
		return false
	}
	r.mu.Lock()
	r.shut = time.Now().Add(shutFor)
	told := r.told
	r.told = true
	r.mu.Unlock()
	if !told {
		r.log.Warn("the Hub API is closed to this credential: tags are listed by name, and each is asked for by itself",
			"host", r.Host(), "err", err, "try", providers.HintOf(err))
	}
	return true
}
