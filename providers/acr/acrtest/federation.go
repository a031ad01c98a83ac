package acrtest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest/idp"
)

// A FederatedCredential takes tokens of another issuer in place of a secret. What is
// compared is compared exactly.
type FederatedCredential struct{ Issuer, Subject, Audience string }

const issuerPath = "/issuer/"

// Know says where the discovery document of an issuer really is.
func (e *Entra) Know(issuer, at string) { e.issuers.Know(issuer, at) }

// Resource registers an application for which the others get tokens, by its URI.
func (e *Entra) Resource(uri string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resources[uri] = true
}

// Issuer is who signs a tenant's tokens for Resources, and where that is: those of
// version 1, as most applications have them.
func (e *Entra) Issuer(tenant string) (name, at string) {
	return "https://sts.windows.net/" + tenant + "/", e.http.URL + issuerPath + tenant
}

func (e *Entra) serveIssuer(w http.ResponseWriter, r *http.Request) {
	tenant, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, issuerPath), "/")
	e.keysOf(tenant).ServeHTTP(w, r)
}

// keysOf wants the lock to be held.
func (e *Entra) keysOf(tenant string) *idp.Keys {
	if e.keys[tenant] == nil {
		name, _ := e.Issuer(tenant)
		e.keys[tenant] = idp.NewKeys(name)
	}
	return e.keys[tenant]
}

// sign makes a token for a Resource. The lock is held.
func (e *Entra) sign(a *App, audience string, ends time.Time) string {
	now := time.Now().Unix()
	token := e.keysOf(a.Tenant).Sign(map[string]any{"aud": audience, "tid": a.Tenant, "appid": a.ClientID, "oid": a.ClientID, "sub": a.ClientID,
		"app_displayname": a.Name, "iat": now, "nbf": now, "exp": ends.Unix(), "ver": "1.0"})
	e.tokens[token] = identity{a, a.Tenant, audience, ends}
	return token
}

func audienceOf(scope string) string {
	return strings.TrimSuffix(strings.TrimSuffix(scope, "/.default"), "/")
}

// gives reports whether there are tokens for that audience: Azure's own are at home
// in every tenant, and so is what tests ask for in passing.
func (e *Entra) gives(audience string) bool {
	return !strings.HasPrefix(audience, "api://") || e.resources[audience]
}

// federates says why an assertion is not taken, 0 if it is.
func (e *Entra) federates(a *App, assertion string) (number int, text string) {
	c, err := e.issuers.Verify(assertion)
	of := slices.DeleteFunc(slices.Clone(a.Federated), func(f FederatedCredential) bool { return f.Issuer != c.Issuer })
	now := time.Now()
	switch {
	case errors.Is(err, idp.ErrMalformed):
		return 50027, "JWT token is invalid or malformed."
	case len(of) == 0:
		return 700211, "No matching federated identity record found for presented assertion issuer '" + c.Issuer + "'."
	case errors.Is(err, idp.ErrKeys) || errors.Is(err, idp.ErrIssuer):
		return 501661, "Request to External OIDC endpoint failed."
	case err != nil:
		return 50013, "Assertion failed signature validation. [Reason - The key was not found.]"
	case !slices.ContainsFunc(of, func(f FederatedCredential) bool { return c.Audience.In(f.Audience) }):
		return 700212, "No matching federated identity record found for presented assertion audience '" + strings.Join(c.Audience, ",") + "'."
	case !slices.ContainsFunc(of, func(f FederatedCredential) bool { return c.Audience.In(f.Audience) && f.Subject == c.Subject }):
		return 700213, "No matching federated identity record found for presented assertion subject '" + c.Subject + "'."
	case c.Late(now) || c.Early(now):
		return 700024, fmt.Sprintf("Client assertion is not within its valid time range. Current time: %s, assertion valid from %s, expiry time of assertion %s.",
			stamp(now), stamp(time.Unix(c.NotBefore, 0)), stamp(time.Unix(c.Expires, 0)))
	}
	return 0, ""
}
