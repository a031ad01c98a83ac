package gar

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	artifactregistry "cloud.google.com/go/artifactregistry/apiv1"
	pb "cloud.google.com/go/artifactregistry/apiv1/artifactregistrypb"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest"
)

// liveRepository is the repository in which the suite works in a live project; it is
// made, and deleted at the end.
const liveRepository = "transship-test"

// TestLive runs the suite against Artifact Registry itself, as docs/live-tests.md says.
func TestLive(t *testing.T) {
	host, project, _ := strings.Cut(os.Getenv("TRANSSHIP_LIVE_GAR"), "/")
	if project == "" {
		t.Skip("TRANSSHIP_LIVE_GAR names no host/project; docs/live-tests.md says how to run against one")
	}
	r, err := New(Options{OCI: oci.Options{Host: host, Push: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	live(t, r, project, os.Getenv("TRANSSHIP_LIVE_GAR_MOUNTS") == "no")
}

// TestLiveSuite runs what TestLive runs against the emulator, and looks whether
// anything stays.
func TestLiveSuite(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	live(t, open(t, s), "acme", false)
	n := s.Counts()
	t.Logf("%d manifests, %d bytes", n.Of(registrytest.ManifestPut), n.BytesIn)
	if left := s.Repositories(); len(left) != 1 || left[0] != app {
		t.Errorf("left behind: %v", left)
	}
}

func live(t *testing.T, r *Registry, project string, noMount bool) {
	who, err := r.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("as %s", who)
	folder := project + "/" + liveRepository
	if err := r.Ensure(t.Context(), folder+"/any"); err != nil {
		t.Fatal(err)
	}
	defer cleanUp(t, r, r.host.place(folder))
	t.Run("suite", func(t *testing.T) {
		registrytest.Conformance(t, registrytest.Harness{
			NoIfMatch: true, NoMount: noMount, Folder: folder + "/x",
			OpenStore: func(t *testing.T) providers.Registry {
				return registrytest.Below(r, folder+"/"+strings.ToLower(rand.Text()))
			},
		})
	})
}

// cleanUp deletes the repository with all that is in it.
func cleanUp(t *testing.T, r *Registry, at place) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	_, err := call(ctx, r, "delete repository", "DeleteRepository", at.key(), func(c *artifactregistry.Client) (*artifactregistry.DeleteRepositoryOperation, error) {
		return c.DeleteRepository(ctx, &pb.DeleteRepositoryRequest{Name: r.host.resource(at)})
	})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
}
