package policy

import "iter"

// Secrets are the secrets of a registry by their keys, such as auth.password, in a
// fixed order, those among them that it does not have.
func (r Registry) Secrets() iter.Seq2[string, Secret] {
	a := r.Auth
	return pairs([]keyed[Secret]{
		{"proxy", r.Proxy}, {"auth.username", a.Username}, {"auth.password", a.Password}, {"auth.token", a.Token},
		{"auth.identityToken", a.IdentityToken}, {"auth.apiToken", a.APIToken},
		{"auth.azure.clientSecret", zeroOf(a.Azure).ClientSecret},
		{"auth.federated.azure.clientSecret", zeroOf(zeroOf(a.Federated).Azure).ClientSecret},
	})
}

// Files are the files that settings and credentials of a registry are in, by their
// keys, in a fixed order; "" where it has none. A federated token's is not among them:
// it is meant to be replaced while it is used. Nor are those that secrets refer to.
func (r Registry) Files() iter.Seq2[string, string] {
	a, ecr := r.Auth, zeroOf(r.Create.ECR)
	federated := zeroOf(a.Federated)
	config := string(a.DockerConfig)
	if a.DockerConfig == DefaultDockerConfig {
		config = ""
	}
	return pairs([]keyed[string]{
		{"caFile", r.CAFile}, {"clientCert", r.ClientCert}, {"clientKey", r.ClientKey}, {"auth.dockerConfig", config},
		{"auth.gcp.credentialsFile", zeroOf(a.GCP).CredentialsFile},
		{"auth.azure.clientCertificate", zeroOf(a.Azure).ClientCertificate},
		{"auth.federated.gcp.credentialsFile", zeroOf(federated.GCP).CredentialsFile},
		{"auth.federated.azure.clientCertificate", zeroOf(federated.Azure).ClientCertificate},
		{"create.ecr.lifecyclePolicy", ecr.LifecyclePolicy}, {"create.ecr.repositoryPolicy", ecr.RepositoryPolicy},
		{"create.gar.cleanupPolicies", zeroOf(r.Create.GAR).CleanupPolicies},
	})
}

// A keyed value is one by its key.
type keyed[T any] struct {
	key   string
	value T
}

func pairs[T any](list []keyed[T]) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, k := range list {
			if !yield(k.key, k.value) {
				return
			}
		}
	}
}

// zeroOf is what p points to, or nothing.
func zeroOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
