package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
)

// An entry is a referrer as a fallback index lists it (OCI distribution-spec
// v1.1, "Referrers Tag Schema"): with its artifact type and annotations.
type entry struct {
	MediaType    types.MediaType   `json:"mediaType"`
	Digest       v1.Hash           `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// An index is a fallback index. Entries and fields that we do not know are kept
// as they are.
type index struct {
	fields  map[string]json.RawMessage
	entries []json.RawMessage
	listed  []v1.Descriptor // by the entries
	has     map[v1.Hash]bool
}

func parseIndex(m providers.Manifest) (index, error) {
	c, err := providers.Parse(m)
	if err != nil {
		return index{}, err
	}
	ix := index{has: map[v1.Hash]bool{}, listed: c.Children}
	for _, d := range c.Children {
		ix.has[d.Digest] = true
	}
	if err := json.Unmarshal(m.Raw, &ix.fields); err != nil {
		return ix, err
	}
	if raw := ix.fields["manifests"]; raw != nil {
		err = json.Unmarshal(raw, &ix.entries)
	}
	return ix, err
}

func (ix index) lacks(add []entry) []entry {
	return slices.DeleteFunc(slices.Clone(add), func(e entry) bool { return ix.has[e.Digest] })
}

// without leaves some entries out.
func (ix index) without(dead map[v1.Hash]bool) index {
	if len(dead) == 0 || len(ix.entries) != len(ix.listed) {
		return ix
	}
	all := ix.entries
	ix.entries = nil
	for i, raw := range all {
		if !dead[ix.listed[i].Digest] {
			ix.entries = append(ix.entries, raw)
		}
	}
	return ix
}

func (ix index) with(add []entry) (providers.Manifest, error) {
	all := slices.Clone(ix.entries)
	for _, e := range add {
		raw, err := encode(e)
		if err != nil {
			return providers.Manifest{}, err
		}
		all = append(all, raw)
	}
	list, err := encode(all)
	if err != nil {
		return providers.Manifest{}, err
	}
	ix.fields["manifests"] = list
	raw, err := encode(ix.fields)
	digest, _, hashErr := v1.SHA256(bytes.NewReader(raw))
	return providers.Manifest{MediaType: types.OCIImageIndex, Digest: digest, Raw: raw}, errors.Join(err, hashErr)
}

// encode is json.Marshal without escapes for HTML, so that what others wrote stays
// as it is, and without a last newline.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
