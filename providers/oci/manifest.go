package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// accept lists what we can carry, preferred first, and then anything: a registry
// that converts when it may not send what it holds would change digests.
var accept = strings.Join([]string{
	string(types.OCIImageIndex),
	string(types.OCIManifestSchema1),
	"application/vnd.oci.artifact.manifest.v1+json",
	string(types.DockerManifestList),
	string(types.DockerManifestSchema2),
	string(types.DockerManifestSchema1Signed),
	string(types.DockerManifestSchema1),
	"*/*",
}, ", ")

func (r *Registry) manifestCall(method, op, repo, ref string) *call {
	return &call{op: op, repo: repo, ref: ref, class: limit.Read, method: method,
		url: r.url(repo+"/manifests/"+ref, nil), scopes: pull(repo),
		header: http.Header{"Accept": {accept}}, good: []int{http.StatusOK}, trace: strings.ToLower(method) + " manifest"}
}

// Head resolves ref. Where the host's HEAD tells no digest the manifest is read
// instead, from then on at once.
func (r *Registry) Head(ctx context.Context, repo, ref string) (d v1.Descriptor, err error) {
	c := r.manifestCall(http.MethodHead, "resolve", repo, ref)
	if err := r.check(c.op, repo, ref); err != nil {
		return d, err
	}
	if r.digestless.Load() {
		return r.headByGet(ctx, repo, ref)
	}
	err = r.do(ctx, c, func(resp *http.Response) error {
		if err := r.webPage(c, resp); err != nil {
			return err
		}
		d = v1.Descriptor{MediaType: types.MediaType(mediaType(resp.Header)), Size: resp.ContentLength}
		d.Digest, _ = v1.NewHash(resp.Header.Get("Docker-Content-Digest"))
		return nil
	})
	switch {
	case err == nil && d.Digest.Hex == "" || providers.KindOf(err) == providers.Unsupported:
		r.digestless.Store(true)
		return r.headByGet(ctx, repo, ref)
	case err == nil && (d.Size < 0 || d.MediaType == ""):
		return r.headByGet(ctx, repo, ref)
	case err == nil && strings.Contains(ref, ":") && d.Digest.String() != ref:
		err = r.fail(c, providers.Invalid, fmt.Errorf("the host says that its digest is %s", d.Digest), "")
	}
	if err != nil {
		d = v1.Descriptor{}
	}
	return d, err
}

func (r *Registry) headByGet(ctx context.Context, repo, ref string) (v1.Descriptor, error) {
	m, err := r.Manifest(ctx, repo, ref)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return m.Descriptor(), nil
}

// Manifest reads a manifest and proves its digest.
func (r *Registry) Manifest(ctx context.Context, repo, ref string) (m providers.Manifest, err error) {
	c := r.manifestCall(http.MethodGet, "get manifest", repo, ref)
	if err := r.check(c.op, repo, ref); err != nil {
		return m, err
	}
	var header string
	err = r.do(ctx, c, func(resp *http.Response) error {
		if err := r.webPage(c, resp); err != nil {
			return err
		}
		header = resp.Header.Get("Docker-Content-Digest")
		m.MediaType = types.MediaType(mediaType(resp.Header))
		var err error
		m.Raw, err = readAll(resp.Body, providers.MaxManifest)
		return r.bodyError(c, err)
	})
	if err == nil {
		m.MediaType = guessType(m)
		m.Digest, err = r.prove(c, m, header)
	}
	if err != nil {
		return providers.Manifest{}, err
	}
	return m, nil
}

// bodyError is the error of reading an answer's body, nil if err is.
func (r *Registry) bodyError(c *call, err error) error {
	if err == errTooLong {
		return r.fail(c, providers.Invalid, err, hintHost)
	}
	return err
}

// guessType keeps the media type that the host says, and takes the manifest's
// own word where the host says nothing of use.
func guessType(m providers.Manifest) types.MediaType {
	switch m.MediaType {
	case "", "application/json", "text/plain", "application/octet-stream":
	default:
		return m.MediaType
	}
	var doc struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Signatures    json.RawMessage `json:"signatures"`
	}
	if json.Unmarshal(m.Raw, &doc) != nil {
		return m.MediaType
	}
	switch {
	case doc.MediaType != "":
		return doc.MediaType
	case doc.SchemaVersion == 1 && doc.Signatures != nil:
		return types.DockerManifestSchema1Signed
	case doc.SchemaVersion == 1:
		return types.DockerManifestSchema1
	case doc.Manifests != nil:
		return types.OCIImageIndex
	}
	return types.OCIManifestSchema1
}

// prove computes m's digest and compares it with what was asked for and with
// what the host says.
func (r *Registry) prove(c *call, m providers.Manifest, header string) (v1.Hash, error) {
	var want []string
	for _, s := range []string{c.ref, header} {
		if strings.Contains(s, ":") && !slices.Contains(want, s) {
			want = append(want, s)
		}
	}
	got := digests(m, want)
	for _, d := range got {
		if matchesAll(d, want) {
			return d, nil
		}
	}
	return v1.Hash{}, r.fail(c, providers.Invalid,
		fmt.Errorf("its bytes have the digest %s, not %s", got[0], sanitize(strings.Join(want, ", nor "))),
		"the registry, or something before it, changes or damages manifests")
}

// matchesAll compares d with digests of its own algorithm; a digest of another
// algorithm (a header in sha256 for a reference in sha512) says nothing of it.
func matchesAll(d v1.Hash, want []string) bool {
	for _, w := range want {
		if strings.HasPrefix(w, d.Algorithm+":") && w != d.String() {
			return false
		}
	}
	return true
}

// digests returns the digests that m's bytes may go by, the likeliest first.
func digests(m providers.Manifest, want []string) []v1.Hash {
	if len(want) > 0 && strings.HasPrefix(want[0], "sha512:") {
		sum := sha512.Sum512(m.Raw)
		return []v1.Hash{{Algorithm: "sha512", Hex: hex.EncodeToString(sum[:])}}
	}
	raw := sha(m.Raw)
	if m.MediaType != types.DockerManifestSchema1Signed {
		return []v1.Hash{raw}
	}
	if payload, ok := schema1Payload(m.Raw); ok {
		return []v1.Hash{sha(payload), raw}
	}
	return []v1.Hash{raw}
}

func sha(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// PutManifest writes m's bytes under ref (distribution-spec v1.1, "Pushing Manifests").
func (r *Registry) PutManifest(ctx context.Context, repo, ref string, m providers.Manifest, opts providers.PutOptions) (providers.Receipt, error) {
	c := r.manifestCall(http.MethodPut, opPutManifest, repo, ref)
	if err := r.check(c.op, repo, ref); err != nil {
		return providers.Receipt{}, err
	}
	if len(m.Raw) > providers.MaxManifest {
		return providers.Receipt{}, r.fail(c, providers.Invalid,
			fmt.Errorf("it is %d bytes, more than the %d that registries take", len(m.Raw), providers.MaxManifest), "")
	}
	c.class, c.scopes = limit.Write, push(repo)
	c.good = []int{http.StatusCreated, http.StatusOK, http.StatusAccepted, http.StatusNoContent}
	c.header = http.Header{"Content-Type": {string(m.MediaType)}}
	if opts.IfMatch.Hex != "" {
		c.header.Set("If-Match", `"`+opts.IfMatch.String()+`"`)
	}
	if opts.IfAbsent {
		c.header.Set("If-None-Match", "*")
	}
	c.content = func() *section { return newSection(bytes.NewReader(m.Raw), 0, int64(len(m.Raw))) }
	var receipt providers.Receipt
	err := r.do(ctx, c, func(resp *http.Response) error {
		receipt.Subject, _ = v1.NewHash(resp.Header.Get("OCI-Subject"))
		return r.sameDigest(c, resp, m)
	})
	return receipt, err
}

// sameDigest checks that the host took the bytes as they were sent.
func (r *Registry) sameDigest(c *call, resp *http.Response, m providers.Manifest) error {
	said := resp.Header.Get("Docker-Content-Digest")
	if said == "" || said == m.Digest.String() {
		return nil
	}
	for _, d := range digests(m, []string{said}) {
		if d.String() == said {
			return nil
		}
	}
	return r.fail(c, providers.Invalid, fmt.Errorf("the host stored it as %s, not as %s", sanitize(said), m.Digest),
		"the registry changes manifests; it cannot hold this one")
}
