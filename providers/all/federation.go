package all

import (
	"context"
	"fmt"
	"strings"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/acr"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/gar"
	"github.com/transship/transship/providers/tokenfile"
)

// A Federation says how a registry of one cloud is signed in to from another. Who we
// are there is the identity of that cloud in [Options]: ECR for aws, GAR for gcp, ACR
// for azure.
type Federation struct {
	From      string // aws, gcp, azure or kubernetes; "" for none
	Audience  string // of what is shown; "" is what the registry's cloud expects by itself
	TokenFile string // for kubernetes

	RoleARN, SessionName     string // at ecr
	Region                   string // at ecr, where the host does not tell it
	WorkloadIdentityProvider string // at gar
	ServiceAccount           string // at gar: whom to act as, "" for the workload itself
	TenantID, ClientID       string // at acr
}

// Froms lists where an identity can come from.
func Froms() []string { return []string{"aws", "azure", "gcp", "kubernetes"} }

// issuer is who we are where we come from.
func (o Options) issuer() (providers.Issuer, error) {
	switch o.Federated.From {
	case "aws":
		return o.aws()
	case "gcp":
		endpoints, err := garEndpoints(o)
		if err != nil {
			return nil, err
		}
		return gar.NewIssuer(gar.Options{OCI: o.oci(), Identity: o.GAR, Endpoints: endpoints})
	case "azure":
		endpoints, err := acrEndpoints(o)
		return acr.NewIssuer(acr.Options{OCI: o.oci(), Identity: o.ACR, Endpoints: endpoints}), err
	case "kubernetes":
		return tokenfile.Issuer{Path: o.Federated.TokenFile, Audience: o.Federated.Audience}, nil
	}
	return nil, &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.Host,
		Hint: "write one of " + strings.Join(Froms(), ", "), Err: fmt.Errorf("no identity comes from %q", o.Federated.From)}
}

func (o Options) aws() (*ecr.Issuer, error) {
	return ecr.NewIssuer(ecr.Options{OCI: o.oci(), Identity: o.ECR}), checkECREndpoints(o)
}

// ecrIdentity is who signs in at an ECR.
func (o Options) ecrIdentity() (ecr.Identity, error) {
	f := o.Federated
	if f.From == "" {
		return o.ECR, nil
	}
	issuer, err := o.issuer()
	return ecr.Identity{Region: f.Region, Federated: &ecr.Federated{Issuer: issuer, Audience: f.Audience,
		RoleARN: f.RoleARN, SessionName: f.SessionName}}, err
}

// garIdentity is who signs in at an Artifact Registry. Google judges a request that
// AWS's keys sign; others show an assertion.
func (o Options) garIdentity() (gar.Identity, error) {
	f := o.Federated
	if f.From == "" {
		return o.GAR, nil
	}
	id := gar.Identity{Federated: &gar.Federated{Provider: f.WorkloadIdentityProvider, Audience: f.Audience}}
	if f.ServiceAccount != "" {
		id.Impersonate = []string{f.ServiceAccount}
	}
	var err error
	if f.From == "aws" {
		id.Federated.AWS, err = o.aws()
		return id, err
	}
	id.Federated.Issuer, err = o.issuer()
	return id, err
}

// acrIdentity is who signs in at an ACR.
func (o Options) acrIdentity() (acr.Identity, error) {
	f := o.Federated
	if f.From == "" {
		return o.ACR, nil
	}
	issuer, err := o.issuer()
	return acr.Identity{TenantID: f.TenantID, ClientID: f.ClientID, Federated: &acr.Federated{Issuer: issuer, Audience: f.Audience}}, err
}

// Way tries, link by link, how the registry is signed in to from another cloud; nil
// if it is not.
func Way(ctx context.Context, r providers.Registry) *providers.Way {
	if w, ok := r.(interface {
		Way(context.Context) *providers.Way
	}); ok {
		return w.Way(ctx)
	}
	return nil
}
