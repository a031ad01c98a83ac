package dockerhub

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestLive copies an image to Docker Hub and lists it, as docs/live-tests.md says.
// The suite would need three path elements.
func TestLive(t *testing.T) {
	namespace := os.Getenv("TRANSSHIP_LIVE_DOCKERHUB")
	if namespace == "" {
		t.Skip("TRANSSHIP_LIVE_DOCKERHUB names no namespace; docs/live-tests.md says how to run against one")
	}
	user, token, _ := strings.Cut(os.Getenv("TRANSSHIP_LIVE_DOCKERHUB_AUTH"), ":")
	r, err := New(Options{OCI: oci.Options{Host: "index.docker.io", Push: true,
		Authenticator: authn.FromConfig(authn.AuthConfig{Username: user, Password: token})}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	live(t, r, namespace)
}

// TestLiveSteps runs what TestLive runs against the emulator.
func TestLiveSteps(t *testing.T) { live(t, asSync(t, serve(t)), "acme") }

func live(t *testing.T, r *Registry, namespace string) {
	repo := namespace + "/transship-test"
	child := anImage("live")
	index := content.Index([]*content.Manifest{child})
	trial.Copy(t, r, repo, "v1", index)
	if tags := tagsOf(t, r, repo); tags["v1"].Digest != index.Digest {
		t.Errorf("tags %v", tags)
	}
	got, err := trial.Collect(r.Repositories(t.Context(), repo))
	if err != nil || len(got) != 1 || got[0] != repo {
		t.Errorf("repositories %v (%v)", got, err)
	}
	if m, err := r.Manifest(t.Context(), repo, "v1"); err != nil || m.Digest != index.Digest {
		t.Errorf("manifest %s, %v", m.Digest, err)
	}
	caps, err := r.Caps(t.Context())
	t.Logf("pulls: %+v (%v)", caps.Pulls, err)
	list, err := r.Referrers(t.Context(), repo, index.Digest)
	t.Logf("referrers API: %d (%v)", len(list), err)
}
