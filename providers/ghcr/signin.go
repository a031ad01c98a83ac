package ghcr

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers/oci"
)

// signIn is the registry's own credential, for the API: the token that docker calls
// a password goes there as Bearer. Nobody stays nobody.
func (r *Registry) signIn(ctx context.Context) (oci.Credential, error) {
	c, err := r.Credential(ctx)
	return oci.Credential{RegistryToken: c.Password, Who: c.Who}, err
}

// tokenKinds are the prefixes of GitHub's tokens.
var tokenKinds = []string{"ghp_", "gho_", "ghu_", "ghs_", "github_pat_"}

// tokenKind is the prefix of a token, which is no secret; "" for what has none.
func tokenKind(password string) string {
	for _, kind := range tokenKinds {
		if strings.HasPrefix(password, kind) {
			return kind
		}
	}
	return ""
}

// shown is the kind of the token that was last shown.
func (r *Registry) shown() string {
	kind, _ := r.prefix.Load().(string)
	return kind
}

// watch has the kind of each token noted that the registry is shown, so that a
// refusal can say what is wrong with it.
func (r *Registry) watch(o *oci.Options) {
	if o.Authenticator != nil {
		o.Authenticator = &watched{o.Authenticator, r}
	}
	if o.Keychain != nil {
		o.Keychain = &watchedKeychain{o.Keychain, r}
	}
}

type watched struct {
	authn.Authenticator
	r *Registry
}

// Authorization asks whoever keeps the secret.
func (w *watched) Authorization() (*authn.AuthConfig, error) {
	config, err := w.Authenticator.Authorization()
	if err == nil && config != nil {
		w.r.prefix.Store(tokenKind(config.Password))
	}
	return config, err
}

type watchedKeychain struct {
	authn.Keychain
	r *Registry
}

// Resolve finds the credential of a registry.
func (w *watchedKeychain) Resolve(of authn.Resource) (authn.Authenticator, error) {
	found, err := w.Keychain.Resolve(of)
	if err != nil || found == authn.Anonymous {
		return found, err
	}
	return &watched{found, w.r}, nil
}
