package plan

import (
	"bytes"
	"encoding/json"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// rewrite returns the index raw with only those of its entries that kept names,
// and their digest: the same bytes each time. Fields it does not know stay.
// An entry whose kept descriptor has another digest is changed to it.
func rewrite(raw []byte, kept map[v1.Hash]v1.Descriptor) ([]byte, v1.Hash, error) {
	if raw == nil {
		return nil, v1.Hash{}, errors.New("its bytes were not kept")
	}
	var doc map[string]json.RawMessage
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, v1.Hash{}, err
	}
	if err := json.Unmarshal(doc["manifests"], &entries); err != nil {
		return nil, v1.Hash{}, err
	}
	out := []json.RawMessage{}
	for _, e := range entries {
		var d v1.Descriptor
		if err := json.Unmarshal(e, &d); err != nil {
			return nil, v1.Hash{}, err
		}
		now, ok := kept[d.Digest]
		if !ok {
			continue
		}
		e, err := redirect(e, d, now)
		if err != nil {
			return nil, v1.Hash{}, err
		}
		out = append(out, e)
	}
	list, err := encode(out)
	if err != nil {
		return nil, v1.Hash{}, err
	}
	doc["manifests"] = list
	b, err := encode(doc)
	if err != nil {
		return nil, v1.Hash{}, err
	}
	h, _, err := v1.SHA256(bytes.NewReader(b))
	return b, h, err
}

// redirect returns the entry with now's digest and size, if they are others.
func redirect(entry json.RawMessage, was, now v1.Descriptor) (json.RawMessage, error) {
	if was.Digest == now.Digest {
		return entry, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(entry, &fields); err != nil {
		return nil, err
	}
	var err error
	if fields["digest"], err = encode(now.Digest); err != nil {
		return nil, err
	}
	if fields["size"], err = encode(now.Size); err != nil {
		return nil, err
	}
	return encode(fields)
}

// encode is json.Marshal without escapes for HTML and without a last newline.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
