package harbor

import (
	"flag"
	"testing"

	"github.com/transship/transship/providers/harbor/harbortest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

var update = flag.Bool("update", false, "write the row of docs/providers.md")

// TestMatrix proves what docs/providers.md says of harbor.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider:  "harbor",
		Source:    registrytest.Cell{Says: "public projects as nobody; robots, users; what a policy holds back is told", Test: testSource},
		Target:    registrytest.Cell{Says: "projects that are there or may be made; not proxy caches", Test: TestEnsure},
		Bulk:      registrytest.Cell{Says: "100 artifacts a call: digests, times, accessories; without the right: names and HEADs", Test: TestRows},
		Creation:  registrytest.Cell{Says: "projects with `create: {harbor: {}}`, else the missing one is named; repositories by the push", Test: TestMakeProject},
		Referrers: registrytest.Cell{Says: "accessories in the list; API since 2.11; before that fallback tags", Test: TestRowsOfAccessories},
		Mount:     registrytest.Cell{Says: "between projects, too; 401 for a project that is missing is no refused login", Test: TestMount},
		Conflict:  registrytest.Cell{Says: "412 PRECONDITION of an immutable tag, told apart from a policy's 412", Test: TestRefusals},
		Expiry:    registrytest.Cell{Says: "tokens, renewed in the middle of a copy", Test: TestTokensEnd},
		Throttle:  registrytest.Cell{Says: "429 of a proxy before it; no figures are published", Test: testThrottle},
		Update:    *update,
	}.Run(t)
}

func testSource(t *testing.T) {
	s, m := serve(t)
	s.Project("acme", harbortest.Project{Public: true})
	for _, r := range []*Registry{open(t, s, "", "", source), open(t, s, name, s.Robot(name, harbortest.On("acme", harbortest.Reader...)), source)} {
		got, err := r.Manifest(t.Context(), "acme/team/app", "v1")
		if err != nil || got.Digest != m.Digest {
			t.Errorf("%v (%v)", got.Digest, err)
		}
		rows, err := trial.Collect(r.Rows(t.Context(), "acme/team/app"))
		if err != nil || len(rows) != 1 || rows[0].Digest != m.Digest {
			t.Errorf("%+v (%v)", rows, err)
		}
	}
	TestRefusals(t)
}

func testThrottle(t *testing.T) {
	s, m := serve(t)
	r := robot(t, s, harbortest.On("acme", harbortest.Writer...))
	if err := trial.Push(t, r, "acme/team/app", "v2", m); err != nil {
		t.Fatal(err)
	}
	width := r.Limiter().Width()
	s.Next(1, registrytest.ManifestPut, registrytest.Fault{Status: 429})
	if err := trial.Push(t, r, "acme/team/app", "v3", content.Image("z", nil)); err != nil || r.Limiter().Width() >= width {
		t.Errorf("after a 429: %v; width %d, before %d", err, r.Limiter().Width(), width)
	}
	width = r.Limiter().Width()
	s.Fail(1, "artifacts", registrytest.Refusal{Status: 429, Text: "slow down"})
	if _, err := trial.Collect(r.Rows(t.Context(), "acme/team/app")); err != nil || r.Limiter().Width() > width {
		t.Errorf("after a 429 of the API: %v; width %d, before %d", err, r.Limiter().Width(), width)
	}
}
