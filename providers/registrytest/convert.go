package registrytest

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// converted is what a registry that converts sends in place of m to someone who
// takes Docker's schema 2 only: an image of the same content under another digest.
// ok is false where it does not convert: by digest, and other kinds of manifest.
func (s *Server) converted(x *exchange, m stored) (stored, bool) {
	takes := accepts(x.r.Header.Values("Accept"), types.DockerManifestSchema2)
	if !x.q.ConvertByTag || !takes || strings.Contains(x.ref, ":") || m.MediaType != types.OCIManifestSchema1 {
		return stored{}, false
	}
	raw := bytes.Clone(m.Raw)
	for _, t := range [][2]types.MediaType{
		{types.OCIManifestSchema1, types.DockerManifestSchema2},
		{types.OCIConfigJSON, types.DockerConfigJSON},
		{types.OCILayer, types.DockerLayer},
	} {
		raw = bytes.ReplaceAll(raw, []byte(t[0]), []byte(t[1]))
	}
	m.Manifest = providers.Manifest{MediaType: types.DockerManifestSchema2, Digest: content.Hash(raw), Raw: raw}
	return m, true
}

// emptyPut refuses to end an upload that came in pieces with a PUT that brings
// nothing, where the quirks want that.
func (s *Server) emptyPut(x *exchange) bool {
	if !x.q.EmptyPutFails || x.class != UploadPut || x.r.ContentLength != 0 {
		return false
	}
	pieces := 0
	s.uploads.with(x.upload, func(u *session) { pieces = u.patches })
	if pieces < 2 {
		return false
	}
	refusal{http.StatusInternalServerError, "UNKNOWN", "unknown error", nil}.send(x)
	return true
}
