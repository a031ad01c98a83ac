package gar

import (
	"net/http"
	"sync"
	"testing"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/oci"
	"github.com/transship/transship/providers/registrytest/trial"
)

// TestMadeMeanwhile: a repository that somebody makes between the registry's answer,
// that it is not there or not ours, and the API's, that it is there, is no refusal.
func TestMadeMeanwhile(t *testing.T) {
	s := gartest.New(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync"))
	var once sync.Once
	var tries int
	r := open(t, s, func(o *Options) {
		o.OCI.Observe = func(q oci.Request) {
			if q.Op == providers.OpTags && q.Status == http.StatusForbidden {
				tries++
				once.Do(func() { s.Repository("acme/late", gartest.Settings{}) })
			}
		}
	})
	if _, err := trial.Collect(r.Rows(t.Context(), "acme/late/app")); providers.KindOf(err) != providers.NotFound || tries != 1 {
		t.Errorf("after %d refusals: %v", tries, err)
	}
}

// TestDeniedTwice: where the permission is missing the registry is asked once more,
// and no further; the error names the permission.
func TestDeniedTwice(t *testing.T) {
	s := serve(t, gartest.Options{})
	signedIn(t, s, s.IAM().Account("sync", "artifactregistry.repositories.get"))
	r := open(t, s)
	_, err := trial.Collect(r.Rows(t.Context(), "acme/mirror/team/app"))
	if n := s.Counts().Status[http.StatusForbidden]; providers.KindOf(err) != providers.Denied || n != 2 {
		t.Errorf("after %d refusals: %v", n, err)
	}
}
