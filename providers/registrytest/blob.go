package registrytest

import (
	"io"
	"net/http"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// getBlob answers GET and HEAD of a blob, from distribution's storage: its own
// handler would take 4 MiB of memory for each.
func (s *Server) getBlob(x *exchange) {
	if _, err := v1.NewHash(x.digest); err != nil {
		digestInvalid.because(x.digest).send(x)
		return
	}
	content, ok := s.backend.blob(x.repo, x.digest)
	if !ok || x.class == BlobGet && x.q.HiddenLayers && !s.store.named(x.repo, x.digest) {
		blobUnknown.because(x.digest).send(x)
		return
	}
	if x.q.Redirect && x.class == BlobGet {
		http.Redirect(x, x.r, s.storageURL(x), http.StatusTemporaryRedirect)
		return
	}
	x.Header().Set("Docker-Content-Digest", x.digest)
	serveBlob(x, content)
}

// serveBlob sends a blob or the range of it that is asked for.
func serveBlob(x *exchange, content data) {
	h := x.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", `"`+x.digest+`"`)
	h.Set("Cache-Control", "max-age=31536000")
	if x.q.NoRange {
		x.r.Header.Del("Range")
	}
	if span := x.r.Header.Get("Range"); span != "" && (x.q.RefuseRanges || x.q.ClosedRanges && strings.HasSuffix(span, "-")) {
		refusal{http.StatusRequestedRangeNotSatisfiable, "BLOB_UNKNOWN", "We don't understand your Range", nil}.send(x)
		return
	}
	x.blob = x.r.Method == http.MethodGet
	http.ServeContent(x, x.r, "", time.Time{}, io.NewSectionReader(content, 0, content.Size()))
}
