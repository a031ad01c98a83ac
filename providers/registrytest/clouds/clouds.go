// Package clouds is three clouds and a cluster on loopback that can be made to trust
// each other, for tests of identities that come from one and sign in at another. All
// tokens are signed for real, and verified by whom they are shown to. It is never
// part of the shipped binary.
//
//	w := clouds.New(t)
//	w.RunsIn(clouds.AWS)                  // this process is a pod of EKS
//	auth := w.Trust(clouds.AWS, clouds.GCP)
package clouds

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/transship/transship/providers/acr/acrtest"
	"github.com/transship/transship/providers/ecr/ecrtest"
	"github.com/transship/transship/providers/gar/gartest"
	"github.com/transship/transship/providers/registrytest/content"
	"github.com/transship/transship/providers/registrytest/idp"
)

// Where identities come from, and where they sign in.
const (
	AWS        = "aws"
	GCP        = "gcp"
	Azure      = "azure"
	Kubernetes = "kubernetes"
)

// The service account that this process has in a cluster, and the application that
// stands for other clouds at Entra.
const (
	Namespace, Account = "mirror", "transship"
	Application        = "api://transship"
)

// A World is the clouds, each with one image of the tag v1 in [Repo].
type World struct {
	ECR     *ecrtest.Server
	GAR     *gartest.Server
	ACR     *acrtest.Server
	Cluster *idp.Cluster

	t   testing.TB
	dir string
}

// New starts the clouds; they end with the test. The registries speak TLS, of
// authorities that are in [World.CA]. Nobody is signed in anywhere.
func New(t *testing.T) *World {
	t.Helper()
	w := &World{t: t, dir: t.TempDir(), Cluster: idp.NewCluster(t), ECR: ecrtest.New(t, ecrtest.Options{TLS: true}),
		GAR: gartest.New(t, gartest.Options{TLS: true}), ACR: acrtest.New(t, acrtest.Options{TLS: true})}
	for cloud, load := range map[string]func(string, *content.Manifest, ...string) error{AWS: w.ECR.Load, GCP: w.GAR.Load, Azure: w.ACR.Load} {
		if err := load(Repo(cloud), content.Image("app", []content.Blob{content.Layer("l", 1000)}), "v1"); err != nil {
			t.Fatal(err)
		}
	}
	w.nobody(t)
	return w
}

// Repo is a repository that is there in each cloud.
func Repo(cloud string) string {
	if cloud == GCP {
		return "acme/mirror/team/app"
	}
	return "team/app"
}

// nobody has the SDKs find the emulators, and no identity.
func (w *World) nobody(t *testing.T) {
	entra := w.ACR.Entra()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_ROLE_ARN": "", "AWS_ROLE_SESSION_NAME": "",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL_ECR": w.ECR.Endpoint(), "AWS_ENDPOINT_URL_STS": w.ECR.Endpoint(),
		"HOME": t.TempDir(), "GOOGLE_APPLICATION_CREDENTIALS": "", "GCE_METADATA_HOST": "127.0.0.1:1",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY": w.GAR.Endpoint(), "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": w.GAR.Endpoint(),
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_STS": w.GAR.Endpoint(), "CLOUDSDK_ARTIFACTS_LOCATION": w.GAR.Location(),
		"AZURE_AUTHORITY_HOST": entra.URL(), "AZURE_CLIENT_ID": "", "AZURE_TENANT_ID": "", "AZURE_CLIENT_SECRET": "",
		"AZURE_CLIENT_CERTIFICATE_PATH": "", "AZURE_FEDERATED_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
}

// CA is a file with the authorities of all of them.
func (w *World) CA() string {
	return w.write("ca.pem", string(slices.Concat(w.ECR.CA(), w.GAR.CA(), w.ACR.CA(), w.ACR.Entra().CA())))
}

// Host is the registry of a cloud.
func (w *World) Host(cloud string) string {
	return map[string]string{AWS: w.ECR.Host(), GCP: w.GAR.Host(), Azure: w.ACR.Host()}[cloud]
}

func (w *World) write(name, text string) string {
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// Project writes the pod's token for an audience anew, as the kubelet does, and
// returns the file; change may alter its claims first.
func (w *World) Project(audience string, change ...func(map[string]any)) (file string) {
	return w.Write(audience, w.Cluster.Token(Namespace, Account, audience, time.Hour, change...))
}

// Write writes any text where the pod's token for an audience is.
func (w *World) Write(audience, text string) (file string) {
	return w.write(fmt.Sprintf("token-%x", audience), text)
}

// RunsIn makes this process a pod in a cluster of that cloud, or of none: with IRSA
// at AWS, Google's metadata, Azure's workload identity. It returns who it is there.
func (w *World) RunsIn(t *testing.T, cloud string) (who string) {
	w.nobody(t)
	switch cloud {
	case AWS:
		return w.irsa(t)
	case GCP:
		email := w.GAR.IAM().Account("pod")
		w.GAR.Attach(email)
		t.Setenv("GCE_METADATA_HOST", w.GAR.MetadataHost())
		return email
	case Azure:
		return w.aks(t)
	}
	return idp.Subject(Namespace, Account)
}

// irsa is a role that the cluster's service account has (EKS).
func (w *World) irsa(t *testing.T) string {
	const audience = "sts.amazonaws.com"
	iam := w.ECR.IAM()
	iam.OIDCProvider(w.Cluster.Issuer(), w.Cluster.URL(), audience)
	role := iam.Role(w.ECR.Account(), "pod", ecrtest.Trust{Federated: []ecrtest.Federated{
		{Issuer: w.Cluster.Issuer(), Subject: idp.Subject(Namespace, Account), Audience: audience}}})
	t.Setenv("AWS_ROLE_ARN", role)
	t.Setenv("AWS_REGION", w.ECR.Region())
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", w.Project(audience))
	return role
}

// aks is an application that the cluster's service account has.
func (w *World) aks(t *testing.T) string {
	const audience = "api://AzureADTokenExchange"
	entra := w.ACR.Entra()
	entra.Know(w.Cluster.Issuer(), w.Cluster.URL())
	entra.Resource(Application)
	app := entra.App("pod", func(a *acrtest.App) {
		a.Secret, a.Federated = "", []acrtest.FederatedCredential{{Issuer: w.Cluster.Issuer(), Subject: idp.Subject(Namespace, Account), Audience: audience}}
	})
	t.Setenv("AZURE_CLIENT_ID", app.ClientID)
	t.Setenv("AZURE_TENANT_ID", app.Tenant)
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", w.Project(audience))
	return app.ClientID
}
