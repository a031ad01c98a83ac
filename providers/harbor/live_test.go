package harbor

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers/harbor/harbortest"
	"github.com/transship/transship/providers/oci"
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
	trial.Live(t, r, folder+"/transship-test")
}

// TestLiveSuite runs what TestLive runs against the emulator.
func TestLiveSuite(t *testing.T) {
	s, _ := serve(t)
	trial.Live(t, robot(t, s, harbortest.On("acme", harbortest.Writer...)), "acme/transship-test")
}
