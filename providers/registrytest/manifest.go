package registrytest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// ociArtifact is the artifact manifest that OCI 1.1 withdrew and some still have.
const ociArtifact types.MediaType = "application/vnd.oci.artifact.manifest.v1+json"

// getManifest answers GET and HEAD of a manifest, by tag or digest.
func (s *Server) getManifest(x *exchange) {
	ref := x.ref
	if subject, suffix, ok := providers.ReferrerTag(ref); ok && suffix == "" && x.q.NormalizedFallback {
		ref = subject.String()
	}
	m, ok := s.store.resolve(x.repo, ref)
	if !ok || slices.Contains(x.q.GhostTags, ref) {
		manifestUnknown.because(map[string]string{"name": x.repo, "reference": x.ref}).send(x)
		return
	}
	if other, ok := s.converted(x, m); ok && !accepts(x.r.Header.Values("Accept"), m.MediaType) {
		m = other
	}
	if !accepts(x.r.Header.Values("Accept"), m.MediaType) {
		refusal{404, "MANIFEST_UNKNOWN", string(m.MediaType) + " found, but accept header does not support it", nil}.send(x)
		return
	}
	digest := m.Digest.String()
	if x.class == ManifestHead && x.q.HeadDisagrees && ref != digest {
		digest = content.Hash([]byte(digest)).String()
	}
	s.sendManifest(x, m, digest)
}

func (s *Server) sendManifest(x *exchange, m stored, digest string) {
	h := x.Header()
	if x.q.WrongDigestHeader {
		digest = content.Hash([]byte(digest)).String()
	}
	if slices.Contains(x.r.Header.Values("If-None-Match"), `"`+digest+`"`) {
		x.WriteHeader(http.StatusNotModified)
		return
	}
	if !x.q.NoDigestHeader {
		h.Set("Docker-Content-Digest", digest)
		h.Set("Etag", `"`+digest+`"`)
	}
	h.Set("Content-Type", string(m.MediaType))
	h.Set("Content-Length", strconv.Itoa(len(m.Raw)))
	x.WriteHeader(http.StatusOK)
	if x.class == ManifestGet {
		_, _ = x.Write(m.Raw) // a client that went away is its own business
	}
}

// accepts reports whether an Accept header takes the type. As at distribution,
// whoever says nothing gets Docker's schema 2, and whatever is no OCI type.
func accepts(header []string, t types.MediaType) bool {
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(part), ";")
			if name == string(t) || name == "*/*" || name == "application/*" {
				return true
			}
		}
	}
	return len(header) == 0 && !strings.Contains(string(t), "vnd.oci.")
}

// putManifest takes a manifest if it is what it says and names what is here.
func (s *Server) putManifest(x *exchange) {
	m, f, ok := s.readManifest(x)
	if !ok {
		f.send(x)
		return
	}
	tag := x.ref
	if strings.Contains(tag, ":") {
		tag = ""
	}
	if f, ok := s.complete(x, m.content); !ok {
		f.send(x)
		return
	}
	var put Putting
	check := func(p Putting) (answerer, bool) {
		put = p
		return s.mayPut(x, p)
	}
	if f, ok := s.store.put(x.repo, tag, m, check); !ok {
		f.send(x)
		return
	}
	if s.cloud.Stored != nil {
		s.cloud.Stored(put)
	}
	h := x.Header()
	h.Set("Location", s.api.url+"/v2/"+x.repo+"/manifests/"+m.Digest.String())
	h.Set("Docker-Content-Digest", m.Digest.String())
	if m.content.Subject != nil && (!x.q.NoReferrers || x.q.LyingSubject) {
		h.Set("OCI-Subject", m.content.Subject.Digest.String())
	}
	h.Set("Content-Length", "0")
	x.WriteHeader(http.StatusCreated)
}

var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// readManifest reads the body and holds it against its reference and its type.
func (s *Server) readManifest(x *exchange) (stored, refusal, bool) {
	limit := x.q.MaxManifest
	if limit == 0 {
		limit = providers.MaxManifest
	}
	raw, err := io.ReadAll(http.MaxBytesReader(x, x.r.Body, limit))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return stored{}, refusal{413, "MANIFEST_INVALID", "manifest is larger than " + strconv.FormatInt(tooLarge.Limit, 10), nil}, false
	}
	if err != nil {
		return stored{}, manifestInvalid.because("the body ended early"), false
	}
	m := providers.Manifest{MediaType: mediaTypeOf(x.r), Digest: digestOf(x.r, raw), Raw: raw}
	if strings.Contains(x.ref, ":") && x.ref != m.Digest.String() {
		return stored{}, digestInvalid.because(m.Digest.String()), false
	}
	if !strings.Contains(x.ref, ":") && !tagPattern.MatchString(x.ref) {
		return stored{}, refusal{400, "TAG_INVALID", "manifest tag did not match URI", x.ref}, false
	}
	if !x.q.takes(m.MediaType) {
		return stored{}, refusal{400, "MANIFEST_INVALID", "unsupported manifest media type " + string(m.MediaType), nil}, false
	}
	if slices.Contains(x.q.RefuseTypes, string(m.MediaType)) {
		return stored{}, unsupported.because(m.MediaType), false
	}
	return s.parse(m)
}

func (s *Server) parse(m providers.Manifest) (stored, refusal, bool) {
	var says struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	parsed, err := read(m)
	if err == nil {
		err = json.Unmarshal(m.Raw, &says)
	}
	if err != nil {
		return stored{}, manifestInvalid.because(err.Error()), false
	}
	if says.MediaType != "" && says.MediaType != m.MediaType {
		return stored{}, manifestInvalid.because("mediaType is " + string(says.MediaType) + ", Content-Type " + string(m.MediaType)), false
	}
	return parsed, refusal{}, true
}

func mediaTypeOf(r *http.Request) types.MediaType {
	name, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return types.MediaType(strings.TrimSpace(name))
}

// digestOf is a manifest's digest; that of a signed schema 1 is over its payload.
func digestOf(r *http.Request, raw []byte) v1.Hash {
	if mediaTypeOf(r) == types.DockerManifestSchema1Signed {
		if payload, err := content.Schema1Payload(raw); err == nil {
			raw = payload
		}
	}
	return content.Hash(raw)
}

// takes reports whether manifests of this type are taken at all.
func (q *Manifests) takes(t types.MediaType) bool {
	switch t {
	case types.OCIManifestSchema1, types.OCIImageIndex, types.DockerManifestSchema2, types.DockerManifestList, ociArtifact:
		return true
	}
	return providers.IsSchema1(t) && q.Schema1
}

// complete refuses a manifest that names what its repository lacks. Layers that
// are to be had elsewhere, and the subject, may be missing.
func (s *Server) complete(x *exchange, c providers.Content) (refusal, bool) {
	for _, b := range c.Blobs() {
		if _, ok := s.backend.blob(x.repo, b.Digest.String()); !ok && (x.q.WantsForeign || !providers.Foreign(b)) && !x.q.Lax {
			return lacking(x, b.Digest), false
		}
	}
	for _, child := range c.Children {
		if _, ok := s.store.resolve(x.repo, child.Digest.String()); !ok && !x.q.SparseIndex {
			return lacking(x, child.Digest), false
		}
	}
	return refusal{}, true
}

var blobMissing = refusal{400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", nil}

// lacking refuses a manifest that names what is missing.
func lacking(x *exchange, missing v1.Hash) refusal {
	if x.q.LackIsInvalid {
		return refusal{400, "MANIFEST_INVALID", "manifest invalid", nil}.because(map[string]string{"reference": x.ref})
	}
	return blobMissing.because(map[string]string{"digest": missing.String()})
}

// deleteManifest takes a tag or a manifest away.
func (s *Server) deleteManifest(x *exchange) {
	if !s.store.remove(x.repo, x.ref) {
		manifestUnknown.because(map[string]string{"name": x.repo, "reference": x.ref}).send(x)
		return
	}
	x.Header().Set("Content-Length", "0")
	x.WriteHeader(http.StatusAccepted)
}
