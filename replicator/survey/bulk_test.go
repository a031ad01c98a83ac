package survey

import (
	"context"
	"iter"
	"net/http"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
)

// A telling registry lists subjects and what is archived too, as ECR does.
type telling struct {
	bulk
	archived map[v1.Hash]bool
}

func (r telling) Caps(ctx context.Context) (providers.Caps, error) {
	c, err := r.bulk.Caps(ctx)
	c.Subjects = true
	return c, err
}

func (r telling) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		for row, err := range r.bulk.Rows(ctx, repo) {
			if i, ok := r.server.Image(repo, row.Digest.String()); ok && i.Content.Subject != nil {
				row.Subject = i.Content.Subject.Digest
			}
			row.Archived = r.archived[row.Digest]
			if !yield(row, err) {
				return
			}
		}
	}
}

// Where the listing tells subjects, nothing is read to find out who refers to
// whom: tagged referrers are found too, untagged manifests are left alone, and what
// refers to an image from the archive is not missed.
func TestListingTellsSubjects(t *testing.T) {
	b := newBench(t)
	a := content.Image("a", []content.Blob{content.Layer("la", 100)})
	b.load(a, "v1")
	untagged, tagged, cold := content.Image("sbom", nil, content.Subject(a)), content.Image("sig", nil, content.Subject(a)), content.Image("cold", nil, content.Subject(a))
	b.load(untagged)
	b.load(tagged, "signature-of-v1")
	b.load(cold)
	b.load(content.Image("orphan", nil))
	b.clients["src"] = telling{bulk{b.clients["src"], b.servers["src"], b.now}, map[v1.Hash]bool{cold.Digest: true}}
	job := b.job(nil)
	for i := range job.Links {
		job.Links[i].Rule.Tags.Include = []string{"v*"}
	}
	p := plan.Diff(b.read(job).Facts[0])
	got := map[v1.Hash]bool{}
	for _, i := range p.Images {
		for _, r := range i.Referrers {
			got[r.Digest] = true
		}
	}
	if len(p.Images) != 1 || len(got) != 2 || !got[untagged.Digest] || !got[tagged.Digest] {
		t.Errorf("plan: %s", p)
	}
	if n := b.servers["src"].Counts(); n.Of(registrytest.ManifestGet) != 3 || n.Of(registrytest.Referrers, registrytest.ManifestHead) != 0 {
		t.Errorf("source:\n%s", n)
	}
}

// What a target lists is there, without a request for each manifest, also what it
// has in its archive and could not be asked for.
func TestListedAtTarget(t *testing.T) {
	b := newBench(t)
	child := content.Image("child", []content.Blob{content.Layer("l", 100)})
	ix := content.Index([]*content.Manifest{child})
	b.load(ix, "v1")
	if err := b.servers["one"].Load("app", ix, "v1"); err != nil {
		t.Fatal(err)
	}
	b.clients["one"] = telling{bulk{b.clients["one"], b.servers["one"], b.now}, map[v1.Hash]bool{ix.Digest: true, child.Digest: true}}
	b.servers["one"].Before(func(_ *http.Request, class registrytest.Class) *registrytest.Fault {
		if class == registrytest.ManifestHead || class == registrytest.ManifestGet {
			return &registrytest.Fault{Status: 403, Code: "DENIED", Message: "it is archived"}
		}
		return nil
	})
	res := b.read(b.job(nil))
	for _, f := range res.Facts {
		if f.Target.Place.Registry == "one" {
			if p := plan.Diff(f); len(p.Images) != 0 {
				t.Errorf("plan: %s", p)
			}
		}
	}
	if n := b.servers["one"].Counts(); n.Of(registrytest.ManifestHead, registrytest.ManifestGet) != 0 {
		t.Errorf("target:\n%s", n)
	}
}
