package app

import (
	"fmt"
	"os"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/transship/transship/policy"
	"github.com/transship/transship/providers/all"
)

// credentials turns a policy's auth into what signs in: an authenticator that
// resolves its references anew at each use, or a keychain that is asked by host.
// Both are nil for a cloud that signs in by itself.
func credentials(provider string, a policy.Auth) (authn.Authenticator, authn.Keychain) {
	switch {
	case a.Anonymous:
		return authn.Anonymous, nil
	case !a.Password.IsZero() || !a.Token.IsZero() || !a.IdentityToken.IsZero():
		return secretAuth{a}, nil
	case a.DockerConfig != "" && a.DockerConfig != policy.DefaultDockerConfig:
		return nil, dockerConfig(a.DockerConfig)
	case a.DockerConfig == "" && all.SignsIn(provider):
		return nil, nil
	default:
		return nil, authn.DefaultKeychain
	}
}

// secretAuth signs in with what the policy refers to; a rotated file is read again.
type secretAuth struct{ auth policy.Auth }

// Authorization resolves the references. Its error names a variable or a file.
func (s secretAuth) Authorization() (*authn.AuthConfig, error) {
	var c authn.AuthConfig
	for _, f := range []struct {
		from policy.Secret
		to   *string
	}{
		{s.auth.Username, &c.Username}, {s.auth.Password, &c.Password},
		{s.auth.Token, &c.RegistryToken}, {s.auth.IdentityToken, &c.IdentityToken},
	} {
		value, err := f.from.Resolve()
		if err != nil {
			return nil, err
		}
		*f.to = value
	}
	return &c, nil
}

// dockerConfig is the keychain of one docker configuration file and the
// credential helpers that it names.
type dockerConfig string

// Resolve reads the file and finds the host's credentials in it; without any it
// is anonymous.
func (d dockerConfig) Resolve(r authn.Resource) (authn.Authenticator, error) {
	f, err := os.Open(string(d))
	if err != nil {
		return nil, fmt.Errorf("docker configuration: %w", err)
	}
	defer f.Close()
	file, err := config.LoadFromReader(f)
	if err != nil {
		return nil, fmt.Errorf("docker configuration %s: %w", string(d), err)
	}
	key := r.RegistryStr()
	if key == "index.docker.io" {
		key = authn.DefaultAuthKey
	}
	found, err := file.GetAuthConfig(key)
	if err != nil {
		return nil, fmt.Errorf("docker configuration %s, %s: %w", string(d), key, err)
	}
	if found == (types.AuthConfig{ServerAddress: found.ServerAddress}) {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth,
		IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	}), nil
}
