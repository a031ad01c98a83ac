package app

import (
	"fmt"
	"os"
	"strings"

	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/all"
)

// cloudOptions says in the clouds' words what the policy says of a registry's
// identity and of how its repositories are made. Files are read now.
func cloudOptions(o *all.Options, what policy.Registry) error {
	identities(o, what.Auth.AWS, what.Auth.GCP, what.Auth.Azure)
	if f := what.Auth.Federated; f != nil {
		identities(o, f.AWS, f.GCP, f.Azure)
		o.Federated = all.Federation{From: string(f.From), Audience: f.Audience, TokenFile: f.TokenFile,
			RoleARN: f.RoleARN, SessionName: f.SessionName, Region: f.Region,
			WorkloadIdentityProvider: f.WorkloadIdentityProvider, ServiceAccount: f.ServiceAccount,
			TenantID: f.TenantID, ClientID: f.ClientID}
	}
	if t := what.Auth.APIToken; !t.IsZero() {
		o.QuayToken = t.Resolve
	}
	return createOptions(o, what.Create)
}

// identities are who we are in each cloud.
func identities(o *all.Options, aws *policy.AWSAuth, gcp *policy.GCPAuth, azure *policy.AzureAuth) {
	if aws != nil {
		o.ECR.Profile, o.ECR.Region = aws.Profile, aws.Region
		for _, r := range aws.Roles {
			o.ECR.Roles = append(o.ECR.Roles, all.ECRRole{ARN: r.ARN, ExternalID: r.ExternalID, SessionName: r.SessionName})
		}
	}
	if gcp != nil {
		o.GAR.CredentialsFile, o.GAR.Impersonate = gcp.CredentialsFile, gcp.Impersonate
	}
	if azure != nil {
		o.ACR = all.ACRIdentity{Credential: string(azure.Credential), TenantID: azure.TenantID,
			ClientID: azure.ClientID, ClientCertificate: azure.ClientCertificate}
		if !azure.ClientSecret.IsZero() {
			o.ACR.ClientSecret = azure.ClientSecret.Resolve
		}
	}
}

func createOptions(o *all.Options, c policy.Create) (err error) {
	o.CreateECR.Never, o.CreateECR.Enforce = c.Never, c.Enforce
	o.CreateGAR.Never, o.CreateGAR.Enforce = c.Never, c.Enforce
	o.CreateACR.Never = c.Never
	if h := c.Harbor; h != nil {
		o.CreateHarbor.Projects, o.CreateHarbor.Public, o.CreateHarbor.StorageLimit = true, h.Public, int64(h.StorageLimit)
	}
	if e := c.ECR; e != nil {
		o.CreateECR.Template, o.CreateECR.Immutability, o.CreateECR.Exclusions = e.Template, strings.ToUpper(string(e.Immutability)), e.Exclusions
		o.CreateECR.ScanOnPush, o.CreateECR.KMSKey, o.CreateECR.Tags = e.ScanOnPush, e.KMSKey, e.Tags
		if o.CreateECR.LifecyclePolicy, err = settingsFile("create.ecr.lifecyclePolicy", e.LifecyclePolicy); err != nil {
			return err
		}
		if o.CreateECR.RepositoryPolicy, err = settingsFile("create.ecr.repositoryPolicy", e.RepositoryPolicy); err != nil {
			return err
		}
	}
	if g := c.GAR; g != nil {
		o.CreateGAR.KMSKey, o.CreateGAR.ImmutableTags = g.KMSKey, g.ImmutableTags
		o.CreateGAR.Labels, o.CreateGAR.Description = g.Labels, g.Description
		if o.CreateGAR.CleanupPolicies, err = settingsFile("create.gar.cleanupPolicies", g.CleanupPolicies); err != nil {
			return err
		}
	}
	return nil
}

// settingsFile reads what a key of the policy points to, "" is nothing.
func settingsFile(key, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return text, nil
}
