package acr

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr/acrtest"
)

// cluster is an issuer that may be away.
type cluster struct {
	s    *acrtest.Server
	away error
}

const subject = "system:serviceaccount:mirror:transship"

func (c *cluster) Assertion(_ context.Context, audience string) (providers.Assertion, error) {
	if c.away != nil {
		return providers.Assertion{}, &providers.Error{Kind: providers.Unavailable, Op: "ask", Ref: "the cluster", Err: c.away}
	}
	a, err := providers.ReadAssertion(c.s.Entra().Federated(subject, audience))
	return a, err
}

func (c *cluster) Whoami(context.Context) (providers.Identity, error) {
	return providers.Identity{Name: subject}, nil
}

// TestFederatedLinks: each error is of the link that is broken now, whatever was
// broken before.
func TestFederatedLinks(t *testing.T) {
	s := serve(t, acrtest.Options{})
	unset(t)
	client := s.Entra().App("mirror", func(a *acrtest.App) { a.Secret, a.Subject = "", subject })
	s.Assign(client.ClientID, acrtest.AcrPush)
	c := &cluster{s: s, away: errors.New("it is away")}
	r := open(t, s, client, func(o *Options) {
		o.Identity = Identity{TenantID: client.Tenant, ClientID: client.ClientID, Federated: &Federated{Issuer: c}}
		o.OCI.Retry.Tries = 1
	})
	fails := func(want string, kind providers.Kind) {
		t.Helper()
		if _, err := r.signIn(t.Context()); providers.KindOf(err) != kind || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	fails("link assertion: ask the cluster: it is away", providers.Unavailable)
	c.away = nil
	in, err := r.signIn(t.Context())
	if err != nil || !strings.Contains(in.Who.Name, client.ClientID) || in.Who.From != "auth.federated" {
		t.Fatalf("%v, %v", in.Who, err)
	}
	c.away = errors.New("it is away again")
	s.Entra().ForgetTokens() // which the SDK holds still
	fails("link assertion: ask the cluster: it is away again", providers.Unavailable)
	c.away = nil
	s.Entra().Close()
	fails("link exchange: ", providers.Unavailable)
}

// TestAudiences: each of Azure's clouds has an audience of its own.
func TestAudiences(t *testing.T) {
	for host, want := range map[string]string{"acmedr.azurecr.io": "api://AzureADTokenExchange", "acmedr.azurecr.cn": "api://AzureADTokenExchangeChina",
		"acmedr.azurecr.us": "api://AzureADTokenExchangeUSGov"} {
		o := Options{Identity: Identity{Federated: &Federated{}}}
		o.OCI.Host, o.OCI.Timeouts.Dial = host, time.Second
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.audience(); got != want {
			t.Errorf("%s wants %s, not %s", host, want, got)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
