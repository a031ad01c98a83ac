package gar

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/trial"
)

const pool = "projects/42/locations/global/workloadIdentityPools/p/providers/x"

// cluster is an issuer whose tokens the emulator knows.
type cluster struct {
	s     *gartest.Server
	asked atomic.Int64
}

func (c *cluster) Assertion(context.Context, string) (providers.Assertion, error) {
	c.asked.Add(1)
	return providers.Assertion{Token: providers.Hidden(c.s.IAM().Workload("pod", "//iam.googleapis.com/"+pool)), Subject: "pod",
		Expires: time.Now().Add(10 * time.Minute)}, nil
}

func (c *cluster) Whoami(context.Context) (providers.Identity, error) {
	return providers.Identity{Name: "pod"}, nil
}

// TestFederatedDay: a registry that is looked at every five minutes for a day makes
// five exchanges in four hours, each with a new assertion and one impersonation.
func TestFederatedDay(t *testing.T) {
	s := serve(t, gartest.Options{})
	clean(t)
	email := s.IAM().Account("mirror")
	s.IAM().Trust(email, gartest.Principal("pod"))
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{s: s}
		r := open(t, s, func(o *Options) {
			o.OCI.Base, o.Endpoints.STS = inProcess{s}, s.Endpoint()+"/v1/token"
			o.Identity = Identity{Federated: &Federated{Provider: pool, Issuer: c}, Impersonate: []string{email}}
		})
		const hours = 24
		for range hours * 12 {
			if _, err := r.Head(t.Context(), app, "v1"); err != nil {
				t.Fatal(err)
			}
			if _, err := trial.Collect(r.Repositories(t.Context(), "acme/")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Minute)
		}
		n := s.Calls()["Exchange"]
		if n < hours*5/4-1 || n > hours*5/4+1 || s.Calls()["GenerateAccessToken"] != n || c.asked.Load() != n {
			t.Errorf("%d assertions in %d hours: %v", c.asked.Load(), hours, s.Calls())
		}
		who, err := r.Whoami(t.Context())
		if err != nil || who.Name != email || who.From != "impersonated by pod, workload of "+pool {
			t.Errorf("we are %v (%v)", who, err)
		}
	})
}
