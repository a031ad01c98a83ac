package ecr

import (
	"flag"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

var update = flag.Bool("update", false, "write the provider's row of docs/providers.md")

// TestMatrix proves each cell of ECR's row.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "ecr", Update: *update,
		Source:    registrytest.Cell{Says: "AWS's chain: keys, profiles, IRSA, Pod Identity, roles", Test: source},
		Target:    registrytest.Cell{Says: "one request a layer; refusals name the permission", Test: TestListOnly},
		Bulk:      registrytest.Cell{Says: "`DescribeImages`: digests, push times, subjects, the archive, 1,000 a call", Test: bulk},
		Creation:  registrytest.Cell{Says: "made with `create.ecr`, or by the account's template", Test: creation},
		Referrers: registrytest.Cell{Says: "API; subjects in the list", Test: referrers},
		Mount:     registrytest.Cell{Says: "if the account's `BLOB_MOUNTING` is on, which is read; an upload instead", Test: mount},
		Conflict:  registrytest.Cell{Says: "400 TAG_INVALID, for the digest that the tag has, too", Test: TestImmutableTag},
		Expiry:    registrytest.Cell{Says: "passwords after 12 hours: renewed at half, and when they are over", Test: TestOneToken},
		Throttle:  registrytest.Cell{Says: "429 and `ThrottlingException`; the published rates are kept (10 manifests a second)", Test: throttle},
	}.Run(t)
}

func source(t *testing.T) {
	t.Run("keys", TestEnvironment)
	t.Run("profile", TestProfile)
	t.Run("IRSA", TestIRSA)
	t.Run("Pod Identity", TestPodIdentity)
	t.Run("roles", TestRoles)
}

func bulk(t *testing.T) {
	t.Run("rows", TestRows)
	t.Run("calls", TestRowsAreCheap)
}

func creation(t *testing.T) {
	t.Run("made", TestEnsure)
	t.Run("template", TestLeftToTheTemplate)
}

// referrers: by the API and in the list.
func referrers(t *testing.T) {
	s := ecrtest.New(t, ecrtest.Options{})
	signedIn(t, s.IAM().User("sync"))
	subject := content.Image("x", nil)
	sig := content.Refer(subject, "application/x.sig", "sig")
	if err := s.Load("app", subject, "v1"); err != nil {
		t.Fatal(err)
	}
	r := open(t, s)
	if list, err := r.Referrers(t.Context(), "app", subject.Digest); err != nil || len(list) != 1 || list[0].Digest != sig.Digest {
		t.Errorf("%v (%v)", list, err)
	}
	rows, err := trial.Collect(r.Rows(t.Context(), "app"))
	found := false
	for _, row := range rows {
		found = found || row.Digest == sig.Digest && row.Subject == subject.Digest
	}
	if c, _ := r.Caps(t.Context()); err != nil || !found || !c.Subjects || c.Referrers != providers.Yes {
		t.Errorf("%+v, %+v (%v)", rows, c, err)
	}
}

// mount: as the account's setting is.
func mount(t *testing.T) {
	for name, on := range map[string]bool{"off": false, "on": true} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, ecrtest.Options{})
			signedIn(t, s.IAM().User("sync"))
			if on {
				s.EnableMounting()
			}
			s.Create("team/web")
			r := open(t, s)
			if c, err := r.Caps(t.Context()); err != nil || (c.Mount == providers.Yes) != on {
				t.Errorf("%+v (%v)", c, err)
			}
			b := content.Layer("l", 1000)
			mounted, session, err := r.Mount(t.Context(), "team/web", "team/app", b.Digest)
			if err != nil || mounted != on {
				t.Fatalf("mounted %v (%v)", mounted, err)
			}
			if !mounted {
				if _, err := r.Put(t.Context(), "team/web", b.Descriptor, b.Content, providers.UploadOptions{From: session}); err != nil {
					t.Error(err)
				}
			}
			if !s.Has("team/web", b.Digest) {
				t.Error("the layer is not there")
			}
		})
	}
	t.Run("the setting", TestCaps)
}

// throttle: what the service refuses narrows, and what it publishes is data that
// requests keep within.
func throttle(t *testing.T) {
	t.Run("refused", TestObserved)
	for _, q := range caps().Quotas {
		if q.Name == "PutImage" && q.N == 10 && q.Per == time.Second && q.Counts(providers.OpPutManifest) {
			return
		}
	}
	t.Errorf("the rate of PutImage is not among %+v", caps().Quotas)
}
