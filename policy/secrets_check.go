package policy

import (
	"fmt"
	"os"
)

// CheckSecrets looks at what the registries point to on this machine: variables,
// secret files, certificates, docker configurations. It returns what is missing
// or unreadable as [Problems], with positions; it asks no registry, and no value
// is in a message.
func (s *Set) CheckSecrets() error {
	var ps Problems
	for _, name := range s.Names() {
		r, path := s.Registries[name], join("registries", name)
		federated := zeroOf(r.Auth.Federated)
		azure, gcp, ecr, gar := zeroOf(r.Auth.Azure), zeroOf(r.Auth.GCP), zeroOf(r.Create.ECR), zeroOf(r.Create.GAR)
		for _, ref := range []struct {
			key    string
			secret Secret
		}{
			{"auth.azure.clientSecret", azure.ClientSecret}, {"auth.federated.azure.clientSecret", zeroOf(federated.Azure).ClientSecret}, {"auth.username", r.Auth.Username}, {"auth.password", r.Auth.Password}, {"auth.token", r.Auth.Token},
			{"auth.identityToken", r.Auth.IdentityToken}, {"auth.apiToken", r.Auth.APIToken}, {"proxy", r.Proxy},
		} {
			if _, err := ref.secret.Resolve(); err != nil {
				ps.add(join(path, ref.key), "%v", err)
			}
		}
		config := string(r.Auth.DockerConfig)
		if r.Auth.DockerConfig == DefaultDockerConfig {
			config = ""
		}
		for _, f := range []struct{ key, file string }{
			{"caFile", r.CAFile}, {"clientCert", r.ClientCert}, {"clientKey", r.ClientKey}, {"auth.dockerConfig", config},
			{"auth.gcp.credentialsFile", gcp.CredentialsFile}, {"auth.azure.clientCertificate", azure.ClientCertificate},
			{"auth.federated.tokenFile", federated.TokenFile}, {"auth.federated.gcp.credentialsFile", zeroOf(federated.GCP).CredentialsFile},
			{"auth.federated.azure.clientCertificate", zeroOf(federated.Azure).ClientCertificate},
			{"create.ecr.lifecyclePolicy", ecr.LifecyclePolicy}, {"create.ecr.repositoryPolicy", ecr.RepositoryPolicy},
			{"create.gar.cleanupPolicies", gar.CleanupPolicies},
		} {
			if err := readable(f.file); err != nil {
				ps.add(join(path, f.key), "%v", err)
			}
		}
	}
	return s.placed(ps).Err()
}

// zeroOf is what p points to, or nothing.
func zeroOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// readable reports why a file cannot be read; "" is no file, which is fine.
func readable(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder; expected a file", file)
	}
	return nil
}

// Warnings returns what is allowed and probably not meant, with positions.
func (s *Set) Warnings() Problems {
	var ps Problems
	for _, name := range s.Names() {
		s.Registries[name].warn(join("registries", name), &ps)
	}
	used := map[string]bool{}
	for i, r := range s.Rules {
		used[r.From.Registry] = true
		for _, t := range r.To {
			used[t.Registry] = true
		}
		r.warn(fmt.Sprintf("rules[%d]", i), &ps)
	}
	for _, name := range s.Names() {
		if !used[name] && len(s.Rules) > 0 {
			ps.add(join("registries", name), "no rule uses this registry")
		}
	}
	if len(s.Rules) == 0 {
		ps.add("", "there are no rules, so nothing is replicated")
	}
	return s.placed(ps)
}

// warn tells of keys that do nothing without a schedule.
func (r Rule) warn(path string, ps *Problems) {
	if r.Schedule != "" {
		return
	}
	if r.MaxLag > 0 {
		ps.add(join(path, "maxLag"), "the rule has a maxLag and no schedule: it runs only when asked")
	}
	if r.Jitter > 0 {
		ps.add(join(path, "jitter"), "the rule has a jitter and no schedule: it runs only when asked")
	}
}

func (r Registry) warn(path string, ps *Problems) {
	for _, f := range []struct {
		key    string
		secret Secret
	}{
		{"auth.password", r.Auth.Password}, {"auth.token", r.Auth.Token}, {"auth.identityToken", r.Auth.IdentityToken}, {"auth.apiToken", r.Auth.APIToken},
		{"auth.azure.clientSecret", zeroOf(r.Auth.Azure).ClientSecret},
		{"auth.federated.azure.clientSecret", zeroOf(zeroOf(r.Auth.Federated).Azure).ClientSecret},
	} {
		if f.secret.Literal() {
			ps.add(join(path, f.key), "a secret stands in the policy itself; write ${VARIABLE} or file:/path instead")
		}
		if r.PlainHTTP && !f.secret.IsZero() {
			ps.add(join(path, f.key), "the credential goes over plain http, readable by everyone on the way")
		}
	}
}
