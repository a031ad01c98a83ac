package policy

// Sign in to ECR and ECR Public with AWS's own chain: environment, shared configuration, web
// identity (IRSA), EKS Pod Identity, instance metadata. {} is that chain as it is.
type AWSAuth struct {
	// A profile of the shared configuration to begin with.
	Profile string `json:"profile,omitempty"`
	// The region of ECR's API; within federated that of the Security Token Service.
	// Default: the host's; within federated AWS_REGION, or the instance's.
	Region string `json:"region,omitempty" policy:"awsRegion"`
	// Roles to assume, each by the one before; the last one is who we are.
	Roles []AWSRole `json:"roles,omitempty"`
}

// A role to assume.
type AWSRole struct {
	// As in arn:aws:iam::123456789012:role/sync.
	ARN string `json:"arn,omitempty" policy:"roleARN"`
	// What the role's trust policy wants as sts:ExternalId.
	ExternalID string `json:"externalID,omitempty"`
	// The name of the session in AWS's logs. Default: transship.
	SessionName string `json:"sessionName,omitempty" policy:"sessionName"`
}

// Sign in to Artifact Registry with Google's application default credentials:
// GOOGLE_APPLICATION_CREDENTIALS, gcloud's login, the metadata server. {} is that
// chain as it is.
type GCPAuth struct {
	// A JSON file of a service account, or of workload identity federation.
	CredentialsFile string `json:"credentialsFile,omitempty"`
	// Service accounts to impersonate, each by the one before; the last one is who
	// we are.
	Impersonate []string `json:"impersonate,omitempty" policy:"serviceAccount"`
}

// Sign in to ACR with Azure's default chain: environment, workload identity,
// managed identity, CLI. {} is that chain as it is.
type AzureAuth struct {
	// One way of the chain, instead of trying all.
	Credential AzureCredential `json:"credential,omitempty"`
	// The tenant. Default: AZURE_TENANT_ID.
	TenantID string `json:"tenantID,omitempty"`
	// The application, or the user-assigned managed identity. Default: AZURE_CLIENT_ID.
	ClientID string `json:"clientID,omitempty"`
	// A service principal's secret.
	ClientSecret Secret `json:"clientSecret,omitzero"`
	// A service principal's certificate with its key, a PEM or PKCS #12 file.
	ClientCertificate string `json:"clientCertificate,omitempty"`
}

// An AzureCredential is one way to sign in to Azure.
type AzureCredential string

// The ways.
const (
	AzureCLI              AzureCredential = "cli"
	AzureManagedIdentity  AzureCredential = "managedIdentity"
	AzureServicePrincipal AzureCredential = "servicePrincipal"
	AzureWorkloadIdentity AzureCredential = "workloadIdentity"
)

// Values are the values that a policy may give.
func (AzureCredential) Values() []string {
	return []string{"workloadIdentity", "managedIdentity", "servicePrincipal", "cli"}
}

// How repositories are made that a push needs and that are not there. They are
// made with these settings and never changed afterwards, unless enforce says so.
type Create struct {
	// Make none: a repository that is missing is an error.
	Never bool `json:"never,omitempty"`
	// Set the settings on repositories that are there, too.
	Enforce bool `json:"enforce,omitempty"`
	// Settings of ECR repositories.
	ECR *CreateECR `json:"ecr,omitempty"`
	// Settings of Artifact Registry repositories.
	GAR *CreateGAR `json:"gar,omitempty"`
	// Make Harbor's projects, too, with these settings; without it one that is missing
	// is an error. {} is a private project.
	Harbor *CreateHarbor `json:"harbor,omitempty"`
}

// Settings of ECR repositories.
type CreateECR struct {
	// Leave everything to the account's repository creation template.
	Template bool `json:"template,omitempty"`
	// Whether tags may move. Default: the account's.
	Immutability Immutability `json:"immutability,omitempty"`
	// Tags to which immutability does not apply, with * as wildcard.
	Exclusions []string `json:"exclusions,omitempty"`
	// Scan images when they are pushed.
	ScanOnPush bool `json:"scanOnPush,omitempty"`
	// The KMS key to encrypt with, by ARN, id or alias. Default: AES-256.
	KMSKey string `json:"kmsKey,omitempty"`
	// A JSON file with the lifecycle policy.
	LifecyclePolicy string `json:"lifecyclePolicy,omitempty"`
	// A JSON file with the repository policy (who may pull).
	RepositoryPolicy string `json:"repositoryPolicy,omitempty"`
	// AWS tags of the repository.
	Tags map[string]string `json:"tags,omitempty"`
}

// An Immutability says whether tags may move.
type Immutability string

// Values are the values that a policy may give.
func (Immutability) Values() []string { return []string{"mutable", "immutable"} }

// Settings of Artifact Registry repositories.
type CreateGAR struct {
	// The Cloud KMS key to encrypt with, as projects/P/locations/L/keyRings/R/cryptoKeys/K.
	KMSKey string `json:"kmsKey,omitempty"`
	// Tags may not move.
	ImmutableTags bool `json:"immutableTags,omitempty"`
	// A JSON file with cleanup policies, as gcloud takes them.
	CleanupPolicies string `json:"cleanupPolicies,omitempty"`
	// Labels of the repository.
	Labels map[string]string `json:"labels,omitempty"`
	// What the repository is for.
	Description string `json:"description,omitempty"`
}

// Settings of Harbor's projects.
type CreateHarbor struct {
	// Anyone may read them.
	Public bool `json:"public,omitempty"`
	// What they may hold, such as 50GiB. Default: Harbor's own.
	StorageLimit Size `json:"storageLimit,omitempty"`
}
