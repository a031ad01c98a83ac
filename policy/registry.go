package policy

import (
	"net/url"
	"path/filepath"
	"strings"
)

// One registry: how to reach it, who we are there, and how hard to push.
type Registry struct {
	// The host, as in registry.example.com or registry.lab:5000, or its URL.
	// Every registry but a layout has one.
	Host string `json:"host,omitempty" policy:"host"`
	// What kind of registry it is: ecr (Amazon ECR), ecrpublic (Amazon ECR
	// Public), gar (Google Artifact Registry and its gcr.io hosts), acr (Azure
	// Container Registry), dockerhub (Docker Hub), ghcr (GitHub's), gitlab (GitLab's
	// container registry, GitLab.com's or one's own), harbor (Harbor), quay (quay.io,
	// or a Quay of one's own), oci (any registry that follows the OCI distribution
	// spec) or layout (OCI image layouts on disk). Default: inferred from the host; a
	// Harbor's does not tell.
	Provider string `json:"provider,omitempty" policy:"provider"`
	// The folder of a layout; each repository is a folder below it. Like all paths
	// here, it is relative to the folder in which transship runs.
	Path string `json:"path,omitempty"`
	// The host of the service's own API, where the registry's name does not tell it:
	// at gitlab, that of GitLab itself, such as gitlab.example.com, which lists
	// repositories, at ghcr that of a GitHub of one's own, and at a mirror of Docker
	// Hub, which has none by itself, that of the Hub. The password of this registry
	// goes there, too.
	APIHost string `json:"apiHost,omitempty" policy:"host"`
	// Speak http instead of https. Needed for an http:// host.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// Who we are. Default: at ecr, ecrpublic, gar and acr the cloud's own chain; elsewhere the
	// docker configuration and its credential helpers, then anonymous.
	Auth Auth `json:"auth,omitzero"`
	// A PEM file with the certificate authorities to trust besides the system's.
	CAFile string `json:"caFile,omitempty"`
	// A PEM file with a client certificate; clientKey goes with it.
	ClientCert string `json:"clientCert,omitempty"`
	// A PEM file with the client certificate's key.
	ClientKey string `json:"clientKey,omitempty"`
	// The proxy's URL (http, https or socks5). Default: the environment's
	// HTTPS_PROXY and NO_PROXY.
	Proxy Secret `json:"proxy,omitzero"`
	// The one token service, by URL, that may receive this registry's
	// credentials although it is on a private address of another host.
	TokenRealm string `json:"tokenRealm,omitempty" policy:"url"`
	// Hosts on private addresses to which this registry may send us for blobs and
	// uploads, such as the object store behind it. They never get a credential.
	TrustHosts []string `json:"trustHosts,omitempty" policy:"host"`
	// Upper bounds on what is asked of the registry.
	Limits Limits `json:"limits,omitzero"`
	// At dockerhub, the share of the account's or the address's pulls that is left to
	// others. Default: 10%.
	Reserve Percent `json:"reserve,omitzero"`
	// At acr, how Azure's resource manager names the registry, for via: import:
	// /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ContainerRegistry/registries/NAME.
	ResourceID string `json:"resourceID,omitempty"`
	// How repositories are made that a push needs, where pushing does not make them.
	Create Create `json:"create,omitzero"`
	// USD per GB (1,000,000,000 bytes) for reading from where transship runs; 0 is
	// free. Bytes that several registries hold are read where it is lowest, and
	// plans show the sum: see nearest reader. Without a price it is not known to be
	// cheaper than another.
	EgressPrice *float64 `json:"egressPrice,omitempty" jsonschema:"minimum=0"`
	// What the registry can do, where it is known better than by trying: mount,
	// chunks, referrers (the API), fallbackTags (those of referrers), sparseIndex,
	// schema1 and catalog, each yes or no; changes: no has an ACR listed whole each time.
	Capabilities map[string]Ability `json:"capabilities,omitempty"`
}

// Credentials: one of username and password, token, identityToken, dockerConfig,
// anonymous, a cloud's own sign-in (aws, gcp or azure), or federated, that of another
// cloud. Values may hold ${VARIABLES} of the environment ($${ is a literal ${), or be
// file:/path, whose content is read at each use.
type Auth struct {
	// The user name that goes with password.
	Username Secret `json:"username,omitzero"`
	// The password, or what the registry takes in its place.
	Password Secret `json:"password,omitzero"`
	// A bearer token, sent to the registry as it is.
	Token Secret `json:"token,omitzero"`
	// An OAuth 2 refresh token, given to the token service for an access token
	// (docker calls it identity token).
	IdentityToken Secret `json:"identityToken,omitzero"`
	// A docker configuration file to take the credentials from, or true for the
	// usual one.
	DockerConfig DockerConfig `json:"dockerConfig,omitempty"`
	// A token of the registry's own API, besides what signs in: at quay an OAuth
	// token with repo:read, which lists private tags with their digests.
	APIToken Secret `json:"apiToken,omitzero"`
	// Send no credentials, even if the docker configuration has some.
	Anonymous bool `json:"anonymous,omitempty"`
	// AWS's own sign-in, at ecr and ecrpublic.
	AWS *AWSAuth `json:"aws,omitempty"`
	// Google Cloud's own sign-in, at gar.
	GCP *GCPAuth `json:"gcp,omitempty"`
	// Azure's own sign-in, at acr.
	Azure *AzureAuth `json:"azure,omitempty"`
	// An identity of another cloud, at ecr, ecrpublic, gar and acr.
	Federated *FederatedAuth `json:"federated,omitempty"`
}

// Limits of one registry. What is not given adapts to what the registry takes. Replicas
// that share a database keep to all of it together: each to an equal part.
type Limits struct {
	// Requests in a time, such as 40/s or 100/6h.
	Requests Rate `json:"requests,omitzero"`
	// Bytes a second in each direction, such as 200MB/s.
	Bytes ByteRate `json:"bytes,omitempty"`
	// Other rates of bytes at some times.
	Hours []Hours `json:"hours,omitempty"`
	// The most requests in flight. Default: 32.
	Width int `json:"width,omitempty" jsonschema:"minimum=0,maximum=256"`
	// Quotas that were raised, or that others leave us less of, by the names that
	// transship providers shows, such as "PutImage": 50/s. Default: 80 % of what the
	// cloud publishes, and more while nothing is refused.
	Quotas map[string]Rate `json:"quotas,omitempty"`
}

// DockerConfig is the path of a docker configuration file, or "true" for the
// default one ($DOCKER_CONFIG or ~/.docker).
type DockerConfig string

// DefaultDockerConfig is what `dockerConfig: true` means.
const DefaultDockerConfig DockerConfig = "true"

// UnmarshalText takes true, or a path.
func (d *DockerConfig) UnmarshalText(text []byte) error {
	*d = DockerConfig(text)
	return nil
}

// An Ability says whether a registry can do something: "yes" or "no".
type Ability string

// Values are the values that a policy may give.
func (Ability) Values() []string { return []string{"yes", "no"} }

// UnmarshalText takes yes and no, and what YAML 1.1 writers make of them.
func (a *Ability) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true":
		*a = "yes"
	case "false":
		*a = "no"
	default:
		*a = Ability(text)
	}
	return nil
}

// Abilities are the keys of [Registry.Capabilities], sorted.
func Abilities() []string {
	return []string{"catalog", "changes", "chunks", "fallbackTags", "mount", "referrers", "schema1", "sparseIndex"}
}

// ProviderName returns the provider, inferred from the host if none is given.
func (r Registry) ProviderName() string {
	if r.Provider == "" {
		return InferProvider(r.Host)
	}
	return r.Provider
}

// Endpoint is the registry's identity: host[:port] in lower case, without a
// scheme or the scheme's own port, Docker Hub by one of its names; or the
// cleaned path of a layout. It is where to connect to. Two names with one
// endpoint are one registry seen through two credentials.
func (r Registry) Endpoint() string {
	if r.ProviderName() == "layout" {
		return filepath.Clean(r.Path)
	}
	host := r.endpoint(r.Host)
	if host == "docker.io" || host == "registry-1.docker.io" {
		return "index.docker.io"
	}
	return host
}

// APIEndpoint is the service's own API as host[:port], "" if the policy does not
// name it.
func (r Registry) APIEndpoint() string { return r.endpoint(r.APIHost) }

// endpoint is a host without a scheme and the scheme's own port, in lower case.
func (r Registry) endpoint(host string) string {
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		host = u.Host
	}
	if r.PlainHTTP {
		return strings.TrimSuffix(strings.ToLower(host), ":80")
	}
	return strings.TrimSuffix(strings.ToLower(host), ":443")
}
