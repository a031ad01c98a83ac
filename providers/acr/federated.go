package acr

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/transship/transship/providers"
)

// A Federated is somebody of another cloud, or of a cluster, whom a federated
// credential of an application or of a user-assigned managed identity takes.
type Federated struct {
	Issuer   providers.Issuer
	Audience string // of the assertion; "" is [Audience]
}

// Audience is whom assertions are for that Entra is to take, in the public cloud.
const Audience = "api://AzureADTokenExchange"

// audiences are those of the other clouds.
var audiences = map[string]string{"cn": "api://AzureADTokenExchangeChina", "us": "api://AzureADTokenExchangeUSGov"}

func (r *Registry) audience() string {
	return cmp.Or(r.opts.Identity.Federated.Audience, audiences[r.host.Cloud], Audience)
}

// shown is the last assertion that was shown to Entra, or why there was none: the
// SDK keeps of an error but its text.
type shown struct {
	mu        sync.Mutex
	assertion providers.Assertion
	err       error
}

func (s *shown) set(a providers.Assertion, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assertion, s.err = a, err
}

func (s *shown) get() (providers.Assertion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.assertion, s.err
}

// federated is the SDK's credential for assertions of others (RFC 7523 section 2.2).
func (i Identity) federated(o azcore.ClientOptions, alone bool, assertion func(context.Context) (string, error)) (azcore.TokenCredential, error) {
	return azidentity.NewClientAssertionCredential(i.TenantID, i.ClientID, assertion,
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: alone})
}

// assertion gets a new one for Entra.
func (r *Registry) assertion(ctx context.Context) (string, error) {
	a, err := r.opts.Identity.Federated.Issuer.Assertion(ctx, r.audience())
	if err == nil {
		err = a.Check(time.Now())
	}
	r.entra.shown.set(a, err)
	return string(a.Token), err
}

// explainFederated says which link is broken.
func (r *Registry) explainFederated(err error) error {
	a, missing := r.entra.shown.get()
	if missing != nil {
		return providers.Broken(providers.LinkAssertion, opSignIn, r.Host(), missing)
	}
	e := entraError(r.opts.Identity.describe(), err)
	e.Op, e.Ref = opSignIn, r.Host()
	if e.Kind == providers.Denied && a.Token != "" {
		e.Err = fmt.Errorf("%w; presented: %s; expected: a federated credential of client %s with audience %s, that issuer and that subject",
			e.Err, a, r.opts.Identity.ClientID, r.audience())
	}
	return providers.Broken(providers.LinkExchange, opSignIn, r.Host(), e)
}

// Way tries the links from another cloud to this registry, with new requests; nil if
// the identity comes from none.
func (r *Registry) Way(ctx context.Context) *providers.Way {
	f := r.opts.Identity.Federated
	if f == nil || r.given {
		return nil
	}
	way := &providers.Way{}
	way.Try(providers.LinkIdentity, func() (string, error) {
		who, err := f.Issuer.Whoami(ctx)
		if err != nil {
			return "", providers.Broken(providers.LinkIdentity, opSignIn, r.Host(), err)
		}
		return who.String(), nil
	})
	way.Try(providers.LinkAssertion, func() (string, error) {
		_, err := r.assertion(ctx)
		a, _ := r.entra.shown.get()
		if err != nil {
			return "", providers.Broken(providers.LinkAssertion, opSignIn, r.Host(), err)
		}
		way.Trust = r.trust(a)
		return a.String(), nil
	})
	way.Try(providers.LinkExchange, func() (string, error) {
		who, err := r.tryEntra(ctx)
		return "Entra takes it for " + who.Name, err
	})
	return way
}

// tryEntra asks for a token that is not kept.
func (r *Registry) tryEntra(ctx context.Context) (providers.Identity, error) {
	cred, err := r.newCredential("")
	if err != nil {
		return providers.Identity{}, r.unusable(err)
	}
	r.entra.shown.set(providers.Assertion{}, nil)
	token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience}})
	if err != nil {
		return providers.Identity{}, r.explainEntra(ctx, err)
	}
	return r.opts.Identity.whoIs(token.Token), nil
}

// trust is what to make at Entra so that a is taken.
func (r *Registry) trust(a providers.Assertion) string {
	doc, err := json.MarshalIndent(map[string]any{"name": "transship", "issuer": a.Issuer, "subject": a.Subject, "audiences": []string{r.audience()}}, "", "  ")
	if err != nil {
		panic(err) // texts
	}
	return fmt.Sprintf("az ad app federated-credential create --id %s --parameters credential.json\n%s", r.opts.Identity.ClientID, doc)
}
