package quay

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/quay/quaytest"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestLive pushes a little and reads it back at Quay itself, as docs/live-tests.md
// says.
func TestLive(t *testing.T) {
	at := os.Getenv("TRANSSHIP_LIVE_QUAY")
	if at == "" {
		t.Skip("TRANSSHIP_LIVE_QUAY names no registry; docs/live-tests.md says how to run against one")
	}
	host, folder, _ := strings.Cut(at, "/")
	user, secret, _ := strings.Cut(os.Getenv("TRANSSHIP_LIVE_QUAY_AUTH"), ":")
	o := Options{OCI: oci.Options{Host: host, Push: true, Authenticator: authn.FromConfig(authn.AuthConfig{Username: user, Password: secret})}}
	if token := os.Getenv("TRANSSHIP_LIVE_QUAY_API_TOKEN"); token != "" {
		o.APIToken = func() (string, error) { return token, nil }
	}
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
	trial.Live(t, robot(t, s, quaytest.Creator("acme")), "acme/transship-test")
}
