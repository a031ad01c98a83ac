package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// fallbacks are the entries to merge, by subject, in order.
type fallbacks struct {
	subjects []v1.Hash
	of       map[v1.Hash][]entry
}

// list notes n for its subject's fallback index, unless it says itself that it
// refers to something else, or to nothing while only the referrers API said more.
func (w *work) list(ctx context.Context, n plan.Node, lists *fallbacks) error {
	m, err := w.manifest(ctx, n)
	if err != nil {
		return err
	}
	c, err := providers.Parse(m)
	if err != nil {
		return onSide(Source, err)
	}
	if c.Subject == nil && !n.Indexed || c.Subject != nil && c.Subject.Digest != n.Subject {
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

// A merging is what is known while entries are added to a fallback index.
type merging struct {
	subject v1.Hash
	tag     string
	add     []entry
	dead    map[v1.Hash]bool // entries of the index that the source lacks too; nil until looked for
	refused v1.Hash          // the index that was last refused to be replaced
	times   int              // in a row
}

// mergeLocked reads, adds, writes if nobody wrote meanwhile (as far as the host
// can tell), and reads back: another writer may have been faster. An entry that the
// target lacks, and refuses the index for, is brought, or left out if the source
// lacks it too.
func (w *work) mergeLocked(ctx context.Context, subject v1.Hash, add []entry) error {
	if keeps, err := w.keepsFallback(ctx, add[0].Digest); err != nil || !keeps {
		return err
	}
	m := &merging{subject: subject, tag: providers.FallbackTag(subject), add: add}
	for range merges {
		if done, err := w.mergeOnce(ctx, m); done || err != nil {
			return err
		}
	}
	index, _, err := w.fallback(ctx, m.tag)
	if err != nil || len(index.lacks(add)) == 0 {
		return err
	}
	return &providers.Error{Kind: providers.Conflict, Op: "merge referrers", Ref: w.target().String() + ":" + m.tag,
		Hint: "something else keeps writing this tag; the next pass tries again", Err: errors.New("another writer was faster each time")}
}

// mergeOnce reads the index and writes it with what it lacks. Done is true if it
// lacks nothing.
func (w *work) mergeOnce(ctx context.Context, m *merging) (done bool, err error) {
	index, was, err := w.fallback(ctx, m.tag)
	if err != nil {
		return false, err
	}
	missing := index.lacks(m.add)
	if len(missing) == 0 {
		return true, nil
	}
	if m.fixed(was) {
		return true, w.fixedIndex(ctx, m, missing)
	}
	list, err := index.without(m.dead).with(missing)
	if err == nil && len(list.Raw) > providers.MaxManifest {
		err = w.badFallback(m.tag, fmt.Errorf("with %d more entries it is larger than the %d bytes that registries take", len(missing), providers.MaxManifest),
			"delete old referrers of this image at the target, and their entries in this index")
	}
	if err != nil {
		return false, err
	}
	_, err = w.to.reg.PutManifest(ctx, w.to.repo, m.tag, list, providers.PutOptions{IfMatch: was, IfAbsent: was.Hex == ""})
	switch {
	case err == nil:
		w.manifests.Add(1)
	case mayLack(onSide(Target, err)) && m.dead == nil:
		m.dead, err = w.healListed(ctx, m.tag, index, m.add)
		return false, err
	case providers.KindOf(err) == providers.Conflict:
		m.conflict(was)
	default:
		return false, err
	}
	return false, nil
}

// conflict notes that the index was refused to be replaced.
func (m *merging) conflict(was v1.Hash) {
	if was != m.refused {
		m.refused, m.times = was, 0
	}
	m.times++
}

// fixed reports whether the index was refused to be replaced again and again, and
// nobody else did it: its tag does not move.
func (m *merging) fixed(was v1.Hash) bool {
	return was.Hex != "" && was == m.refused && m.times > 1
}

// fixedIndex is the end of a merge into an index whose tag does not move: that is
// no harm where the target lists all by its referrers API. Otherwise it is told
// when all else is done: an image is no worse for what clients cannot find.
func (w *work) fixedIndex(ctx context.Context, m *merging, missing []entry) error {
	list, err := w.to.reg.Referrers(ctx, w.to.repo, m.subject)
	if kind := providers.KindOf(err); err != nil && kind != providers.Unsupported && kind != providers.NotFound {
		return err
	}
	listed := index{has: map[v1.Hash]bool{}}
	for _, d := range list {
		listed.has[d.Digest] = true
	}
	if missing = listed.lacks(missing); len(missing) == 0 {
		w.to.host.tell(ctx, w.t, providers.CapReferrers, true)
		return nil
	}
	if w.unlisted == nil {
		w.unlisted = onSide(Target, &providers.Error{Kind: providers.Conflict, Op: "merge referrers", Ref: w.target().String() + ":" + m.tag,
			Hint: "let tags that begin with sha256- move at the target, or delete this one there; then run transship check, and sync",
			Err:  fmt.Errorf("the tag is immutable or locked: of what is brought, clients cannot find %d referrers", len(missing))})
	}
	return nil
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
	return true, w.bringNode(ctx, plan.Node{Descriptor: d})
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
