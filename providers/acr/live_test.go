package acr

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/trial"
)

// liveFolder is where the suite works at a live registry; everything below it is
// deleted at the end.
const liveFolder = "transship-test"

// TestLive runs the suite against Azure Container Registry itself, as
// docs/live-tests.md says.
func TestLive(t *testing.T) {
	host := os.Getenv("TRANSSHIP_LIVE_ACR")
	if host == "" {
		t.Skip("TRANSSHIP_LIVE_ACR names no registry; docs/live-tests.md says how to run against one")
	}
	r, err := New(Options{OCI: oci.Options{Host: host, Push: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	live(t, r)
}

// TestLiveSuite runs what TestLive runs against the emulator, and looks whether
// anything stays.
func TestLiveSuite(t *testing.T) {
	s := serve(t, acrtest.Options{})
	live(t, open(t, s, app(s, acrtest.AcrPush, acrtest.AcrDelete)))
	n := s.Counts()
	t.Logf("%d manifests, %d bytes", n.Of(registrytest.ManifestPut), n.BytesIn)
	if left := s.Repositories(); len(left) != 1 || left[0] != "team/app" {
		t.Errorf("left behind: %v", left)
	}
}

func live(t *testing.T, r *Registry) {
	who, err := r.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("as %s", who)
	defer cleanUp(t, r)
	t.Run("suite", func(t *testing.T) {
		registrytest.Conformance(t, registrytest.Harness{
			NoIfMatch: true,
			OpenStore: func(t *testing.T) providers.Registry {
				return registrytest.Below(r, liveFolder+"/"+strings.ToLower(rand.Text()))
			},
		})
	})
}

// cleanUp deletes every repository below liveFolder, those of runs that were broken
// off too.
func cleanUp(t *testing.T, r *Registry) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	names, err := trial.Collect(r.Repositories(ctx, liveFolder+"/"))
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	sdk := azure(t, r)
	for _, name := range names {
		if _, err := sdk.DeleteRepository(ctx, name, nil); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}

// azure is the SDK's own client of the registry, as the same identity.
func azure(t *testing.T, r *Registry) *azcontainerregistry.Client {
	t.Helper()
	r.entra.mu.Lock()
	defer r.entra.mu.Unlock()
	cred, err := r.credential()
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.clientOptions()
	if err != nil {
		t.Fatal(err)
	}
	o.Cloud.Services = map[cloud.ServiceName]cloud.ServiceConfiguration{azcontainerregistry.ServiceName: {Audience: strings.TrimSuffix(audience, "/.default")}}
	scheme := "https://"
	if r.opts.OCI.PlainHTTP {
		scheme = "http://"
	}
	c, err := azcontainerregistry.NewClient(scheme+r.Host(), cred, &azcontainerregistry.ClientOptions{ClientOptions: o})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
