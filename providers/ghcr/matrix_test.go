package ghcr

import (
	"bytes"
	"flag"
	"io"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ghcr/ghcrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

var update = flag.Bool("update", false, "write the row of docs/providers.md")

func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "ghcr", Update: *update,
		Source:    registrytest.Cell{Says: "reads by redirect to storage, in ranges; public packages anonymously", Test: cellSource},
		Target:    registrytest.Cell{Says: "one request a layer, sent once it is here whole; 10 GB a layer at most", Test: cellTarget},
		Bulk:      registrytest.Cell{Says: "packages API: every digest with its tags, 100 a call; else names, and HEAD", Test: testBulk},
		Creation:  registrytest.Cell{Says: "by the push", Test: cellCreation},
		Referrers: registrytest.Cell{Says: "no API; fallback tags", Test: cellReferrers},
		Mount:     registrytest.Cell{Says: "tried, and remembered", Test: cellMount},
		Conflict:  registrytest.Cell{Says: "none: every tag may move", Test: cellConflict},
		Expiry:    registrytest.Cell{Says: "uploads after 10 min: begun late; tokens renewed at half their life", Test: cellExpiry},
		Throttle:  registrytest.Cell{Says: "503 for spent egress: slower; API 5,000/h, then names and HEAD", Test: cellThrottle},
	}.Run(t)
}

func cellSource(t *testing.T) {
	s := serve(t, func(o *ghcrtest.Options) { o.Wire = func(q *registrytest.Quirks) { q.AnonymousPull = true } })
	r := open(t, s, ghcrtest.Token{})
	m, err := r.Manifest(t.Context(), "acme/app", "v1")
	if err != nil || m.Digest != image("x").Digest {
		t.Fatalf("manifest %s, %v", m.Digest, err)
	}
	b := image("x").Blobs[0]
	body, err := r.Open(t.Context(), "acme/app", b.Descriptor, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	want, _ := io.ReadAll(io.NewSectionReader(b.Content, 10, b.Size))
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d other bytes (%v)", len(got), err)
	}
	if n := s.Counts().Of(registrytest.Storage); n != 1 {
		t.Errorf("%d reads at the storage host, want 1", n)
	}
}

// cellTarget: a blob above what ghcr.io takes with a Content-Range goes up in one
// request, and the planner is told of both limits.
func cellTarget(t *testing.T) {
	s := serve(t)
	r := open(t, s, pusher(s), func(o *Options) { o.OCI.ChunkFrom = 1 << 20 })
	trial.Copy(t, r, "acme/big", "v1", content.Image("big", []content.Blob{content.Layer("big", 5<<20)}))
	n := s.Counts()
	if n.Of(registrytest.UploadPut) != 2 || n.Of(registrytest.UploadPatch) != 0 {
		t.Errorf("uploads took %v, want one PUT for each of two blobs", n.Requests)
	}
	caps, err := r.Caps(t.Context())
	if err != nil || caps.MaxBlob != 10_000_000_000 || caps.UploadDeadline <= 0 || caps.Chunks != providers.No {
		t.Errorf("caps %+v, %v", caps, err)
	}
}

func cellCreation(t *testing.T) {
	s := serve(t)
	r := open(t, s, pusher(s))
	trial.Copy(t, r, "acme/new/one", "v1", image("n"))
	got, err := trial.Collect(r.Repositories(t.Context(), "acme/new"))
	if err != nil || len(got) != 1 {
		t.Errorf("repositories %v (%v)", got, err)
	}
}

func cellReferrers(t *testing.T) {
	s := serve(t)
	r := open(t, s, pusher(s))
	_, err := r.Referrers(t.Context(), "acme/app", image("x").Digest)
	trial.WantKind(t, err, providers.Unsupported, "")
	x := image("x")
	tag, index := content.Fallback(x, content.Refer(x, "application/vnd.example", "sbom"))
	trial.Load(t, s, "acme/app", index, tag)
	if tags, _ := tagsOf(t, r, "acme/app"); tags[tag] == "" {
		t.Errorf("tags %v lack %s", tags, tag)
	}
	caps, err := r.Caps(t.Context())
	if err != nil || caps.Referrers != providers.No || caps.Fallback != providers.Yes || !caps.Subjects {
		t.Errorf("caps %+v, %v", caps, err)
	}
}

func cellMount(t *testing.T) {
	for _, refused := range []bool{false, true} {
		s := serve(t, func(o *ghcrtest.Options) { o.Wire = func(q *registrytest.Quirks) { q.NoMount = refused } })
		r := open(t, s, pusher(s))
		mounted, session, err := r.Mount(t.Context(), "acme/other", "acme/app", image("x").Blobs[0].Digest)
		if err != nil || mounted == refused || refused && session == nil {
			t.Errorf("refused %v: mounted %v, session %v, %v", refused, mounted, session, err)
		}
		if caps, _ := r.Caps(t.Context()); caps.Mount != providers.Maybe {
			t.Errorf("caps say %s of mounts", caps.Mount)
		}
	}
}

func cellConflict(t *testing.T) {
	s := serve(t)
	r := open(t, s, pusher(s))
	trial.Copy(t, r, "acme/app", "v1", image("moved"))
	if d, err := r.Head(t.Context(), "acme/app", "v1"); err != nil || d.Digest != image("moved").Digest {
		t.Errorf("v1 is %s, %v", d.Digest, err)
	}
}

// cellExpiry: a token that ends between two requests is renewed, and whoever
// uploads is told how long that may take.
func cellExpiry(t *testing.T) {
	s := serve(t)
	r := open(t, s, pusher(s))
	trial.Copy(t, r, "acme/app", "v2", image("early"))
	s.ExpireTokens()
	trial.Copy(t, r, "acme/app", "v3", image("late"))
	if caps, _ := r.Caps(t.Context()); caps.UploadDeadline != uploadLimit {
		t.Errorf("uploads may take %v", caps.UploadDeadline)
	}
}

func cellThrottle(t *testing.T) {
	t.Run("egress", testEgress)
	t.Run("API", func(t *testing.T) {
		s := serve(t)
		s.Configure(func(q *ghcrtest.Quirks) { q.Hourly = 1 })
		r := open(t, s, pusher(s))
		for i := range 3 {
			if tags, _ := tagsOf(t, r, "acme/app"); len(tags) != 1 || (tags["v1"] == ":") != (i > 0) {
				t.Errorf("list %d: %v", i, tags)
			}
		}
		if n := s.Calls()["versions"]; n != 2 {
			t.Errorf("%d calls of the API, want one that is answered and one that is not", n)
		}
	})
}
