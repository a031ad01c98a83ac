package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
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

// fallbacks are the entries to merge, by subject, in order.
type fallbacks struct {
	subjects []v1.Hash
	of       map[v1.Hash][]entry
}

// list notes n for its subject's fallback index, unless it says itself that it
// refers to something else.
func (w *work) list(ctx context.Context, n plan.Node, lists *fallbacks) error {
	m, err := w.manifest(ctx, n)
	if err != nil {
		return err
	}
	c, err := providers.Parse(m)
	if err != nil {
		return onSide(Source, err)
	}
	if c.Subject != nil && c.Subject.Digest != n.Subject {
		return nil
	}
	if lists.of == nil {
		lists.of = map[v1.Hash][]entry{}
	}
	if lists.of[n.Subject] == nil {
		lists.subjects = append(lists.subjects, n.Subject)
	}
	lists.of[n.Subject] = append(lists.of[n.Subject], entry{
		MediaType: n.MediaType, Digest: n.Digest, Size: int64(len(m.Raw)),
		ArtifactType: c.ArtifactType, Annotations: c.Annotations})
	return nil
}

// relist notes a referrer that the target holds and does not list for its
// subject's fallback index.
func (w *work) relist(ctx context.Context, n plan.Node, lists *fallbacks) error {
	if !n.Fallback || n.Subject.Hex == "" {
		return nil
	}
	return w.list(ctx, n, lists)
}

func (w *work) mergeAll(ctx context.Context, lists fallbacks) error {
	for _, subject := range lists.subjects {
		if err := w.merge(ctx, subject, lists.of[subject]); err != nil {
			return err
		}
	}
	return nil
}

// merge adds entries to subject's fallback index, one image at a time, unless the
// other waits for this one: a merge brings what is missing, and may wait for that.
func (w *work) merge(ctx context.Context, subject v1.Hash, add []entry) error {
	h, at := w.to.host, spot{w.to.repo, subject}
	for {
		f, lead := join(&h.mu, h.merging, at, w, func() bool { return false })
		if lead {
			defer land(&h.mu, h.merging, at, f)
			return onSide(Target, w.mergeLocked(ctx, subject, add))
		}
		waited, err := w.await(ctx, f.by, f.done)
		if err != nil {
			return err
		}
		if !waited {
			return onSide(Target, w.mergeLocked(ctx, subject, add))
		}
	}
}

const merges = 5 // tries against others who write the same index

// mergeLocked reads, adds, writes if nobody wrote meanwhile (as far as the host
// can tell), and reads back: another writer may have been faster. An entry that the
// target lacks, and refuses the index for, is brought, or left out if the source
// lacks it too.
func (w *work) mergeLocked(ctx context.Context, subject v1.Hash, add []entry) error {
	tag := providers.FallbackTag(subject)
	if keeps, err := w.keepsFallback(ctx, add[0].Digest); err != nil || !keeps {
		return err
	}
	var dead map[v1.Hash]bool
	for range merges {
		index, was, err := w.fallback(ctx, tag)
		if err != nil {
			return err
		}
		missing := index.lacks(add)
		if len(missing) == 0 {
			return nil
		}
		m, err := index.without(dead).with(missing)
		if err == nil && len(m.Raw) > providers.MaxManifest {
			err = w.badFallback(tag, fmt.Errorf("with %d more entries it is larger than the %d bytes that registries take", len(missing), providers.MaxManifest),
				"delete old referrers of this image at the target, and their entries in this index")
		}
		if err != nil {
			return err
		}
		_, err = w.to.reg.PutManifest(ctx, w.to.repo, tag, m, providers.PutOptions{IfMatch: was, IfAbsent: was.Hex == ""})
		switch {
		case err == nil:
			w.manifests.Add(1)
		case providers.KindOf(err) == providers.Incomplete && dead == nil:
			if dead, err = w.healListed(ctx, tag, index, add); err != nil {
				return err
			}
		case providers.KindOf(err) != providers.Conflict:
			return err
		}
	}
	index, _, err := w.fallback(ctx, tag)
	if err != nil || len(index.lacks(add)) == 0 {
		return err
	}
	return &providers.Error{Kind: providers.Conflict, Op: "merge referrers", Ref: w.target().String() + ":" + tag,
		Hint: "something else keeps writing this tag; the next pass tries again", Err: errors.New("another writer was faster each time")}
}

// keepsFallback reports whether the host keeps what is put under a fallback tag.
// It is tried once, with the tag of a manifest that is there: GitLab takes it for
// the manifest itself, and would answer so to everybody who looks for the index.
func (w *work) keepsFallback(ctx context.Context, there v1.Hash) (bool, error) {
	if c := w.to.caps.Fallback; c != providers.Maybe {
		return c == providers.Yes, nil
	}
	if keeps, told := w.to.host.lesson(providers.CapFallback, w.t.opts.Now()); told {
		return keeps, nil
	}
	d, err := w.to.reg.Head(ctx, w.to.repo, providers.FallbackTag(there))
	if err != nil && providers.KindOf(err) != providers.NotFound {
		return false, err
	}
	keeps := err != nil || d.Digest != there
	w.to.host.tell(ctx, w.t, providers.CapFallback, keeps)
	if !keeps {
		w.t.opts.Logger.Warn("referrers that are brought cannot be found: the host has no referrers API, and takes a fallback tag for the digest in it",
			"host", w.to.host.name, "repo", w.to.repo)
	}
	return keeps, nil
}

// healListed brings what the target lacks of an index and of what is to be added to
// it, and returns those entries of the index that the source lacks too.
func (w *work) healListed(ctx context.Context, tag string, ix index, add []entry) (dead map[v1.Hash]bool, err error) {
	dead = map[v1.Hash]bool{}
	for _, e := range add {
		if _, err := w.healEntry(ctx, v1.Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size}); err != nil {
			return dead, err
		}
	}
	for _, d := range ix.listed {
		brought, err := w.healEntry(ctx, d)
		switch {
		case err != nil && sideOf(err) == Source && providers.KindOf(err) == providers.NotFound:
			dead[d.Digest] = true
			w.t.opts.Logger.Warn("a fallback index lists what is not there any more; the entry is left out",
				"host", w.to.host.name, "repo", w.to.repo, "tag", tag, "digest", d.Digest.String())
		case err != nil:
			return dead, err
		case brought:
			w.t.opts.Progress.Retry(w.plan.Target, "the target misses something that a fallback index names")
		}
	}
	return dead, nil
}

// healEntry brings a manifest that the target lacks.
func (w *work) healEntry(ctx context.Context, d v1.Descriptor) (brought bool, err error) {
	_, err = w.to.reg.Head(ctx, w.to.repo, d.Digest.String())
	if providers.KindOf(err) != providers.NotFound {
		return false, onSide(Target, err)
	}
	w.to.host.forget(ctx, w.t, w.to.repo, d.Digest)
	return true, w.healChild(ctx, plan.Node{Descriptor: d})
}

// An index is a fallback index. Entries and fields that we do not know are kept
// as they are.
type index struct {
	fields  map[string]json.RawMessage
	entries []json.RawMessage
	listed  []v1.Descriptor // by the entries
	has     map[v1.Hash]bool
}

// fallback reads the index under tag and its digest; one that does not exist is empty.
func (w *work) fallback(ctx context.Context, tag string) (index, v1.Hash, error) {
	empty := index{has: map[v1.Hash]bool{}, fields: map[string]json.RawMessage{
		"schemaVersion": json.RawMessage("2"), "mediaType": json.RawMessage(`"` + types.OCIImageIndex + `"`)}}
	m, err := w.to.reg.Manifest(ctx, w.to.repo, tag)
	if providers.KindOf(err) == providers.NotFound {
		return empty, v1.Hash{}, nil
	}
	if err != nil {
		return empty, v1.Hash{}, err
	}
	if m.MediaType != types.OCIImageIndex {
		return empty, m.Digest, w.badFallback(tag, fmt.Errorf("it is %s, no image index", m.MediaType),
			"the tag is reserved for referrers: move it at the target")
	}
	ix, err := parseIndex(m)
	if err != nil {
		err = w.badFallback(tag, err, "the tag is reserved for an index of referrers: repair it, or delete it at the target")
	}
	return ix, m.Digest, err
}

// badFallback is the error of a fallback index that cannot be added to, and is
// left as it is.
func (w *work) badFallback(tag string, err error, hint string) error {
	return &providers.Error{Kind: providers.Invalid, Op: "merge referrers", Ref: w.target().String() + ":" + tag, Hint: hint, Err: err}
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
