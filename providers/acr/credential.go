package acr

import (
	"errors"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// credential returns the one to sign in with, made anew where its secret has
// changed. The lock is held.
func (r *Registry) credential() (azcore.TokenCredential, error) {
	e := &r.entra
	secret, err := r.opts.Identity.secret()
	if err != nil {
		return nil, err
	}
	if e.cred != nil && e.secret == secret {
		return e.cred, nil
	}
	c, err := r.newCredential(secret)
	if err != nil {
		return nil, err
	}
	e.cred, e.secret = c, secret
	return c, nil
}

// secret is the service principal's as it is now, "" for none.
func (i Identity) secret() (string, error) {
	if i.ClientSecret == nil {
		return "", nil
	}
	return i.ClientSecret()
}

func (r *Registry) newCredential(secret string) (azcore.TokenCredential, error) {
	o, err := r.clientOptions()
	if err != nil {
		return nil, err
	}
	alone := r.opts.Endpoints.Authority != "" // it is trusted, and Azure need not know it
	if f := r.opts.Identity.Federated; f != nil {
		return r.opts.Identity.federated(o, alone, r.assertion)
	}
	return r.opts.Identity.credential(o, alone, secret)
}

// credential is the SDK's for an identity of Azure's own.
func (i Identity) credential(o azcore.ClientOptions, alone bool, secret string) (azcore.TokenCredential, error) {
	switch i.way() {
	case cli:
		return azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: i.TenantID})
	case managedIdentity:
		return azidentity.NewManagedIdentityCredential(i.managed(o))
	case workloadIdentity:
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: o,
			ClientID: i.ClientID, TenantID: i.TenantID, DisableInstanceDiscovery: alone})
	case servicePrincipal:
		if i.ClientCertificate != "" {
			return i.certificate(o, alone)
		}
		if secret == "" {
			return nil, errNoSecret
		}
		return azidentity.NewClientSecretCredential(i.TenantID, i.ClientID, secret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: alone})
	case "":
		if i.ClientID != "" {
			return i.chain(o, alone)
		}
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: o,
			TenantID: i.TenantID, DisableInstanceDiscovery: alone})
	default:
		return nil, fmt.Errorf("there is no credential %q", i.Credential)
	}
}

// way is how to sign in, "" for the default chain.
func (i Identity) way() string {
	if i.Credential == "" && (i.ClientSecret != nil || i.ClientCertificate != "") {
		return servicePrincipal
	}
	return i.Credential
}

func (i Identity) managed(o azcore.ClientOptions) *azidentity.ManagedIdentityCredentialOptions {
	m := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: o}
	if i.ClientID != "" {
		m.ID = azidentity.ClientID(i.ClientID)
	}
	return m
}

func (i Identity) certificate(o azcore.ClientOptions, alone bool) (azcore.TokenCredential, error) {
	raw, err := os.ReadFile(i.ClientCertificate)
	if err != nil {
		return nil, err
	}
	certs, key, err := azidentity.ParseCertificates(raw, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.ClientCertificate, err)
	}
	return azidentity.NewClientCertificateCredential(i.TenantID, i.ClientID, certs, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: alone})
}

// chain is the default chain for one client: as the cluster's workload identity
// where there is one, else as the instance's managed identity.
func (i Identity) chain(o azcore.ClientOptions, alone bool) (azcore.TokenCredential, error) {
	if os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "" {
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: o,
			ClientID: i.ClientID, TenantID: i.TenantID, DisableInstanceDiscovery: alone})
	}
	return azidentity.NewManagedIdentityCredential(i.managed(o))
}

var errNoSecret = errors.New("a service principal needs a secret or a certificate")

// describe says how somebody signs in, before it is known who they are.
func (i Identity) describe() string {
	who := ""
	if i.ClientID != "" {
		who = "client " + i.ClientID
		if i.TenantID != "" {
			who += " of tenant " + i.TenantID
		}
	} else if i.TenantID != "" {
		who = "tenant " + i.TenantID
	}
	how := i.from()
	if who == "" {
		return how
	}
	return who + " (" + how + ")"
}

// from says how the identity was found.
func (i Identity) from() string {
	if i.Federated != nil {
		return "auth.federated"
	}
	switch i.way() {
	case cli:
		return "the Azure CLI's account"
	case managedIdentity:
		return "the managed identity of this machine"
	case workloadIdentity:
		return "the workload identity of AZURE_FEDERATED_TOKEN_FILE"
	case servicePrincipal:
		if i.ClientCertificate != "" {
			return "the service principal's certificate"
		}
		return "the service principal's secret"
	}
	for _, at := range []struct{ variable, says string }{
		{"AZURE_CLIENT_SECRET", "the secret of AZURE_CLIENT_SECRET"},
		{"AZURE_CLIENT_CERTIFICATE_PATH", "the certificate of AZURE_CLIENT_CERTIFICATE_PATH"},
		{"AZURE_FEDERATED_TOKEN_FILE", "the workload identity of AZURE_FEDERATED_TOKEN_FILE"},
	} {
		if os.Getenv(at.variable) != "" {
			return at.says
		}
	}
	return "the default credentials of Azure"
}
