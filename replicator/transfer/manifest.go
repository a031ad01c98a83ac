package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/replicator/plan"
)

// putDigest puts n under its digest, once however many images want it at the
// same time. Listed is as for putNode.
func (w *work) putDigest(ctx context.Context, n plan.Node) (listed bool, err error) {
	h, at := w.to.host, spot{w.to.repo, n.Digest}
	for {
		f, lead := join(&h.mu, h.putting, at, w, func() bool { return h.holds(w, n.Digest) })
		if f == nil {
			break
		}
		if lead {
			listed, err := w.putNode(ctx, n, n.Digest.String())
			land(&h.mu, h.putting, at, f)
			return listed, err
		}
		// Mending may wait for other images, and a put may mend.
		waited, err := w.await(ctx, f.by, f.done)
		if err != nil {
			return false, err
		}
		if !waited {
			return w.putNode(ctx, n, n.Digest.String())
		}
	}
	w.have(n.Digest, n.Size)
	return n.Subject.Hex == "" || !h.unlisting(w.t.opts.Now()), nil
}

const lies = 3 // times that a manifest is put which the target says to have stored, and has not

// putNode puts n under ref, a tag or its digest, again if the target is seen not to
// have stored it. Listed is false if n has a subject and the target will not list it.
func (w *work) putNode(ctx context.Context, n plan.Node, ref string) (listed bool, err error) {
	m, err := w.manifest(ctx, n)
	if err == nil {
		err = w.refresh(ctx, n)
	}
	if err != nil {
		return false, err
	}
	for range lies {
		receipt, err := w.putWhole(ctx, n, m, ref)
		if err != nil {
			return false, w.refusedType(ctx, m, err)
		}
		listed, stored, err := w.listed(ctx, n, receipt)
		if err != nil {
			return false, err
		}
		if stored {
			w.arrived(n, ref)
			return listed, nil
		}
		w.t.opts.Progress.Retry(w.plan.Target, "the target says to have stored a manifest, and has not")
	}
	return false, onSide(Target, &providers.Error{Kind: providers.Unknown, Op: "put manifest", Ref: w.target().String() + "@" + n.Digest.String(),
		Hint: "look at the target's storage, or what stands in front of it; the next pass tries again",
		Err:  errors.New("it was said to be stored, and is not there")})
}

// putWhole is putRef, again if the target misses something that n names: what is
// believed to be there is looked at, and brought.
func (w *work) putWhole(ctx context.Context, n plan.Node, m providers.Manifest, ref string) (providers.Receipt, error) {
	receipt, err := w.putRef(ctx, ref, m)
	for try, lacked := 0, true; lacked && try < heals && mayLack(err); try++ {
		var healErr error
		if lacked, healErr = w.heal(ctx, n, m, try > 0); healErr != nil {
			return receipt, whyLooked(err, healErr)
		}
		if !lacked && providers.KindOf(err) != providers.Incomplete {
			break // it is invalid
		}
		w.t.opts.Progress.Retry(w.plan.Target, "the target misses something that a manifest names")
		receipt, err = w.putRef(ctx, ref, m)
	}
	if mayLack(err) {
		err = w.explained(ctx, n, m, err)
	}
	return receipt, err
}

// mayLack reports whether a target may have refused a manifest because it misses
// something that it names. Some call that invalid, without a word of what (zot).
func mayLack(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	return ok && (e.Kind == providers.Incomplete || e.Kind == providers.Invalid && e.Status > 0 && sideOf(err) == Target)
}

// whyLooked is err, which came of looking for what a target may miss, and of bringing
// that. Where the target was only suspected to miss it, and does not answer that
// either, its refusal is what there is to tell.
func whyLooked(refused, err error) error {
	if providers.KindOf(refused) == providers.Incomplete || sideOf(err) != Target {
		return err
	}
	return onSide(Target, fmt.Errorf("%w (looking for what it may miss: %v)", refused, err))
}

// putRef is one PUT. That the target has the very digest under a tag which cannot
// be moved is success.
func (w *work) putRef(ctx context.Context, ref string, m providers.Manifest) (providers.Receipt, error) {
	receipt, err := w.to.reg.PutManifest(ctx, w.to.repo, ref, m, providers.PutOptions{})
	if err == nil {
		w.manifests.Add(1)
		return receipt, nil
	}
	if providers.KindOf(err) != providers.Conflict {
		return receipt, onSide(Target, err)
	}
	there, headErr := w.to.reg.Head(ctx, w.to.repo, ref)
	switch {
	case headErr == nil && there.Digest == m.Digest:
		return providers.Receipt{Subject: subjectOf(m)}, nil
	case headErr == nil:
		hint := cmp.Or(providers.HintOf(err), "the tag is immutable or locked at the target: unlock it there") + "; or set onConflict: keep"
		err = hinted(fmt.Errorf("%w (it names %s)", err, there.Digest), hint)
	}
	return receipt, onSide(Target, err)
}

func subjectOf(m providers.Manifest) v1.Hash {
	if c, err := providers.Parse(m); err == nil && c.Subject != nil {
		return c.Subject.Digest
	}
	return v1.Hash{}
}

// arrived notes that the target holds n.
func (w *work) arrived(n plan.Node, ref string) {
	h := w.to.host
	h.mu.Lock()
	h.held[spot{w.to.repo, n.Digest}] = arrival{plan.Upload, w.t.opts.Now()}
	h.mu.Unlock()
	var names []v1.Hash
	for _, b := range n.Blobs {
		names = append(names, b.Digest)
	}
	h.named(w.to.repo, names)
	w.turns.named(w.to.repo, names)
	if ref != n.Digest.String() && n.Digest == w.img.Root.Digest {
		return // noted once for all tags
	}
	w.have(n.Digest, n.Size)
}

// manifest returns n's bytes: rewritten, kept by the survey, or from the source.
func (w *work) manifest(ctx context.Context, n plan.Node) (providers.Manifest, error) {
	m := providers.Manifest{MediaType: n.MediaType, Digest: n.Digest, Raw: n.Raw}
	if len(m.Raw) > 0 {
		return m, nil
	}
	if raw, ok := w.t.spool.Bytes(n.Digest, providers.MaxManifest); ok {
		m.Raw = raw
		return m, nil
	}
	read, err := w.from.Manifest(ctx, w.img.From.Repo, n.Digest.String())
	if err != nil {
		return m, onSide(Source, gone(err))
	}
	if read.Digest != n.Digest {
		return m, onSide(Source, &providers.Error{Kind: providers.Invalid, Op: "read manifest",
			Ref: ref(w.from.Host(), w.img.From.Repo, n.Digest), Err: fmt.Errorf("got %s", read.Digest)})
	}
	w.t.Keep(read)
	m.Raw = read.Raw
	return m, nil
}

const heals = 4 // times that a manifest is made good

// heal brings what the target misses of n, trusting nothing that is remembered.
// It reports whether something was missing: then there is a point in healing once
// more, as a host may say that it mounted a blob and not do it, for this image or,
// at the same time, for another. Again believes no mount.
func (w *work) heal(ctx context.Context, n plan.Node, m providers.Manifest, again bool) (lacked bool, err error) {
	if n, err = w.expand(n, m); err != nil {
		return false, err
	}
	w.to.host.suspect(w.to.repo, n.Blobs)
	doubted := make([]v1.Hash, 0, len(n.Blobs)+len(n.Children))
	for _, b := range n.Blobs {
		doubted = append(doubted, b.Digest)
	}
	for _, c := range n.Children {
		doubted = append(doubted, c.Digest)
	}
	w.to.host.forget(ctx, w.t, w.to.repo, doubted...)
	for _, b := range n.Blobs {
		if b.Have == plan.Foreign {
			continue
		}
		missing, err := w.healBlob(ctx, b, again)
		if err != nil {
			return false, err
		}
		lacked = lacked || missing
	}
	for _, c := range n.Children {
		missing, err := w.healChild(ctx, c)
		if err != nil {
			return false, err
		}
		lacked = lacked || missing
	}
	return lacked, nil
}

// expand fills in what the plan left out because it was thought to be there.
func (w *work) expand(n plan.Node, m providers.Manifest) (plan.Node, error) {
	c, err := providers.Parse(m)
	if err != nil {
		return n, onSide(Source, err)
	}
	if len(n.Blobs) == 0 {
		for _, d := range c.Blobs() {
			b := plan.Blob{Descriptor: d, Have: plan.Upload}
			if providers.Foreign(d) {
				b.Have = plan.Foreign
			}
			n.Blobs = append(n.Blobs, b)
		}
	}
	if len(n.Children) == 0 {
		for _, d := range c.Children {
			n.Children = append(n.Children, plan.Node{Descriptor: d})
		}
	}
	return n, nil
}

// healBlob brings b if it is really missing; if it is so after a mount that was
// said to have worked, or again, by an upload.
func (w *work) healBlob(ctx context.Context, b plan.Blob, again bool) (missing bool, err error) {
	_, err = w.to.reg.Stat(ctx, w.to.repo, b.Digest)
	switch {
	case err == nil:
		w.to.host.landed(w, b.Digest, plan.Here)
		w.have(b.Digest, b.Size) // which was forgotten
		return false, nil
	case providers.KindOf(err) != providers.NotFound:
		return false, onSide(Target, err)
	}
	if again {
		w.to.host.distrust(spot{w.to.repo, b.Digest})
	}
	b.Have = plan.Upload
	return true, w.place(ctx, b)
}

// healChild brings c, with all below it, if it is really missing.
func (w *work) healChild(ctx context.Context, c plan.Node) (missing bool, err error) {
	_, err = w.to.reg.Head(ctx, w.to.repo, c.Digest.String())
	switch {
	case err == nil:
		w.have(c.Digest, c.Size)
		return false, nil
	case providers.KindOf(err) != providers.NotFound:
		return false, onSide(Target, err)
	}
	return true, w.bringNode(ctx, c)
}

// bringNode brings a manifest that is missing, and what is missing below it.
func (w *work) bringNode(ctx context.Context, n plan.Node) error {
	m, err := w.manifest(ctx, n)
	if err != nil {
		return err
	}
	if n, err = w.expand(n, m); err != nil {
		return err
	}
	n.Here = false
	var all []plan.Blob
	collect(plan.Node{Blobs: n.Blobs}, map[v1.Hash]bool{}, &all)
	if err := w.blobs(ctx, all); err != nil {
		return err
	}
	for _, below := range n.Children {
		if _, err := w.healChild(ctx, below); err != nil {
			return err
		}
	}
	_, err = w.putDigest(ctx, n)
	return err
}

// explained is a last refusal, with what to do where something was left out on
// purpose: children of an index, or the bytes of foreign layers. Where the target
// says what it misses, that is learned; where it does not, a hint of its own stays.
func (w *work) explained(ctx context.Context, n plan.Node, m providers.Manifest, err error) error {
	says := providers.KindOf(err) == providers.Incomplete
	c, parseErr := providers.Parse(m)
	sparse := len(n.Children) > 0 && len(n.Children) < len(c.Children)
	switch {
	case parseErr != nil || !says && providers.HintOf(err) != "":
		return err
	case sparse && says:
		w.to.host.tell(ctx, w.t, providers.CapSparse, false)
		return onSide(Target, hinted(err, "the target takes no index whose children are missing: use platforms.mode: rewrite"))
	case sparse:
		return onSide(Target, hinted(err, "the target may take no index whose children are missing: try platforms.mode: rewrite"))
	case slices.ContainsFunc(n.Blobs, func(b plan.Blob) bool { return b.Have == plan.Foreign }):
		return onSide(Target, hinted(err, "the target may want the bytes of foreign layers too: try foreignLayers: copy in the rule"))
	}
	return err
}

// refusedType learns from a refusal that the target takes no Docker schema 1, if
// that is what it refused.
func (w *work) refusedType(ctx context.Context, m providers.Manifest, err error) error {
	kind := providers.KindOf(err)
	if !providers.IsSchema1(m.MediaType) || sideOf(err) != Target || kind != providers.Unsupported && kind != providers.Invalid {
		return err
	}
	w.to.host.tell(ctx, w.t, providers.CapSchema1, false)
	return onSide(Target, hinted(err, "the target takes no Docker schema 1 manifests: rebuild or pull and push the image at the source"))
}
