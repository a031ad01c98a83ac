package policy

// Sign in from another cloud or a cluster, with no key of this registry's cloud: who
// we are there is shown to this one, which trusts it and gives a credential of its
// own for an hour. docs/federation says what to make on the other side, and
// transship doctor prints it.
type FederatedAuth struct {
	// Where the identity comes from: aws, gcp, azure, or kubernetes, the service
	// account of a pod in any cluster that publishes its keys.
	From FederatedFrom `json:"from,omitempty" jsonschema:"required"`
	// Whom the token that is shown is for. Default: sts.amazonaws.com at ecr, the
	// workload identity provider at gar, api://AzureADTokenExchange at acr. From azure
	// to ecr and gar it is needed: the URI of an application, such as api://transship.
	Audience string `json:"audience,omitempty"`
	// The file of the projected service account token, from kubernetes. It is read at
	// each use.
	TokenFile string `json:"tokenFile,omitempty"`
	// The role to take, at ecr and ecrpublic.
	RoleARN string `json:"roleARN,omitempty" policy:"roleARN"`
	// The name of the session in AWS's logs, at ecr. Default: transship.
	SessionName string `json:"sessionName,omitempty" policy:"sessionName"`
	// The region of ECR's API, at ecr. Default: the host's.
	Region string `json:"region,omitempty" policy:"awsRegion"`
	// The provider of a workload identity pool, at gar, as in
	// projects/123456/locations/global/workloadIdentityPools/POOL/providers/ID.
	WorkloadIdentityProvider string `json:"workloadIdentityProvider,omitempty" policy:"poolProvider"`
	// The service account to act as, at gar. Default: the workload itself.
	ServiceAccount string `json:"serviceAccount,omitempty" policy:"serviceAccount"`
	// The tenant, at acr.
	TenantID string `json:"tenantID,omitempty"`
	// The application or user-assigned managed identity to sign in as, at acr.
	ClientID string `json:"clientID,omitempty"`
	// Who we are at AWS, from aws. Default: AWS's own chain.
	AWS *AWSAuth `json:"aws,omitempty"`
	// Who we are at Google, from gcp. Default: the account of the instance or pod.
	GCP *GCPAuth `json:"gcp,omitempty"`
	// Who we are at Azure, from azure. Default: Azure's own chain.
	Azure *AzureAuth `json:"azure,omitempty"`
}

// A FederatedFrom is where an identity comes from.
type FederatedFrom string

// The places.
const (
	FromAWS        FederatedFrom = "aws"
	FromGCP        FederatedFrom = "gcp"
	FromAzure      FederatedFrom = "azure"
	FromKubernetes FederatedFrom = "kubernetes"
)

// Values are the values that a policy may give.
func (FederatedFrom) Values() []string { return []string{"aws", "gcp", "azure", "kubernetes"} }
