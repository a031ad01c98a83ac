package dockerhubtest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/transship/transship/providers/registrytest"
)

// Preview is the repository with whose tag latest Docker has people look at their
// limit.
const Preview = "ratelimitpreview/test"

// admit is what the registry refuses of requests whoever sends them.
func (s *Server) admit(a *registrytest.Ask) *registrytest.Refusal {
	switch {
	case a.Class == registrytest.ManifestDelete && !strings.Contains(a.Ref, ":"):
		return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
	case a.Write() && strings.Count(a.Repo, "/") != 1:
		return refuse(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	}
	return nil
}

// answer counts pulls, and tells with each manifest how many are left.
func (s *Server) answer(w http.ResponseWriter, a *registrytest.Ask) bool {
	if a.Class != registrytest.ManifestGet && a.Class != registrytest.ManifestHead {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quirks.Pulls > 0 {
		if !s.count(w, a) {
			return true
		}
	}
	if a.Repo != Preview {
		return false
	}
	w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	w.WriteHeader(http.StatusOK)
	return true
}

// count takes a pull, and reports whether there was one. The lock is held.
func (s *Server) count(w http.ResponseWriter, a *registrytest.Ask) bool {
	at, window := s.window(a.User), int(s.quirks.Window.Seconds())
	spent := a.Class == registrytest.ManifestGet && at.used >= s.quirks.Pulls
	if a.Class == registrytest.ManifestGet && !spent {
		at.used++
	}
	w.Header().Set("Ratelimit-Limit", fmt.Sprintf("%d;w=%d", s.quirks.Pulls, window))
	w.Header().Set("Ratelimit-Remaining", fmt.Sprintf("%d;w=%d", max(0, s.quirks.Pulls-at.used), window))
	w.Header().Set("Docker-Ratelimit-Source", "127.0.0.1")
	if !spent {
		return true
	}
	if s.quirks.RetryAfter != "" {
		w.Header().Set("Retry-After", s.quirks.RetryAfter)
	}
	http.Error(w, "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
		http.StatusTooManyRequests)
	return false
}

func refuse(status int, code, message string) *registrytest.Refusal {
	return &registrytest.Refusal{Status: status, Code: code, Message: message}
}
