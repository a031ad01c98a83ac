package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// Artifact types of what refers to images here.
const (
	sbomType      = "application/spdx+json"
	signatureType = "application/vnd.dev.cosign.artifact.sig.v1+json"
)

// A signer signs as cosign does, with a key that is everybody's: signatures have
// to travel here, not to be trusted.
type signer struct{ key ed25519.PrivateKey }

func newSigner() signer {
	seed := sha256.Sum256([]byte("transship-demo"))
	return signer{ed25519.NewKeyFromSeed(seed[:])}
}

// payload is cosign's "simple signing" statement about m in repo, and its signature.
func (s signer) payload(repo string, m *content.Manifest) (content.Blob, string, error) {
	raw, err := json.Marshal(map[string]any{
		"critical": map[string]any{
			"identity": map[string]string{"docker-reference": repo},
			"image":    map[string]string{"docker-manifest-digest": m.Digest.String()},
			"type":     "cosign container image signature",
		},
		"optional": nil,
	})
	if err != nil {
		return content.Blob{}, "", fmt.Errorf("signature: %w", err)
	}
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(s.key, raw))
	return content.Bytes(content.Signature, raw), signature, nil
}

const signatureKey = "dev.cosignproject.cosign/signature"

// tagged returns m's signature in cosign's older way, under the tag that it returns.
func (s signer) tagged(repo string, m *content.Manifest) (tag string, sig *content.Manifest, err error) {
	payload, signature, err := s.payload(repo, m)
	if err != nil {
		return "", nil, err
	}
	sig = content.Image("signature of "+m.Digest.String(), []content.Blob{payload}, content.Annotate(signatureKey, signature))
	return providers.FallbackTag(m.Digest) + ".sig", sig, nil
}

// attach signs m in the OCI 1.1 way: the signature refers to m.
func (s signer) attach(repo string, m *content.Manifest) error {
	payload, signature, err := s.payload(repo, m)
	if err != nil {
		return err
	}
	refer(m, signatureType, payload, content.Annotate(signatureKey, signature))
	return nil
}

// refer adds a referrer of one blob to m, and returns it.
func refer(m *content.Manifest, artifactType string, blob content.Blob, opts ...content.Option) *content.Manifest {
	r := content.Artifact(artifactType, []content.Blob{blob}, append(opts, content.Subject(m))...)
	m.Referrers = append(m.Referrers, r)
	return r
}

// sbom attaches the list of the files in these layers to m, in the form of SPDX
// 2.3, and signs it: a referrer with a referrer of its own.
func (s studio) sbom(repo string, m *content.Manifest, layers ...string) error {
	type file struct {
		Name string `json:"fileName"`
		ID   string `json:"SPDXID"`
	}
	var files []file
	for _, name := range layers {
		for _, path := range s.layers[name].files {
			files = append(files, file{path, fmt.Sprintf("SPDXRef-%d", len(files))})
		}
	}
	raw, err := json.Marshal(map[string]any{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
		"name": repo, "documentNamespace": "https://transship.example/" + m.Digest.Hex,
		"creationInfo": map[string]any{"created": "1970-01-01T00:00:00Z", "creators": []string{"Tool: transship-demo"}},
		"files":        files,
	})
	if err != nil {
		return fmt.Errorf("sbom: %w", err)
	}
	list := refer(m, sbomType, content.Bytes(types.MediaType(sbomType), raw))
	return s.signer.attach(repo, list)
}
