package oci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// Whoami signs in as "docker login" does: a token for nothing in particular, and
// GET /v2/ with it. Its name is the user's in the credential, else the subject of
// the token, where it can be read.
func (r *Registry) Whoami(ctx context.Context) (providers.Identity, error) {
	cred, err := r.sign.credential(ctx)
	if err != nil {
		return providers.Identity{}, err
	}
	who := providers.Identity{Name: cred.Username, From: r.sign.from(cred)}
	if isAnonymous(cred) {
		who.Name = providers.Anonymous
	}
	how, err := r.sign.challenge(ctx)
	if err != nil {
		return providers.Identity{}, err
	}
	if how.scheme == "" {
		return providers.Identity{Name: providers.Anonymous, From: "the host asks nobody who they are"}, nil
	}
	used, err := r.sign.pass(ctx, nil)
	if err != nil {
		return providers.Identity{}, signingInAs(who, err)
	}
	if b := used.token; b != nil {
		who.Name = cmp.Or(who.Name, b.subject())
		who.Expires = b.expires.Round(time.Second)
	}
	if isAnonymous(cred) && used.token != nil {
		return who, nil // some give nobody a token and want one with a scope
	}
	who.Name = cmp.Or(who.Name, "somebody whose credential tells no name")
	if err := r.present(ctx, used); err != nil {
		return providers.Identity{}, signingInAs(who, err)
	}
	return who, nil
}

// present shows the pass to the registry itself.
func (r *Registry) present(ctx context.Context, p pass) error {
	c := &call{op: opToken, class: limit.Read, method: http.MethodGet, url: r.url("", nil),
		unsigned: true, stay: true, trace: providers.OpPing, header: http.Header{},
		good: []int{http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed}}
	if p.header != "" {
		c.header.Set("Authorization", p.header)
	}
	return r.do(ctx, c, func(*http.Response) error { return nil })
}

// signingInAs adds to a refusal who was refused.
func signingInAs(who providers.Identity, err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Denied || who.Name == "" {
		return err
	}
	named := *e
	named.Err = fmt.Errorf("as %s: %w", who, e.Err)
	return &named
}

func isAnonymous(cred *authn.AuthConfig) bool { return *cred == authn.AuthConfig{} }

// from says where a credential comes from.
func (s *signer) from(cred *authn.AuthConfig) string {
	switch {
	case isAnonymous(cred):
		return "no credential is known"
	case s.r.opts.Authenticator != nil:
		return "auth in the policy"
	}
	return "the docker configuration"
}
