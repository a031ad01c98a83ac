package dockerhub

import (
	"errors"
	"time"

	"github.com/transship/transship/providers"
)

// shutFor is how long an API that is closed to us is not asked again.
const shutFor = time.Hour

// isShut reports whether the API tells nothing of a namespace for now.
func (r *Registry) isShut(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	return r.api == nil || now.Before(r.shut[namespace]) || now.Before(r.shut[""])
}

// closed reports whether err says that the API is closed to us, so that the registry
// is asked for names, and says so once. A sign-in that fails is about all namespaces.
func (r *Registry) closed(namespace string, err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Denied {
		return false
	}
	if e.Op == opSignIn {
		namespace = ""
	}
	r.mu.Lock()
	r.shut[namespace] = time.Now().Add(shutFor)
	told := r.told
	r.told = true
	r.mu.Unlock()
	if !told {
		r.log.Warn("the Hub API is closed to this credential: tags are listed by name, and each is asked for by itself",
			"host", r.Host(), "namespace", namespace, "err", err, "try", e.Hint)
	}
	return true
}
