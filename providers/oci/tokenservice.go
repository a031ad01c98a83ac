package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// maxToken bounds a token service's answer, in bytes.
const maxToken = 256 << 10

// defaultLife is how long a token lives that does not say (distribution's token
// specification: 60 seconds).
const defaultLife = time.Minute

// requestToken asks the realm of the challenge for a token (distribution's token
// and OAuth 2 specifications). It follows no redirect: the credential is for the
// realm alone.
func (r *Registry) requestToken(ctx context.Context, how challenge, ask scopes) (*bearer, error) {
	cred, err := r.sign.credential(ctx)
	if err != nil {
		return nil, err
	}
	if cred.RegistryToken != "" {
		return newBearer(cred.RegistryToken, ask, time.Now(), 5*time.Minute), nil
	}
	realm, err := r.realm(how)
	if err != nil {
		return nil, err
	}
	c := tokenGet(realm, how.params["service"], ask, cred)
	if cred.IdentityToken != "" {
		c = tokenPost(realm, how.params["service"], ask, cred)
	}
	b, err := r.exchangeToken(ctx, c, ask)
	if e, ok := errors.AsType[*providers.Error](err); ok && cred.IdentityToken != "" && basicHeader(cred) != "" &&
		(e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed) {
		return r.exchangeToken(ctx, tokenGet(realm, how.params["service"], ask, cred), ask)
	}
	return b, err
}

// realm is the address of the token service, if a credential may go there.
func (r *Registry) realm(how challenge) (*url.URL, error) {
	u, err := url.Parse(how.params["realm"])
	if err == nil {
		err = r.guard.sendCredential(u)
	} else {
		err = fmt.Errorf("%w: the token realm is no address", errRefused)
	}
	if err != nil {
		return nil, &providers.Error{Kind: providers.Denied, Op: opToken, Ref: r.Host(),
			Hint: "if that realm is yours, name it as tokenRealm", Err: err}
	}
	return u, nil
}

func tokenGet(realm *url.URL, service string, ask scopes, cred *authn.AuthConfig) *call {
	u := *realm
	q := u.Query()
	if service != "" {
		q.Set("service", service)
	}
	for _, s := range ask.strings() {
		q.Add("scope", s)
	}
	u.RawQuery = q.Encode()
	c := &call{op: opToken, class: limit.Read, method: http.MethodGet, url: &u,
		unsigned: true, trace: "token", good: []int{http.StatusOK}, stay: true}
	if basic := basicHeader(cred); basic != "" {
		c.header = http.Header{"Authorization": {basic}}
	}
	return c
}

func tokenPost(realm *url.URL, service string, ask scopes, cred *authn.AuthConfig) *call {
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"transship"},
		"service": {service}, "scope": {ask.key()}, "refresh_token": {cred.IdentityToken}}.Encode()
	return &call{op: opToken, class: limit.Read, method: http.MethodPost, url: realm,
		header:   http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		content:  func() *section { return newSection(strings.NewReader(form), 0, int64(len(form))) },
		unsigned: true, trace: "token", good: []int{http.StatusOK}, stay: true}
}

// exchangeToken sends c until it is answered, and reads the token.
func (r *Registry) exchangeToken(ctx context.Context, c *call, ask scopes) (b *bearer, err error) {
	err = r.retry(ctx, func() error {
		start := time.Now() // its life is counted from before the request
		resp, err := r.send(ctx, c)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		raw, err := readAll(resp.Body, maxToken)
		if err != nil {
			return r.transportError(c, err)
		}
		if b, err = parseToken(raw, ask, start); err != nil {
			return r.fail(c, providers.Denied, err, "check tokenRealm: is that a registry's token service?")
		}
		return nil
	})
	return b, err
}

func parseToken(raw []byte, ask scopes, start time.Time) (*bearer, error) {
	var doc struct {
		Token       string      `json:"token"`
		AccessToken string      `json:"access_token"`
		ExpiresIn   json.Number `json:"expires_in"`
	}
	if json.NewDecoder(bytes.NewReader(raw)).Decode(&doc) != nil {
		return nil, errNoToken
	}
	value := doc.Token
	def(&value, doc.AccessToken)
	if value == "" || strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, errNoToken
	}
	life := defaultLife
	if s, err := doc.ExpiresIn.Float64(); err == nil && s > 0 {
		life = time.Duration(min(s, 7*24*3600) * float64(time.Second))
	}
	return newBearer(value, ask, start, life), nil
}

func newBearer(value string, ask scopes, start time.Time, life time.Duration) *bearer {
	return &bearer{value: value, asked: ask, granted: grants(value), fetched: start,
		half: start.Add(life / 2), expires: start.Add(life)}
}
