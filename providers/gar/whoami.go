package gar

import (
	"context"

	"github.com/transship/transship/providers"
)

// Whoami shows the registry our token, which proves that Google takes us. The name
// is that of the credentials: Google is not asked for another.
func (r *Registry) Whoami(ctx context.Context) (providers.Identity, error) {
	who, err := r.Registry.Whoami(ctx)
	if err != nil || r.given {
		return who, err
	}
	if t := r.tokens.living(""); t != nil {
		who.Expires = t.expires
	}
	return who, nil
}
