package acr

import (
	"flag"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

var update = flag.Bool("update", false, "write the provider's row of docs/providers.md")

// TestMatrix proves each cell of ACR's row.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "acr", Update: *update,
		Source:    registrytest.Cell{Says: "Azure's chain: workload and managed identity, service principals, the CLI", Test: source},
		Target:    registrytest.Cell{Says: "layers in pieces, which go on; refusals name the role, with ABAC too", Test: TestListOnly},
		Bulk:      registrytest.Cell{Says: "digests and times, 1,000 rows a call; 40 repositories a token", Test: bulk},
		Creation:  registrytest.Cell{Says: "by the push, unless `create.never`", Test: creation},
		Referrers: registrytest.Cell{Says: "API; tried, as registries with a customer's key lack it: fallback tags there", Test: referrers},
		Mount:     registrytest.Cell{Says: "yes, with a token that may read the one", Test: mount},
		Conflict:  registrytest.Cell{Says: "405 of locked tags, told with how to unlock", Test: TestLocked},
		Expiry:    registrytest.Cell{Says: "tokens after 75 minutes to 3 hours: renewed, within an upload too", Test: expiry},
		Throttle:  registrytest.Cell{Says: "429 and Retry-After, waited for or told; published rates are kept", Test: throttle},
	}.Run(t)
}

func source(t *testing.T) {
	t.Run("workload identity", TestWorkloadIdentity)
	t.Run("managed identity", TestManagedIdentity)
	t.Run("service principal", TestServicePrincipal)
	t.Run("CLI", TestCLI)
}

func bulk(t *testing.T) {
	t.Run("rows", TestRows)
	t.Run("calls", TestListsAreCheap)
}

// creation: the push makes the repository.
func creation(t *testing.T) {
	t.Run("never", TestEnsure)
	s := serve(t, acrtest.Options{})
	r := open(t, s, app(s))
	b := content.Layer("l", 100)
	if _, err := r.Put(t.Context(), "made/by/push", b.Descriptor, b.Content, providers.UploadOptions{}); err != nil || !s.Has("made/by/push", b.Digest) {
		t.Errorf("%v", err)
	}
}

func referrers(t *testing.T) {
	t.Run("customer's key", TestCustomerKey)
	s := serve(t, acrtest.Options{})
	subject := content.Image("subject", nil)
	sig := content.Refer(subject, "application/x.sig", "sig")
	if err := s.Load("team/app", subject, "signed"); err != nil {
		t.Fatal(err)
	}
	r := open(t, s, app(s))
	list, err := r.Referrers(t.Context(), "team/app", subject.Digest)
	if err != nil || len(list) != 1 || list[0].Digest != sig.Digest {
		t.Errorf("%v (%v)", list, err)
	}
	if c, err := r.Caps(t.Context()); err != nil || c.Fallback != providers.Yes {
		t.Errorf("%+v (%v)", c, err)
	}
}

func mount(t *testing.T) {
	s := serve(t, acrtest.Options{})
	r := open(t, s, app(s))
	b := content.Layer("base", 1000)
	if err := s.Load("team/lib", content.Image("lib", []content.Blob{b}), "v1"); err != nil {
		t.Fatal(err)
	}
	mounted, _, err := r.Mount(t.Context(), "team/web", "team/lib", b.Digest)
	if err != nil || !mounted || !s.Has("team/web", b.Digest) {
		t.Errorf("mounted %v (%v)", mounted, err)
	}
	if c, err := r.Caps(t.Context()); err != nil || c.Mount != providers.Yes {
		t.Errorf("%+v (%v)", c, err)
	}
}

func expiry(t *testing.T) {
	t.Run("upload", TestExpiryInUpload)
	t.Run("download", TestExpiryInDownload)
}

// throttle: what the registry refuses narrows, and what it publishes is data that
// requests keep within.
func throttle(t *testing.T) {
	t.Run("narrows", TestObserved)
	t.Run("Retry-After", TestRetryAfter)
	for _, q := range caps().Quotas {
		if q.N <= 0 || q.Per != time.Minute || q.Source == "" {
			t.Errorf("quota %+v", q)
		}
	}
}
