package ghcr

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestLive copies an image to ghcr.io and lists it, as docs/live-tests.md says. The
// suite would leave packages that only GitHub's console can delete.
func TestLive(t *testing.T) {
	owner := os.Getenv("TRANSSHIP_LIVE_GHCR")
	if owner == "" {
		t.Skip("TRANSSHIP_LIVE_GHCR names no owner; docs/live-tests.md says how to run against one")
	}
	user, token, _ := strings.Cut(os.Getenv("TRANSSHIP_LIVE_GHCR_AUTH"), ":")
	r, err := New(Options{OCI: oci.Options{Host: "ghcr.io", Push: true,
		Authenticator: authn.FromConfig(authn.AuthConfig{Username: user, Password: token})}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	live(t, r, owner)
}

// TestLiveSteps runs what TestLive runs against the emulator.
func TestLiveSteps(t *testing.T) {
	s := serve(t)
	live(t, open(t, s, pusher(s)), "acme")
}

func live(t *testing.T, r *Registry, owner string) {
	repo := owner + "/transship-test/app"
	child := image("live")
	index := content.Index([]*content.Manifest{child})
	trial.Copy(t, r, repo, "v1", index)
	tags, untagged := tagsOf(t, r, repo)
	if tags["v1"] != index.Digest.String() || untagged == 0 {
		t.Errorf("tags %v, and %d manifests without", tags, untagged)
	}
	got, err := trial.Collect(r.Repositories(t.Context(), owner+"/transship-test/"))
	if err != nil || len(got) != 1 || got[0] != repo {
		t.Errorf("repositories %v (%v)", got, err)
	}
	mounted, _, err := r.Mount(t.Context(), owner+"/transship-test/other", repo, child.Blobs[0].Digest)
	t.Logf("mount between packages: %v (%v)", mounted, err)
}
