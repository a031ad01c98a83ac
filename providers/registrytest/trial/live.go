package trial

import (
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest/content"
)

// Live pushes a little to a repository of a live registry and reads it back: an index
// with one image, under the tag live, and a signature of it. They stay there.
func Live(t *testing.T, r providers.Registry, repo string) {
	t.Helper()
	who, err := r.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("as %s", who)
	if err := r.Ensure(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	image := content.Image("live", []content.Blob{content.Layer("live", 1000)})
	index := content.Index([]*content.Manifest{image})
	signature := content.Refer(index, "application/x.transship-test", "live")
	for _, part := range []*content.Manifest{image, signature, index} {
		ref := part.Digest.String()
		if part == index {
			ref = "live"
		}
		if err := Push(t, r, repo, ref, part); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.Referrers(t.Context(), repo, index.Digest)
	t.Logf("referrers: %d, %v", len(list), err)
	if err := r.TryPush(t.Context(), repo); err != nil {
		t.Errorf("try to push: %v", err)
	}
	rows, err := Collect(r.Rows(t.Context(), repo))
	found := false
	for _, row := range rows {
		found = found || len(row.Tags) == 1 && row.Tags[0] == "live" && (row.Digest == index.Digest || row.Digest.Hex == "")
	}
	if err != nil || !found {
		t.Errorf("rows %+v (%v)", rows, err)
	}
	_, err = r.Head(t.Context(), repo, "absent")
	if providers.KindOf(err) != providers.NotFound {
		t.Errorf("a tag that is not there: %v", err)
	}
}
