package content

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
)

// Schema1Payload returns the bytes that a signed schema 1 manifest's digest is
// over: what was signed, rebuilt as its first signature's header says. A manifest
// without signatures is its own payload.
func Schema1Payload(raw []byte) ([]byte, error) {
	var doc struct {
		Signatures []struct {
			Protected string `json:"protected"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("schema 1 manifest: %w", err)
	}
	if len(doc.Signatures) == 0 {
		return raw, nil
	}
	header, err := base64.RawURLEncoding.DecodeString(doc.Signatures[0].Protected)
	if err != nil {
		return nil, fmt.Errorf("schema 1 signature: %w", err)
	}
	var format struct {
		Length int    `json:"formatLength"`
		Tail   string `json:"formatTail"`
	}
	if err := json.Unmarshal(header, &format); err != nil {
		return nil, fmt.Errorf("schema 1 signature: %w", err)
	}
	tail, err := base64.RawURLEncoding.DecodeString(format.Tail)
	if err != nil || format.Length < 0 || format.Length > len(raw) {
		return nil, fmt.Errorf("schema 1 signature: its header does not fit the manifest")
	}
	return append(append([]byte(nil), raw[:format.Length]...), tail...), nil
}

// Schema1 returns a Docker schema 1 manifest over these layers, signed in form:
// its signature verifies for nobody, as registries no longer look.
func Schema1(name, tag string, layers []Blob) *Manifest {
	type layer struct {
		BlobSum string `json:"blobSum"`
	}
	type history struct {
		V1 string `json:"v1Compatibility"`
	}
	doc := struct {
		SchemaVersion int       `json:"schemaVersion"`
		Name          string    `json:"name"`
		Tag           string    `json:"tag"`
		Architecture  string    `json:"architecture"`
		FSLayers      []layer   `json:"fsLayers"`
		History       []history `json:"history"`
	}{1, name, tag, "amd64", []layer{}, []history{}}
	for _, l := range layers {
		doc.FSLayers = append(doc.FSLayers, layer{l.Digest.String()})
		doc.History = append(doc.History, history{`{"id":"` + l.Digest.Hex + `"}`})
	}
	payload := encode(doc)
	return &Manifest{
		Manifest: providers.Manifest{MediaType: types.DockerManifestSchema1Signed, Digest: Hash(payload), Raw: signed(payload)},
		Blobs:    layers,
	}
}

// signed puts a signature into payload the way libtrust does: before the tail.
func signed(payload []byte) []byte {
	length, tail := len(payload)-2, "\n}"
	protected := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil,
		`{"formatLength":%d,"formatTail":%q,"time":"2016-01-01T00:00:00Z"}`, length, base64.RawURLEncoding.EncodeToString([]byte(tail))))
	signature := encode([]map[string]any{{"header": map[string]any{"alg": "ES256"}, "signature": "AAAA", "protected": protected}})
	out := append([]byte(nil), payload[:length]...)
	return fmt.Appendf(out, ",\n   \"signatures\": %s\n}", signature)
}
