package layout

import (
	"flag"
	"io"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

var update = flag.Bool("update", false, "write the provider's row of docs/providers.md")

// TestMatrix proves each cell of the row of image layouts on disk.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "layout", Update: *update,
		Source:    registrytest.Cell{Says: "a folder of image layouts, others' too; damage is told", Test: source},
		Target:    registrytest.Cell{Says: "each blob is hashed as it is written; many writers at once lose nothing", Test: target},
		Bulk:      registrytest.Cell{Says: "every digest with its tags, by reading one file", Test: bulk},
		Creation:  registrytest.Cell{Says: "folders are made by the push; a source that is misspelt is not", Test: TestOpen},
		Referrers: registrytest.Cell{Says: "listed, from the layout's own index", Test: TestIndexWithReferrersSurvivesReopening},
		Mount:     registrytest.Cell{Says: "a link to the same file", Test: TestMountLinks},
		Conflict:  registrytest.Cell{Says: "none but what was asked for: a tag that changed meanwhile", Test: TestTags},
		Expiry:    registrytest.Cell{Says: "nothing: what lost its tag stays", Test: TestTags},
		Throttle:  registrytest.Cell{Says: "none: no quotas", Test: throttle},
	}.Run(t)
}

func source(t *testing.T) {
	t.Run("foreign", TestForeignLayout)
	t.Run("damaged index", TestDamagedIndex)
	t.Run("damaged manifest", TestDamagedManifest)
	r := open(t, t.TempDir())
	m := image("app")
	put(t, r, "app", "v1", m)
	body, err := r.Open(t.Context(), "app", m.Blobs[1].Descriptor, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if n, err := io.Copy(io.Discard, body); err != nil || n != m.Blobs[1].Size-10 {
		t.Errorf("%d bytes (%v)", n, err)
	}
}

func target(t *testing.T) {
	t.Run("hashed", TestPutProvesTheDigest)
	t.Run("writers", TestManyWritersLoseNothing)
}

// bulk: a row has its digest, a manifest without a tag has a row, too.
func bulk(t *testing.T) {
	r := open(t, t.TempDir())
	ix := content.Index([]*content.Manifest{image("one"), image("two")})
	put(t, r, "app", "v1", ix)
	n := 0
	for row, err := range r.Rows(t.Context(), "app") {
		if n++; err != nil || row.Digest.Hex == "" || (len(row.Tags) == 1) != (row.Digest == ix.Digest) {
			t.Errorf("%+v (%v)", row, err)
		}
	}
	if n != 3 {
		t.Errorf("%d rows, want the index and its children", n)
	}
	if c, err := r.Caps(t.Context()); err != nil || !c.BulkDigests {
		t.Errorf("%+v (%v)", c, err)
	}
}

func throttle(t *testing.T) {
	if c, err := open(t, t.TempDir()).Caps(t.Context()); err != nil || len(c.Quotas) != 0 || c.Mount != providers.Yes {
		t.Errorf("%+v (%v)", c, err)
	}
}
