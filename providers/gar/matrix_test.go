package gar

import (
	"flag"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

var update = flag.Bool("update", false, "write the provider's row of docs/providers.md")

// TestMatrix proves each cell of Artifact Registry's row.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "gar", Update: *update,
		Source:    registrytest.Cell{Says: "Google's default credentials: keys, gcloud, metadata, federation, impersonation", Test: whoReads},
		Target:    registrytest.Cell{Says: "one request a layer; refusals name the permission", Test: target},
		Bulk:      registrytest.Cell{Says: "one `tags/list` with all manifests; the API by 1,000 where it is not whole", Test: bulk},
		Creation:  registrytest.Cell{Says: "made with `create.gar`; missing told from denied", Test: creation},
		Referrers: registrytest.Cell{Says: "API", Test: referrers},
		Mount:     registrytest.Cell{Says: "tried, remembered; an upload instead", Test: mount},
		Conflict:  registrytest.Cell{Says: "400 MANIFEST_INVALID \"cannot update tag\"", Test: conflict},
		Expiry:    registrytest.Cell{Says: "tokens after an hour: renewed within a copy, nothing is sent twice", Test: TestExpiryInACopy},
		Throttle:  registrytest.Cell{Says: "429 at the registry and the API, and Retry-After; published rates are kept", Test: throttle},
	}.Run(t)
}

func whoReads(t *testing.T) {
	t.Run("key", TestKeyFile)
	t.Run("gcloud", TestGcloud)
	t.Run("metadata", TestMetadata)
	t.Run("federation", TestFederation)
	t.Run("impersonation", TestImpersonation)
}

func bulk(t *testing.T) {
	t.Run("rows", TestRows)
	t.Run("long", TestLongList)
	t.Run("none", TestNoList)
}

func creation(t *testing.T) {
	t.Run("made", TestEnsure)
	t.Run("missing or denied", TestMissingOrDenied)
}

func ready(t *testing.T) (*gartest.Server, *Registry) {
	t.Helper()
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	return s, open(t, s)
}

// target: what is sent is sent whole, by one request after the one that begins it.
func target(t *testing.T) {
	t.Run("denied", TestListButNotPush)
	s, r := ready(t)
	b := content.Layer("large", 1<<20)
	if _, err := r.Put(t.Context(), "acme/mirror/team/app", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := s.Counts(); n.Of(registrytest.UploadPost) != 1 || n.Of(registrytest.UploadPatch) > 1 {
		t.Errorf("%s", n)
	}
	if c, err := r.Caps(t.Context()); err != nil || c.Chunks != providers.No {
		t.Errorf("%+v (%v)", c, err)
	}
}

func referrers(t *testing.T) {
	s, r := ready(t)
	subject := content.Image("subject", nil)
	sig := content.Refer(subject, "application/x.sig", "sig")
	if err := s.Load("acme/mirror/team/app", subject, "signed"); err != nil {
		t.Fatal(err)
	}
	list, err := r.Referrers(t.Context(), "acme/mirror/team/app", subject.Digest)
	if err != nil || len(list) != 1 || list[0].Digest != sig.Digest {
		t.Errorf("%v (%v)", list, err)
	}
	if c, err := r.Caps(t.Context()); err != nil || c.Referrers != providers.Yes {
		t.Errorf("%+v (%v)", c, err)
	}
}

// mount: it is not known before it is tried; a refusal opens an upload instead.
func mount(t *testing.T) {
	for name, refuses := range map[string]bool{"taken": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			s, r := ready(t)
			s.Set(func(q *registrytest.Quirks) { q.NoMount = refuses })
			b := content.Layer("l", 1000)
			mounted, session, err := r.Mount(t.Context(), "acme/mirror/team/web", "acme/mirror/team/app", b.Digest)
			if err != nil || mounted == refuses {
				t.Fatalf("mounted %v (%v)", mounted, err)
			}
			if !mounted {
				if _, err := r.Put(t.Context(), "acme/mirror/team/web", b.Descriptor, b.Content, providers.UploadOptions{From: session}); err != nil {
					t.Error(err)
				}
			}
			if !s.Has("acme/mirror/team/web", b.Digest) {
				t.Error("the layer is not there")
			}
			if c, err := r.Caps(t.Context()); err != nil || c.Mount != providers.Maybe {
				t.Errorf("%+v (%v)", c, err)
			}
		})
	}
}

// conflict: a tag of a repository whose tags are immutable.
func conflict(t *testing.T) {
	s, r := ready(t)
	s.Set(func(q *registrytest.Quirks) { q.Immutable = registrytest.ImmutableGAR })
	other := content.Image("other", nil)
	if err := s.Load("acme/mirror/team/app", other, "v2"); err != nil {
		t.Fatal(err)
	}
	_, err := r.PutManifest(t.Context(), "acme/mirror/team/app", "v1", other.Manifest, providers.PutOptions{})
	if providers.KindOf(err) != providers.Conflict || providers.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

// throttle: both planes, and what is published is data that requests keep within.
func throttle(t *testing.T) {
	t.Run("API", TestRetryAfter)
	s, r := ready(t)
	width := r.Limiter().Width()
	s.Next(1, registrytest.ManifestHead, registrytest.Fault{Status: 429, Code: "TOOMANYREQUESTS"})
	if _, err := r.Head(t.Context(), "acme/mirror/team/app", "v1"); err != nil {
		t.Error(err)
	}
	if r.Limiter().Width() >= width {
		t.Errorf("the width stayed at %d", width)
	}
	for _, q := range caps(Host{}).Quotas {
		if q.N <= 0 || q.Per != time.Minute || q.Source == "" {
			t.Errorf("quota %+v", q)
		}
	}
}
