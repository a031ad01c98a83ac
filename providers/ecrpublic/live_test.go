package ecrpublic

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/ecrpublic/ecrpublictest"
	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/trial"
)

// liveFolder is where the suite works below an alias; everything below it is deleted
// at the end.
const liveFolder = "transship-test"

// TestLive runs the suite against ECR Public itself, as docs/live-tests.md says.
func TestLive(t *testing.T) {
	alias := os.Getenv("TRANSSHIP_LIVE_ECRPUBLIC")
	if alias == "" {
		t.Skip("TRANSSHIP_LIVE_ECRPUBLIC names no alias; docs/live-tests.md says how to run against one")
	}
	o := Options{}
	o.OCI.Push = true
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	live(t, r, alias, os.Getenv("TRANSSHIP_LIVE_ECRPUBLIC_MOUNTS") == "yes")
}

// TestLiveSuite runs what TestLive runs against the emulator, and looks whether
// anything stays.
func TestLiveSuite(t *testing.T) {
	s := serve(t, ecrpublictest.Options{})
	signedIn(t, s.AWS().IAM().User("sync"))
	live(t, open(t, s), "acme", false)
	n := s.Counts()
	t.Logf("%d manifests, %d repositories, %d bytes", n.Of(registrytest.ManifestPut), s.Calls()["CreateRepository"], n.BytesIn)
	if left := s.Repositories(); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func live(t *testing.T, r *Registry, alias string, mounts bool) {
	who, err := r.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("as %s", who)
	defer cleanUp(t, r, alias)
	t.Run("suite", func(t *testing.T) {
		registrytest.Conformance(t, registrytest.Harness{
			NoIfMatch: true, HiddenBlobs: true, NoMount: !mounts, Folder: alias,
			OpenStore: func(t *testing.T) providers.Registry {
				return registrytest.Below(r, alias+"/"+liveFolder+"/"+strings.ToLower(rand.Text()))
			},
		})
	})
}

// cleanUp deletes every repository below liveFolder, those of runs that were broken
// off too.
func cleanUp(t *testing.T, r *Registry, alias string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	paths, err := trial.Collect(r.Repositories(ctx, alias+"/"+liveFolder+"/"))
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, path := range paths {
		_, name := split(path)
		in := &ecrpublic.DeleteRepositoryInput{RepositoryName: &name, Force: true}
		if _, err := ecr.Call(ctx, r.account, "delete repository", path, in, (*ecrpublic.Client).DeleteRepository); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}
