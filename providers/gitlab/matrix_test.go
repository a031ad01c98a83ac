package gitlab

import (
	"flag"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gitlab/gitlabtest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/content"
)

var update = flag.Bool("update", false, "write the provider's row of docs/providers.md")

// TestMatrix proves each cell of GitLab's row.
func TestMatrix(t *testing.T) {
	registrytest.Matrix{
		Provider: "gitlab", Update: *update,
		Source:    registrytest.Cell{Says: "access or deploy token with `read_registry`; what is public by nobody", Test: source},
		Target:    registrytest.Cell{Says: "`write_registry`; at most two path elements below a project", Test: TestPush},
		Bulk:      registrytest.Cell{Says: "digests, tag times, referrers, 1,000 tags a call; names and HEADs without metadata database", Test: bulk},
		Creation:  registrytest.Cell{Says: "by the push; the project has to be there, and is looked for before", Test: TestNoProject},
		Referrers: registrytest.Cell{Says: "no API, no fallback tags; told by the tag list; brought, and the plan says not to be found", Test: TestReferrers},
		Mount:     registrytest.Cell{Says: "yes, between projects too", Test: TestMount},
		Conflict:  registrytest.Cell{Says: "immutable tag rules: 403, a conflict; protected tags: denied", Test: TestTagRules},
		Expiry:    registrytest.Cell{Says: "tokens after 5 minutes, renewed in the middle of a copy", Test: TestTokensEnd},
		Throttle:  registrytest.Cell{Says: "429 and Retry-After, at the registry and its APIs; no published quota", Test: TestThrottle},
	}.Run(t)
}

// source reads an image by each kind of token, and by nobody.
func source(t *testing.T) {
	s := gitlabtest.New(t, gitlabtest.Options{})
	s.Publish("acme/open")
	s.Project("acme/app")
	m := content.Image("x", []content.Blob{content.Layer("l", 1000)})
	for _, repo := range []string{"acme/open/api", "acme/app/api"} {
		if err := s.Load(repo, m, "v1"); err != nil {
			t.Fatal(err)
		}
	}
	user, deploy := s.DeployToken("acme/app", "read_registry")
	nobody := func(o *Options) { o.OCI.Push = false }
	for repo, signs := range map[string][]func(*Options){
		"acme/app/api":  {as("sync", s.Token("sync", "read_registry")), as(user, deploy)},
		"acme/open/api": {nobody},
	} {
		for _, sign := range signs {
			r := open(t, s, sign)
			got, err := r.Manifest(t.Context(), repo, "v1")
			if err != nil || got.Digest != m.Digest {
				t.Errorf("%s: %s (%v)", repo, got.Digest, err)
			}
			body, err := r.Open(t.Context(), repo, m.Blobs[1].Descriptor, 0)
			if err != nil {
				t.Errorf("%s: %v", repo, err)
				continue
			}
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := open(t, s, nobody).Manifest(t.Context(), "acme/app/api", "v1")
	wants(t, "what is private, by nobody", err, providers.Denied, "")
}

// bulk is both kinds of registries.
func bulk(t *testing.T) {
	t.Run("with metadata", TestRowsAreCheap)
	t.Run("without", TestWithoutMetadata)
}
