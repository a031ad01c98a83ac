package oci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// Whoami signs in as "docker login" does: a token for nothing in particular, and
// GET /v2/ with it. Its name is the user's in the credential, else the subject of
// the token, where it can be read.
func (r *Registry) Whoami(ctx context.Context) (providers.Identity, error) {
	c, err := r.sign.credential(ctx)
	if err != nil {
		return providers.Identity{}, err
	}
	who, err := r.whoami(ctx, c)
	if providers.KindOf(err) != providers.Denied || c.held == nil || !r.sign.keep.refused(c.held) {
		return who, err
	}
	if c, err = r.sign.credential(ctx); err != nil { // its time was over
		return providers.Identity{}, err
	}
	return r.whoami(ctx, c)
}

func (r *Registry) whoami(ctx context.Context, c shown) (providers.Identity, error) {
	who := r.sign.who(c)
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
		if c.config.Username == "" && c.config.IdentityToken != "" && (c.held == nil || c.held.Who.Name == "") {
			who.Name = cmp.Or(b.subject(), who.Name)
		}
		who.Expires = b.expires.Round(time.Second)
	}
	if isAnonymous(&c.config) && used.token != nil {
		return who, nil // some give nobody a token and want one with a scope
	}
	if err := r.present(ctx, used); err != nil {
		return providers.Identity{}, signingInAs(who, err)
	}
	return who, nil
}

// present shows the pass to the registry itself. It takes no slot, as those that
// wait for it may hold them all.
func (r *Registry) present(ctx context.Context, p pass) error {
	c := &call{op: opToken, class: limit.Read, method: http.MethodGet, url: r.url("", nil),
		unsigned: true, stay: true, trace: providers.OpPing, header: http.Header{},
		good: []int{http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed}}
	if p.header != "" {
		c.header.Set("Authorization", p.header)
	}
	return r.retry(ctx, func() error {
		resp, err := r.send(ctx, c)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

// signingInAs adds to a refusal who was refused.
func signingInAs(who providers.Identity, err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Denied || who.Name == "" || strings.Contains(e.Err.Error(), who.Name) {
		return err
	}
	named := *e
	named.Err = fmt.Errorf("as %s: %w", who, e.Err)
	return &named
}
