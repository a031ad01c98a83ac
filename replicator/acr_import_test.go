package replicator

import (
	"fmt"
	"strings"
	"testing"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/replicator/plan"
	"github.com/transship/transship/replicator/transfer"
)

// importRig is two ACRs of which the target reads the source itself.
func importRig(t *testing.T) *acrRig {
	t.Helper()
	r := newACRRig(t, func(q *acrtest.Quirks) { q.ImportPolls = 2 }, nil, nil)
	r.acrs["one"].Assign(r.app.ClientID, acrtest.Importer)
	r.acrs["one"].Knows(r.acrs["src"])
	src := r.set.Registries["src"]
	src.ResourceID = r.acrs["src"].ResourceID()
	r.set.Registries["src"] = src
	r.set.Rules[0].To[0].Via = policy.ViaImport
	return r
}

// sent fails the test unless n blobs went through us to the target.
func sent(t *testing.T, c registrytest.Counts, n int64) {
	t.Helper()
	if got := c.Of(registrytest.UploadPut); got != n {
		t.Errorf("%d blobs were sent, want %d\n%s", got, n, c)
	}
}

// TestImport: the target reads images itself, by digest; the plan says so, no byte of
// a layer passes through us, signatures follow before the tags, and a pass after that
// has nothing to do.
func TestImport(t *testing.T) {
	r := importRig(t)
	ix := content.Index([]*content.Manifest{
		content.Image("amd64", []content.Blob{content.Layer("a", 5000)}),
		content.Image("arm64", []content.Blob{content.Layer("b", 5000)})})
	r.load("app", ix, "v1", "latest")
	r.load("app", content.Refer(ix, "application/x.sig", "sig"))
	plans, err := r.Plan(t.Context(), r.jobs()[0])
	if err != nil || len(plans) != 1 {
		t.Fatalf("%d plans (%v)", len(plans), err)
	}
	if c, text := plans[0].Cost, plans[0].String(); c.Imports != 4 || c.Imported < 10_000 || !strings.Contains(text, "import 4") || !strings.Contains(text, "past us") {
		t.Errorf("cost %+v\n%s", c, text)
	}
	reports, counts := r.pass()
	r.fine(reports)
	r.same()
	f := reports[0].Figures
	if f.Imported != 1 || f.BytesImported < 10_000 || f.Copied != 2 || r.acrs["one"].Calls()["import"] != 1 {
		t.Errorf("figures %+v, calls %v", f, r.acrs["one"].Calls())
	}
	if f.BytesSent > 5000 {
		t.Errorf("%d bytes were sent", f.BytesSent) // the signature's
	}
	if n := counts["one"].Of(registrytest.ManifestPut); n != 3 {
		t.Errorf("%d manifests were put: two tags and a signature are wanted", n)
	}
	r.later()
	reports, counts = r.pass()
	r.fine(reports)
	sent(t, counts["one"], 0)
	if r.acrs["one"].Calls()["import"] != 1 {
		t.Error("it was imported again")
	}
}

// TestImportTooMany: what the target does not import, for it has too many manifests, is
// copied.
func TestImportTooMany(t *testing.T) {
	r := importRig(t)
	var all []*content.Manifest
	for i := range 50 {
		all = append(all, content.Image(fmt.Sprint(i), nil))
	}
	r.load("app", content.Index(all), "v1")
	reports, _ := r.pass()
	r.fine(reports)
	r.same()
	if n := r.acrs["one"].Calls()["import"]; n != 0 || reports[0].Figures.Imported != 0 {
		t.Errorf("%d imports", n)
	}
}

// TestImportFails: an import that is refused is told, with what to do; no tag is put,
// nothing is sent instead, and other images go on.
func TestImportFails(t *testing.T) {
	r := importRig(t)
	r.load("app", content.Image("x", []content.Blob{content.Layer("l", 5000)}), "v1")
	r.acrs["one"].Unassign(r.app.ClientID)
	r.acrs["one"].Assign(r.app.ClientID, acrtest.AcrPush)
	reports, counts := r.pass()
	if len(reports[0].Failures) != 1 {
		t.Fatalf("failures %+v", reports[0].Failures)
	}
	if f := reports[0].Failures[0]; f.Kind != providers.Denied || f.Side != transfer.Target || !strings.Contains(f.Hint, "importImage/action") {
		t.Errorf("failure %+v", f)
	}
	sent(t, counts["one"], 0)
	if tags := r.servers["one"].Tags("app"); len(tags) > 0 {
		t.Errorf("put %v", tags)
	}
}

// TestImportShares: a source's password is told to its target only where the rule says
// so for that target, and never that of a source which is read by its resource id.
func TestImportShares(t *testing.T) {
	r := importRig(t)
	t.Setenv("SOURCE_PASSWORD", "secret")
	set, err := policy.Parse("p.yaml", []byte("registries: {src: {host: src.example.com, auth: {username: sync, password: \"${SOURCE_PASSWORD}\"}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	src := r.set.Registries["src"]
	src.Auth = set.Registries["src"].Auth
	from, to := plan.Place{Registry: "src", Repo: "app"}, plan.Place{Registry: "one", Repo: "app"}
	for _, tt := range []struct {
		share, byID bool
		password    string
	}{{false, false, ""}, {true, false, "secret"}, {true, true, ""}} {
		src.ResourceID = ""
		if tt.byID {
			src.ResourceID = r.acrs["src"].ResourceID()
		}
		r.set.Registries["src"] = src
		r.set.Rules[0].To[0].ShareSourceCredential = tt.share
		if s, err := r.importSource("all", from, to); err != nil || s.Password != tt.password || strings.Contains(s.String(), "secret") {
			t.Errorf("%+v: %q (%v)", tt, s.Password, err)
		}
	}
}
