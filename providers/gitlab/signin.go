package gitlab

import (
	"cmp"
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// signIn shows GitLab's API the password with which the registry is signed in to: an
// access token is good for both. Without one, what is public can be listed.
func (r *Registry) signIn(ctx context.Context) (oci.Credential, error) {
	c, err := r.given(ctx)
	if err != nil {
		return oci.Credential{}, err
	}
	who := providers.Identity{Name: cmp.Or(c.Username, providers.Anonymous)}
	return oci.Credential{RegistryToken: c.Password, Who: who}, nil
}

// given is the credential of the registry, read anew: it may have been rotated.
func (r *Registry) given(ctx context.Context) (authn.AuthConfig, error) {
	o := r.opts.OCI
	auth := o.Authenticator
	if auth == nil && o.Keychain != nil {
		at, err := name.NewRegistry(o.Host)
		if err != nil {
			return authn.AuthConfig{}, err
		}
		if auth, err = authn.Resolve(ctx, o.Keychain, at); err != nil {
			return authn.AuthConfig{}, err
		}
	}
	if auth == nil {
		return authn.AuthConfig{}, nil
	}
	c, err := authn.Authorization(ctx, auth)
	if err != nil || c == nil {
		return authn.AuthConfig{}, err
	}
	return *c, nil
}
