package transfer

import (
	"strings"
	"testing"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

// A fallback index at the target lists what is not there any more, and the target
// takes no index that does: what the source still has is brought, the rest is left
// out, and what is new is added.
func TestFallbackIndexListsWhatIsGone(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) })
	subject := simple("app", 5000)
	ours := content.Refer(subject, "application/x.sbom", "ours")
	pruned := content.Refer(subject, "application/x.sbom", "pruned at the target")
	gone := content.Refer(subject, "application/x.sig", "gone everywhere")
	tag, index := content.Fallback(subject, pruned, gone)
	subject.Referrers = []*content.Manifest{pruned}
	if err := w.source.Load("app", subject); err != nil {
		t.Fatal(err)
	}
	subject.Referrers = []*content.Manifest{ours}
	plans := w.load(one("app", "v1", subject))
	if err := w.targets[0].LoadManifest("app", index.Manifest, tag); err != nil {
		t.Fatal(err)
	}
	w.mustAll(w.run(plans))
	w.verify(plans)
	if err := w.targets[0].Verify("app", tag); err != nil {
		t.Error(err)
	}
	m, _ := w.targets[0].Resolve("app", tag)
	for r, want := range map[*content.Manifest]int{ours: 1, pruned: 1, gone: 0} {
		if n := strings.Count(string(m.Raw), r.Digest.String()); n != want {
			t.Errorf("%s is listed %d times, want %d", r.Digest, n, want)
		}
	}
	if n := w.targets[0].Counts().Of(registrytest.ManifestPut); n > 6 {
		t.Errorf("%d manifests were put", n)
	}
}

// State says that a referrer is at the target, and it is not: it is brought before
// the index that is to list it.
func TestListedReferrerIsBrought(t *testing.T) {
	w := newWorld(t, 1, func(w *world) { w.targets[0].Set(func(q *registrytest.Quirks) { q.NoReferrers = true }) })
	subject := simple("app", 5000)
	sbom := content.Refer(subject, "application/x.sbom", "sbom")
	plans := w.load(one("app", "v1", subject))
	n := &plans[0].Images[0].Referrers[0]
	n.Here, n.Fallback = true, true
	w.mustAll(w.run(plans))
	w.verify(plans)
	if _, ok := w.targets[0].Resolve("app", sbom.Digest.String()); !ok {
		t.Error("the referrer is not there")
	}
}
