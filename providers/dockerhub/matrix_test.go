package dockerhub

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/dockerhub/dockerhubtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

var update = flag.Bool("update", false, "write the row of docs/providers.md")

func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "dockerhub", Update: *update,
		Source:    registrytest.Cell{Says: "HEAD for polling, which is no pull; reads by redirect to storage, in ranges", Test: cellSource},
		Target:    registrytest.Cell{Says: "one request a layer; names of two elements", Test: cellTarget},
		Bulk:      registrytest.Cell{Says: "Hub API: tags with digests and times, 100 a call; else names, and HEAD", Test: testBulk},
		Creation:  registrytest.Cell{Says: "by the push, in the account's namespaces", Test: cellCreation},
		Referrers: registrytest.Cell{Says: "API tried, and remembered; else fallback tags", Test: cellReferrers},
		Mount:     registrytest.Cell{Says: "yes, with a token that may also read where it is mounted from", Test: cellMount},
		Conflict:  registrytest.Cell{Says: "tags that a rule keeps: 403, a conflict unless the digest is equal", Test: cellConflict},
		Expiry:    registrytest.Cell{Says: "tokens after 5 min, the API's after 10: renewed at half, and when refused", Test: cellExpiry},
		Throttle:  registrytest.Cell{Says: "pulls counted from ratelimit-remaining, a tenth left to others, then waiting until T", Test: testSpent},
	}.Run(t)
}

func cellSource(t *testing.T) {
	s := serve(t)
	r := open(t, s, "", "")
	d, err := r.Head(t.Context(), "acme/app", "v1")
	if err != nil || d.Digest != anImage("x").Digest || s.Pulled("") != 0 {
		t.Fatalf("head %s, %d pulls, %v", d.Digest, s.Pulled(""), err)
	}
	if m, err := r.Manifest(t.Context(), "acme/app", "v1"); err != nil || m.Digest != d.Digest || s.Pulled("") != 1 {
		t.Fatalf("manifest %s, %d pulls, %v", m.Digest, s.Pulled(""), err)
	}
	b := anImage("x").Blobs[0]
	body, err := r.Open(t.Context(), "acme/app", b.Descriptor, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	want, _ := io.ReadAll(io.NewSectionReader(b.Content, 10, b.Size))
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d other bytes (%v)", len(got), err)
	}
	if s.Pulled("") != 1 || s.Counts().Of(registrytest.Storage) != 1 {
		t.Errorf("a blob counts as a pull, or did not come from storage: %v", s.Counts().Requests)
	}
}

func cellTarget(t *testing.T) {
	s := serve(t)
	r := asSync(t, s)
	trial.Copy(t, r, "acme/other", "v1", anImage("new"))
	if n := s.Counts(); n.Of(registrytest.UploadPut) != 2 || n.Of(registrytest.UploadPatch) != 0 {
		t.Errorf("uploads took %v, want one PUT for each of two blobs", n.Requests)
	}
	caps, _ := r.Caps(t.Context())
	if caps.Names.Check("acme/team/app") == nil {
		t.Error("a name of three elements is taken")
	}
	_, err := r.PutManifest(t.Context(), "acme/team/app", "v1", anImage("new").Manifest, providers.PutOptions{})
	trial.WantKind(t, err, providers.Denied, "")
}

func cellCreation(t *testing.T) {
	s := serve(t)
	r := asSync(t, s)
	trial.Copy(t, r, "acme/new", "v1", anImage("n"))
	if !s.Exists("acme/new") {
		t.Error("the push has not made its repository")
	}
	trial.WantKind(t, r.TryPush(t.Context(), "other/new"), providers.Denied, "may write to the namespace")
}

func cellReferrers(t *testing.T) {
	for _, lacks := range []bool{false, true} {
		s := serve(t, func(o *dockerhubtest.Options) { o.Wire = func(q *registrytest.Quirks) { q.NoReferrers = lacks } })
		x := anImage("x")
		trial.Load(t, s, "acme/app", content.Refer(x, "application/vnd.example", "sbom"))
		r := asSync(t, s)
		list, err := r.Referrers(t.Context(), "acme/app", x.Digest)
		if lacks {
			trial.WantKind(t, err, providers.Unsupported, "")
		} else if err != nil || len(list) != 1 {
			t.Errorf("referrers %v, %v", list, err)
		}
		if caps, _ := r.Caps(t.Context()); caps.Referrers != providers.Maybe || caps.BulkDigests {
			t.Errorf("caps %+v", caps)
		}
	}
}

func cellMount(t *testing.T) {
	s := serve(t)
	r := asSync(t, s)
	mounted, _, err := r.Mount(t.Context(), "acme/other", "acme/app", anImage("x").Blobs[0].Digest)
	if err != nil || !mounted {
		t.Errorf("mounted %v, %v", mounted, err)
	}
	private := serve(t, func(o *dockerhubtest.Options) { o.Wire = func(q *registrytest.Quirks) { q.AnonymousPull = false } })
	trial.Load(t, private, "theirs/app", anImage("theirs"), "v1")
	mounted, session, err := asSync(t, private).Mount(t.Context(), "acme/other", "theirs/app", anImage("theirs").Blobs[0].Digest)
	if err != nil || mounted {
		t.Errorf("what may not be read: mounted %v, session %v, %v", mounted, session, err)
	}
}

func cellConflict(t *testing.T) {
	s := serve(t)
	r := asSync(t, s)
	s.Next(1, registrytest.ManifestPut, registrytest.Fault{Status: http.StatusForbidden, Code: "DENIED",
		Message: "tag v1 cannot be overwritten: it is immutable by a rule of the repository"})
	copied := anImage("x")
	_, err := r.PutManifest(t.Context(), "acme/app", "v1", copied.Manifest, providers.PutOptions{})
	trial.WantKind(t, err, providers.Conflict, "immutable")
	if d, err := r.Head(t.Context(), "acme/app", "v1"); err != nil || d.Digest != copied.Digest {
		t.Errorf("v1 is %s, %v", d.Digest, err)
	}
}

func cellExpiry(t *testing.T) {
	s := serve(t)
	r := asSync(t, s)
	trial.Copy(t, r, "acme/app", "v2", anImage("early"))
	tagsOf(t, r, "acme/app")
	s.ExpireTokens()
	s.EndLogins()
	trial.Copy(t, r, "acme/app", "v3", anImage("late"))
	if tags := tagsOf(t, r, "acme/app"); len(tags) != 3 {
		t.Errorf("tags %v", tags)
	}
}
