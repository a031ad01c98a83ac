package oci

import (
	"flag"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/registrytest"
)

var update = flag.Bool("update", false, "write the provider's row of docs/providers.md")

// TestMatrix proves each cell of the row of plain registries: zot, distribution,
// JFrog-like hosts, and whatever else speaks the distribution protocol.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "oci", Update: *update,
		Source:    registrytest.Cell{Says: "password, token, identity token, docker's configuration, or nobody; reads go on where they broke", Test: source},
		Target:    registrytest.Cell{Says: "one request a layer; pieces only where it is said that they work", Test: target},
		Bulk:      registrytest.Cell{Says: "none: tags' names, 1,000 a call, and a HEAD each", Test: bulk},
		Creation:  registrytest.Cell{Says: "by the push; where it does not, the error says to make it", Test: creation},
		Referrers: registrytest.Cell{Says: "API where there is one, else fallback tags; tried, remembered", Test: referrers},
		Mount:     registrytest.Cell{Says: "tried, remembered; an upload instead", Test: mount},
		Conflict:  registrytest.Cell{Says: "as ECR, ACR, Quay, Harbor and Artifact Registry say it", Test: TestPutManifestKinds},
		Expiry:    registrytest.Cell{Says: "tokens renewed at half their life, and after a 401; broken uploads go on", Test: expiry},
		Throttle:  registrytest.Cell{Says: "429, and 503 with Retry-After, halve what is in flight; waited for, 2 minutes at most", Test: throttle},
	}.Run(t)
}

func both(tests ...func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) {
		for _, test := range tests {
			test(t)
		}
	}
}

var (
	source   = both(TestCopyOneImage, TestIdentityTokenIsPosted, TestAnonymousRead, TestReadsGoOnWhereTheyBroke)
	target   = both(wholeLayers, TestPiecesGoOn)
	mount    = both(mountIsTried, TestMountSessionIsUsed, TestMountRefusals)
	expiry   = both(TestTokenIsRenewed, TestUploadsBreak)
	throttle = both(TestWhatThrottles, TestLongRetryAfterIsTheCallers)
)

// wholeLayers: nothing is sent in pieces to a host of which nothing is known.
func wholeLayers(t *testing.T) {
	s := server(t, nil)
	r := open(t, s, func(o *Options) { o.ChunkFrom, o.ChunkSize = 10, 10 })
	m := image("app")
	if err := copyImage(t.Context(), r, "app", "v1", m); err != nil {
		t.Fatal(err)
	}
	if n := s.Counts(); n.Of(registrytest.UploadPatch) > int64(len(m.Blobs)) || n.Of(registrytest.UploadPost) != int64(len(m.Blobs)) {
		t.Errorf("%d blobs by %d POST and %d PATCH", len(m.Blobs), n.Of(registrytest.UploadPost), n.Of(registrytest.UploadPatch))
	}
}

// bulk: a list has names alone, and Caps says so.
func bulk(t *testing.T) {
	TestListsCostOneRequestAPage(t)
	s := server(t, nil)
	load(t, s, "app", image("app"), "v1")
	r := open(t, s)
	for row, err := range r.Rows(t.Context(), "app") {
		if err != nil || row.Digest.Hex != "" || len(row.Tags) != 1 {
			t.Errorf("%+v (%v)", row, err)
		}
	}
	if c, err := r.Caps(t.Context()); err != nil || c.BulkDigests {
		t.Errorf("%+v (%v)", c, err)
	}
}

// creation: a push makes its repository, and is told to make it where that is not so.
func creation(t *testing.T) {
	s := server(t, nil)
	r := open(t, s)
	if err := r.Ensure(t.Context(), "new/app"); err != nil || s.Counts().Total() != 0 {
		t.Errorf("%v, %d requests", err, s.Counts().Total())
	}
	if err := copyImage(t.Context(), r, "new/app", "v1", image("app")); err != nil {
		t.Error(err)
	}
	s.Set(func(q *registrytest.Quirks) { q.MustExist = registrytest.MustExistAsECR })
	err := copyImage(t.Context(), r, "other/app", "v1", image("app"))
	if e := wantKind(t, err, providers.NotFound); e.Hint != "create the repository first" {
		t.Errorf("hint %q", e.Hint)
	}
}

// referrers: whether there is an API is not known before it is asked, and a host
// without one says so.
func referrers(t *testing.T) {
	TestReferrersPages(t)
	s := server(t, func(q *registrytest.Quirks) { q.NoReferrers = true })
	m := image("app")
	load(t, s, "app", m, "v1")
	r := open(t, s)
	_, err := r.Referrers(t.Context(), "app", m.Digest)
	wantKind(t, err, providers.Unsupported)
	if c, err := r.Caps(t.Context()); err != nil || c.Referrers != providers.Maybe || c.Fallback != providers.Maybe {
		t.Errorf("%+v (%v)", c, err)
	}
}

// mountIsTried: it is not known before it is tried.
func mountIsTried(t *testing.T) {
	s := server(t, nil)
	m := image("lib")
	load(t, s, "lib", m, "v1")
	r := open(t, s)
	mounted, _, err := r.Mount(t.Context(), "app", "lib", m.Blobs[0].Digest)
	if err != nil || !mounted {
		t.Errorf("mounted %v (%v)", mounted, err)
	}
	if c, err := r.Caps(t.Context()); err != nil || c.Mount != providers.Maybe {
		t.Errorf("%+v (%v)", c, err)
	}
}
