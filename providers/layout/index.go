package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
)

// refName is the annotation that holds a tag (image-spec v1.1, "Pre-Defined
// Annotation Keys").
const refName = "org.opencontainers.image.ref.name"

// maxIndex bounds index.json, in bytes.
const maxIndex = 64 << 20

var tagName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// An index is what index.json says. Fields that are not ours are kept.
type index struct {
	fields  map[string]json.RawMessage
	entries []v1.Descriptor
}

// parseIndex reads an index.json from anywhere.
func parseIndex(raw []byte) (*index, error) {
	ix := &index{}
	if err := json.Unmarshal(raw, &ix.fields); err != nil {
		return nil, fmt.Errorf("index.json is damaged: %w", err)
	}
	var version int
	if json.Unmarshal(ix.fields["schemaVersion"], &version) != nil || version != 2 {
		return nil, errors.New("index.json is damaged: its schemaVersion is not 2")
	}
	if list, ok := ix.fields["manifests"]; ok {
		if err := json.Unmarshal(list, &ix.entries); err != nil {
			return nil, fmt.Errorf("index.json is damaged: %w", err)
		}
	}
	for _, d := range ix.entries {
		if d.Digest.Hex == "" || d.Size < 0 {
			return nil, fmt.Errorf("index.json is damaged: it lists a manifest of digest %q and size %d", d.Digest, d.Size)
		}
	}
	return ix, nil
}

func (ix *index) bytes() ([]byte, error) {
	fields := maps.Clone(ix.fields)
	list, err := json.Marshal(ix.entries)
	if err != nil {
		return nil, err
	}
	fields["manifests"] = list
	return json.Marshal(fields)
}

func tagOf(d v1.Descriptor) string {
	if tag := d.Annotations[refName]; tagName.MatchString(tag) {
		return tag
	}
	return ""
}

// find returns the entry of a tag, the last one if there are several, or the
// first of a digest.
func (ix *index) find(ref string) (v1.Descriptor, bool) {
	for _, d := range ix.entries {
		if d.Digest.String() == ref {
			return d, true
		}
	}
	for _, d := range slices.Backward(ix.entries) {
		if tagOf(d) == ref {
			return d, true
		}
	}
	return v1.Descriptor{}, false
}

// with returns an index in which ref, a tag or d's digest, is d. A manifest that
// loses its last tag stays, by its digest.
func (ix *index) with(ref string, d v1.Descriptor) *index {
	next := &index{fields: ix.fields}
	var lost *v1.Descriptor
	kept := map[v1.Hash]bool{d.Digest: true}
	for _, old := range ix.entries {
		switch {
		case tagOf(old) == ref:
			lost = &old
			continue
		case old.Digest == d.Digest && tagOf(old) == "" && len(old.Annotations) == 0:
			continue // listed by digest, and now by tag, or again
		}
		kept[old.Digest] = true
		next.entries = append(next.entries, old)
	}
	if lost != nil && !kept[lost.Digest] {
		lost.Annotations = maps.Clone(lost.Annotations)
		delete(lost.Annotations, refName)
		next.entries = append(next.entries, *lost)
	}
	if tagName.MatchString(ref) {
		d.Annotations = map[string]string{refName: ref}
	} else if slices.ContainsFunc(next.entries, func(o v1.Descriptor) bool { return o.Digest == d.Digest }) {
		return next
	}
	next.entries = append(next.entries, d)
	return next
}

// read returns the present index. The caller holds p.mu.
func (p *repo) read() (*index, error) {
	f, info, err := p.open(p.path(indexFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	now := stamp{info.Size(), info.ModTime()}
	if p.index != nil && p.stamp == now {
		return p.index, nil
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxIndex+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxIndex {
		return nil, fmt.Errorf("index.json is damaged: it has more than %d bytes", maxIndex)
	}
	ix, err := parseIndex(raw)
	if err != nil {
		return nil, err
	}
	p.index, p.stamp = ix, now
	return ix, nil
}

// current returns the present index for op.
func (p *repo) current(ctx context.Context, op string) (*index, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ix, err := p.read()
	if err != nil {
		return nil, p.indexError(op, err)
	}
	return ix, nil
}

func (p *repo) indexError(op string, err error) error {
	kind := kindOf(err)
	if _, ok := errors.AsType[*fs.PathError](err); !ok {
		kind = providers.Invalid
	}
	if errors.Is(err, fs.ErrNotExist) {
		kind, err = providers.Invalid, errors.New("the layout has no index.json")
	}
	return p.r.fail(op, p.name, "", kind, cause(err), "mend or restore index.json; nothing was written")
}

// update changes index.json under the locks. change may refuse.
func (p *repo) update(op string, change func(*index) (*index, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	lock, err := p.lock()
	if err != nil {
		return p.r.fail(op, p.name, "", kindOf(err), cause(err), "")
	}
	defer lock.Close()
	p.index = nil // two states of one size within one tick of the clock
	old, err := p.read()
	if err != nil {
		return p.indexError(op, err)
	}
	next, err := change(old)
	if err != nil {
		return err
	}
	before, _ := old.bytes()
	raw, err := next.bytes()
	if err == nil && bytes.Equal(before, raw) {
		return nil
	}
	if err == nil {
		err = errors.Join(p.sync(blobsDir+"/sha256"), p.replace(indexFile, raw))
	}
	p.index = nil
	if err != nil {
		return p.r.fail(op, p.name, "", kindOf(err), cause(err), "")
	}
	return nil
}
