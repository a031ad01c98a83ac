package acr

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/transship/transship/providers"
)

// An Issuer is an identity of Azure as other clouds see it: by tokens of Entra for
// an application that stands for the other cloud, whose URI is their audience. The
// identity is a managed one, the cluster's workload identity, or what else the chain
// finds. It is safe for concurrent use.
type Issuer struct {
	opts  Options
	reach reach

	mu     sync.Mutex
	cred   azcore.TokenCredential
	secret string
}

var _ providers.Issuer = (*Issuer)(nil)

// NewIssuer returns the identity of o.Identity; o.OCI says how Azure is reached. It
// connects to nobody yet.
func NewIssuer(o Options) *Issuer {
	return &Issuer{opts: o, reach: reach{oci: o.OCI, authority: o.Endpoints.Authority}}
}

// azureARM is an audience for which Entra gives everybody a token.
const azureARM = "https://management.azure.com"

// Whoami asks Entra for a token for Azure itself, which anybody of the tenant gets.
func (i *Issuer) Whoami(ctx context.Context) (providers.Identity, error) {
	t, err := i.token(ctx, azureARM)
	if err != nil {
		return providers.Identity{}, err
	}
	who := i.opts.Identity.whoIs(t.Token)
	who.Expires = t.ExpiresOn
	return who, nil
}

// Assertion is a token for the application with that URI.
func (i *Issuer) Assertion(ctx context.Context, audience string) (providers.Assertion, error) {
	t, err := i.token(ctx, audience)
	if err != nil {
		return providers.Assertion{}, err
	}
	a, err := providers.ReadAssertion(t.Token)
	if err != nil {
		return a, i.fail(providers.Unavailable, fmt.Errorf("the token for %s: %w", audience, err), "")
	}
	return a, nil
}

// token is kept by the SDK as long as it lives.
func (i *Issuer) token(ctx context.Context, audience string) (azcore.AccessToken, error) {
	cred, err := i.credential()
	if err != nil {
		return azcore.AccessToken{}, i.fail(providers.Denied, errors.New(clean(err.Error())), "check auth.federated.azure")
	}
	t, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return t, cause
	}
	if err != nil {
		i.forget()
		return t, i.explain(audience, err)
	}
	return t, nil
}

func (i *Issuer) credential() (azcore.TokenCredential, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	secret, err := i.opts.Identity.secret()
	if err != nil || i.cred != nil && i.secret == secret {
		return i.cred, err
	}
	o, err := i.reach.clientOptions()
	if err != nil {
		return nil, err
	}
	cred, err := i.opts.Identity.credential(o, i.opts.Endpoints.Authority != "", secret)
	if err != nil {
		return nil, err
	}
	i.cred, i.secret = cred, secret
	return cred, nil
}

// forget has the credential made anew: what it is made of may change.
func (i *Issuer) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.cred = nil
}

func (i *Issuer) fail(kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: "ask for a token at", Ref: "Azure", Hint: hint, Err: err}
}

func (i *Issuer) explain(audience string, err error) error {
	e := entraError(i.opts.Identity.describe(), err)
	e.Op, e.Ref = "ask for a token at", "Azure"
	switch e.Code {
	case "AADSTS500011":
		e.Hint = "register an application with the URI " + audience + " in the tenant: az ad app create --identifier-uris " + audience
	case "":
		if e.Hint == hintIdentity {
			e.Hint = "give transship an identity of Azure: a managed identity, or the cluster's workload identity; auth.federated.azure names one"
		}
	}
	return e
}
