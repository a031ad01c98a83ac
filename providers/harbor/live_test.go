package harbor

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/harbor/harbortest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestLive pushes a little and reads it back at Harbor itself, as docs/live-tests.md
// says.
func TestLive(t *testing.T) {
	at := os.Getenv("TRANSSHIP_LIVE_HARBOR")
	if at == "" {
		t.Skip("TRANSSHIP_LIVE_HARBOR names no registry; docs/live-tests.md says how to run against one")
	}
	host, folder, _ := strings.Cut(at, "/")
	user, secret, _ := strings.Cut(os.Getenv("TRANSSHIP_LIVE_HARBOR_AUTH"), ":")
	o := Options{OCI: oci.Options{Host: host, Push: true, Authenticator: authn.FromConfig(authn.AuthConfig{Username: user, Password: secret})}}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	live(t, r, folder+"/transship-test")
}

// TestLiveSuite runs what TestLive runs against the emulator.
func TestLiveSuite(t *testing.T) {
	s, _ := serve(t)
	live(t, robot(t, s, harbortest.On("acme", harbortest.Writer...)), "acme/transship-test")
}

func live(t *testing.T, r *Registry, repo string) {
	who, err := r.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("as %s", who)
	if err := r.Ensure(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	image := content.Image("live", []content.Blob{content.Layer("live", 1000)})
	index := content.Index([]*content.Manifest{image})
	signature := content.Refer(index, "application/x.transship-test", "live")
	for _, part := range []*content.Manifest{image, signature, index} {
		ref := part.Digest.String()
		if part == index {
			ref = "live"
		}
		if err := trial.Push(t, r, repo, ref, part); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.Referrers(t.Context(), repo, index.Digest)
	t.Logf("referrers: %d, %v", len(list), err)
	if err := r.TryPush(t.Context(), repo); err != nil {
		t.Errorf("try to push: %v", err)
	}
	rows, err := trial.Collect(r.Rows(t.Context(), repo))
	found := false
	for _, row := range rows {
		found = found || len(row.Tags) == 1 && row.Tags[0] == "live" && (row.Digest == index.Digest || row.Digest.Hex == "")
	}
	if err != nil || !found {
		t.Errorf("rows %+v (%v)", rows, err)
	}
	_, err = r.Head(t.Context(), repo, "absent")
	if providers.KindOf(err) != providers.NotFound {
		t.Errorf("a tag that is not there: %v", err)
	}
}
