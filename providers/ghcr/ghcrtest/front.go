package ghcrtest

import (
	"net/http"
	"strings"

	"github.com/transship/transship/providers/registrytest"
)

// token is what the token service refuses whoever asks: tokens that are not
// classic, but for those that GitHub Actions has.
func (s *Server) token(r *http.Request) *registrytest.Refusal {
	_, password, _ := r.BasicAuth()
	s.mu.Lock()
	t := s.tokens[password]
	s.mu.Unlock()
	if strings.HasPrefix(password, "github_pat_") || strings.HasPrefix(password, "ghs_") && t.User == "" {
		return refuse(http.StatusForbidden, "DENIED", "denied")
	}
	return nil
}

// admit is what ghcr.io refuses of requests to the registry.
func (s *Server) admit(a *registrytest.Ask) *registrytest.Refusal {
	switch a.Class {
	case registrytest.ManifestDelete, registrytest.BlobDelete:
		return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
	case registrytest.UploadPatch, registrytest.UploadPut:
		if a.Request.Header.Get("Content-Range") != "" && a.Request.ContentLength > s.config().ChunkMost {
			return &registrytest.Refusal{Status: http.StatusRequestedRangeNotSatisfiable,
				Text: "request body is too large and exceeds the maximum permissible limit of 4.00MiB"}
		}
	}
	return nil
}

func refuse(status int, code, message string) *registrytest.Refusal {
	return &registrytest.Refusal{Status: status, Code: code, Message: message}
}
