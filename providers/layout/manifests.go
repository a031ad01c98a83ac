package layout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
)

// errNoManifest is the cause where a blob is there and is no manifest.
var errNoManifest = errors.New("it is a blob and no manifest")

// Head resolves ref.
func (r *Registry) Head(ctx context.Context, name, ref string) (v1.Descriptor, error) {
	m, err := r.get(ctx, "resolve", name, ref)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return m.Descriptor(), nil
}

// Manifest reads a manifest and proves its digest.
func (r *Registry) Manifest(ctx context.Context, name, ref string) (providers.Manifest, error) {
	return r.get(ctx, "get manifest", name, ref)
}

func (r *Registry) get(ctx context.Context, op, name, ref string) (providers.Manifest, error) {
	p, err := r.existing(ctx, op, name)
	if err != nil {
		return providers.Manifest{}, err
	}
	ix, err := p.current(ctx, op)
	if err != nil {
		return providers.Manifest{}, err
	}
	d, found := ix.find(ref)
	if !found {
		if d.Digest, err = v1.NewHash(ref); err != nil {
			return providers.Manifest{}, r.fail(op, name, ref, providers.NotFound, errors.New("no such tag"), "")
		}
		d.Size = -1 // a child that index.json does not list
	}
	return p.manifest(op, d)
}

// manifest reads the manifest of d, whose media type and size may be unknown.
func (p *repo) manifest(op string, d v1.Descriptor) (providers.Manifest, error) {
	fail := func(kind providers.Kind, err error, hint string) (providers.Manifest, error) {
		return providers.Manifest{}, p.r.fail(op, p.name, d.Digest.String(), kind, err, hint)
	}
	f, info, err := p.open(p.blob(d.Digest))
	if err != nil {
		return fail(kindOf(err), cause(err), "")
	}
	defer f.Close()
	if info.Size() > providers.MaxManifest {
		if d.MediaType == "" {
			return fail(providers.NotFound, errNoManifest, "")
		}
		return fail(providers.Invalid, fmt.Errorf("it is %d bytes, more than the %d that registries take", info.Size(), providers.MaxManifest), "")
	}
	raw, err := io.ReadAll(io.LimitReader(f, providers.MaxManifest))
	if err != nil {
		return fail(kindOf(err), cause(err), "")
	}
	if got := sha(raw); d.Digest.Algorithm == "sha256" && got != d.Digest {
		return fail(providers.Invalid, fmt.Errorf("its bytes have the digest %s", got), "restore the file from where the layout came from")
	}
	m := providers.Manifest{MediaType: d.MediaType, Digest: d.Digest, Raw: raw}
	if m.MediaType == "" {
		m.MediaType = guessType(raw)
	}
	if m.MediaType == "" {
		return fail(providers.NotFound, errNoManifest, "")
	}
	return m, nil
}

// guessType returns the media type of a manifest that nothing describes, "" for
// bytes that are no manifest.
func guessType(raw []byte) types.MediaType {
	var doc struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Config        json.RawMessage `json:"config"`
	}
	if json.Unmarshal(raw, &doc) != nil || doc.SchemaVersion != 2 {
		return ""
	}
	switch {
	case doc.MediaType != "":
		return doc.MediaType
	case doc.Manifests != nil:
		return types.OCIImageIndex
	case doc.Config != nil:
		return types.OCIManifestSchema1
	}
	return ""
}

func sha(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// PutManifest writes m and lists it in index.json, under ref.
func (r *Registry) PutManifest(ctx context.Context, name, ref string, m providers.Manifest, opts providers.PutOptions) (providers.Receipt, error) {
	const op = "put manifest"
	p, err := r.ensured(ctx, op, name)
	if err != nil {
		return providers.Receipt{}, err
	}
	content, err := p.acceptable(op, ref, m)
	if err != nil {
		return providers.Receipt{}, err
	}
	if err := p.write(ctx, op, m.Descriptor(), bytes.NewReader(m.Raw)); err != nil {
		return providers.Receipt{}, err
	}
	err = p.update(op, func(ix *index) (*index, error) {
		old, found := ix.find(ref)
		if found && opts.IfAbsent {
			return nil, r.fail(op, name, ref, providers.Conflict, errors.New("the tag is there"), "")
		}
		if opts.IfMatch.Hex != "" && (!found || old.Digest != opts.IfMatch) {
			return nil, r.fail(op, name, ref, providers.Conflict, fmt.Errorf("the tag no longer has the digest %s", opts.IfMatch), "")
		}
		return ix.with(ref, m.Descriptor()), nil
	})
	receipt := providers.Receipt{}
	if err == nil && content.Subject != nil {
		receipt.Subject = content.Subject.Digest
	}
	return receipt, err
}

// acceptable refuses manifests that a strict registry refuses.
func (p *repo) acceptable(op, ref string, m providers.Manifest) (providers.Content, error) {
	fail := func(kind providers.Kind, format string, args ...any) error {
		return p.r.fail(op, p.name, ref, kind, fmt.Errorf(format, args...), "")
	}
	if providers.IsSchema1(m.MediaType) {
		return providers.Content{}, fail(providers.Unsupported, "an image layout holds no Docker schema 1 manifests")
	}
	if m.MediaType == "" {
		return providers.Content{}, fail(providers.Invalid, "it has no media type")
	}
	if got := sha(m.Raw); got != m.Digest || strings.Contains(ref, ":") && ref != m.Digest.String() {
		return providers.Content{}, fail(providers.Invalid, "its bytes have the digest %s, not %s", got, m.Digest)
	}
	if !strings.Contains(ref, ":") && !tagName.MatchString(ref) {
		return providers.Content{}, fail(providers.Invalid, "%.200q is neither a tag nor a digest", ref)
	}
	c, err := providers.Parse(m)
	if err != nil {
		return c, err
	}
	for _, d := range append(c.Blobs(), c.Children...) {
		if providers.Foreign(d) {
			continue
		}
		if _, err := p.r.root.Stat(p.blob(d.Digest)); err != nil {
			return c, fail(providers.Incomplete, "it names %s, which is not there", d.Digest)
		}
	}
	return c, nil
}
