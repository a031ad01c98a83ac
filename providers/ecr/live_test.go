package ecr

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/trial"
)

// liveFolder is where the suite works at a live registry; everything below it is
// deleted at the end.
const liveFolder = "transship-test"

// TestLive runs the suite against Amazon ECR itself, as docs/live-tests.md says.
func TestLive(t *testing.T) {
	host := os.Getenv("TRANSSHIP_LIVE_ECR")
	if host == "" {
		t.Skip("TRANSSHIP_LIVE_ECR names no registry; docs/live-tests.md says how to run against one")
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
	s := serve(t, ecrtest.Options{Quirks: func(q *ecrtest.Quirks) { q.Rates = nil }})
	signedIn(t, s.IAM().User("sync"))
	live(t, open(t, s))
	n := s.Counts()
	t.Logf("%d manifests, %d repositories, %d bytes", n.Of(registrytest.ManifestPut), s.Calls()["CreateRepository"], n.BytesIn)
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
	caps, err := r.Caps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer cleanUp(t, r)
	t.Run("suite", func(t *testing.T) {
		registrytest.Conformance(t, registrytest.Harness{
			NoIfMatch: true, HiddenBlobs: true, NoMount: caps.Mount != providers.Yes,
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
	for _, name := range names {
		in := &ecr.DeleteRepositoryInput{RegistryId: r.registryID(), RepositoryName: &name, Force: true}
		if _, err := call(ctx, r, "delete repository", name, in, (*ecr.Client).DeleteRepository); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}
