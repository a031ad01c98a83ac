package acr

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	// audience is whom tokens of Entra are for, in all clouds. Those for Azure's
	// resource manager are taken only where the registry's policy allows it.
	audience = "https://containerregistry.azure.net/.default"
	opSignIn = "sign in"
)

// signIn fetches the registry's refresh token. It is an [oci.SignIn]: called once
// however many wait, and at half a token's life. A token of Entra that the registry
// refuses may be one that azidentity still holds: another is asked for once.
func (r *Registry) signIn(ctx context.Context) (oci.Credential, error) {
	r.entra.mu.Lock()
	defer r.entra.mu.Unlock()
	held := r.entra.cred != nil
	c, err := r.exchangeOnce(ctx)
	if e, ok := errors.AsType[*providers.Error](err); ok && held && e.Status == http.StatusUnauthorized {
		r.entra.cred = nil
		return r.exchangeOnce(ctx)
	}
	return c, err
}

func (r *Registry) exchangeOnce(ctx context.Context) (oci.Credential, error) {
	cred, err := r.credential()
	if err != nil {
		return oci.Credential{}, r.unusable(err)
	}
	r.entra.shown.set(providers.Assertion{}, nil)
	start := time.Now()
	token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience}})
	if err != nil {
		r.entra.cred = nil // what it is made of, such as a file, may change
		return oci.Credential{}, r.explainEntra(ctx, err)
	}
	who := r.opts.Identity.whoIs(token.Token)
	refresh, err := r.exchange(ctx, token, who)
	if err != nil {
		return oci.Credential{}, err
	}
	c := oci.Credential{IdentityToken: refresh, Who: who}
	if life := lifeOf(refresh); life > 0 {
		c.Expires = start.Add(life)
	}
	return c, nil
}

// exchange gives the registry a token of Entra for its own refresh token.
func (r *Registry) exchange(ctx context.Context, token azcore.AccessToken, who providers.Identity) (string, error) {
	o, err := r.clientOptions()
	if err != nil {
		return "", err
	}
	scheme := "https://"
	if r.opts.OCI.PlainHTTP {
		scheme = "http://"
	}
	client, err := azcontainerregistry.NewAuthenticationClient(scheme+r.Host(), &azcontainerregistry.AuthenticationClientOptions{ClientOptions: o})
	if err != nil {
		return "", r.unusable(err)
	}
	in := &azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{AccessToken: &token.Token}
	if tenant := readClaims(token.Token).Tenant; tenant != "" {
		in.Tenant = &tenant
	}
	out, err := client.ExchangeAADAccessTokenForACRRefreshToken(ctx, azcontainerregistry.PostContentSchemaGrantTypeAccessToken, r.service(), in)
	switch {
	case err != nil:
		return "", r.explainExchange(ctx, who, err)
	case out.RefreshToken == nil || *out.RefreshToken == "":
		return "", r.fail(opSignIn, "", providers.Invalid, errors.New("the registry's answer holds no refresh token"), "check that host is a registry of ACR")
	}
	return *out.RefreshToken, nil
}

// service is the registry's name at its token service: the host, without a port
// where that is ACR's own.
func (r *Registry) service() string {
	if r.host.Registry == "" {
		return r.Host()
	}
	if name, _, err := net.SplitHostPort(r.Host()); err == nil {
		return name
	}
	return r.Host()
}

// claims are what tokens say of whom they are for, and how long. They are not
// verified: it is for words, and for when to renew.
type claims struct {
	Tenant  string      `json:"tid"`
	Client  string      `json:"appid"`
	AZP     string      `json:"azp"` // the client, in tokens of version 2
	Object  string      `json:"oid"`
	User    string      `json:"upn"`
	Unique  string      `json:"unique_name"`
	App     string      `json:"app_displayname"`
	Expires json.Number `json:"exp"`
	Issued  json.Number `json:"iat"`
}

func readClaims(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return claims{}
	}
	return c
}

// lifeOf is a token's life as it says itself, whatever this machine's clock says;
// 0 if it does not.
func lifeOf(token string) time.Duration {
	c := readClaims(token)
	ends, err := c.Expires.Float64()
	begins, missing := c.Issued.Float64()
	if err != nil || missing != nil || ends <= begins {
		return 0
	}
	return time.Duration(min(ends-begins, 30*24*3600) * float64(time.Second))
}

// whoIs names whom a token of Entra is for.
func (i Identity) whoIs(token string) providers.Identity {
	c := readClaims(token)
	name := cmp.Or(c.User, c.Unique)
	if client := cmp.Or(c.Client, c.AZP, i.ClientID); name == "" && client != "" {
		name = "client " + client
		if c.App != "" {
			name = c.App + ", " + name
		}
	}
	if name == "" && c.Object != "" {
		name = "object " + c.Object
	}
	if tenant := cmp.Or(c.Tenant, i.TenantID); name != "" && tenant != "" {
		name += " of tenant " + tenant
	}
	return providers.Identity{Name: cmp.Or(clean(name), i.describe()), From: i.from()}
}
