package oci

import (
	"bytes"
	"cmp"
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

const hintRealm = "check tokenRealm: is that a registry's token service?"

// defaultLife is how long a token lives that does not say (distribution's token
// specification: 60 seconds).
const defaultLife = time.Minute

// requestToken asks the realm of the challenge for a token (distribution's token
// and OAuth 2 specifications). It follows no redirect: the credential is for the
// realm alone. A credential of a SignIn that the realm refuses is renewed once;
// one that it refuses whatever is asked for stops the signer.
func (r *Registry) requestToken(ctx context.Context, how challenge, ask scopes) (*bearer, error) {
	release, err := r.sign.first(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	for renewed := false; ; renewed = true {
		c, err := r.sign.credential(ctx)
		if err != nil {
			return nil, err
		}
		b, err := r.tokenFor(ctx, how, ask, &c.config)
		e, refused := refusesIdentity(err)
		switch {
		case err == nil:
			r.sign.take(c)
			return b, nil
		case !refused || isAnonymous(&c.config):
			return nil, r.sign.unreached(ctx, err)
		case renewed || c.held == nil || !r.sign.keep.refused(c.held):
			return nil, r.judgeIdentity(ctx, how, ask, c, e)
		}
	}
}

// judgeIdentity tells a refusal of what was asked for from one of the credential.
func (r *Registry) judgeIdentity(ctx context.Context, how challenge, ask scopes, c shown, e *providers.Error) error {
	if len(ask) > 0 {
		if !r.sign.doubtful(c) {
			return e
		}
		_, err := r.tokenFor(ctx, how, nil, &c.config)
		if err == nil {
			r.sign.take(c)
		}
		var refused bool
		if e2, ok := refusesIdentity(err); ok {
			e, refused = e2, true
		}
		if !refused {
			return e
		}
	}
	return r.sign.refuse(c, e)
}

// tokenFor asks once, as cred.
func (r *Registry) tokenFor(ctx context.Context, how challenge, ask scopes, cred *authn.AuthConfig) (*bearer, error) {
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
		if err := r.quota.Take(ctx, providers.OpToken, ""); err != nil {
			return err
		}
		start := time.Now() // its life is counted from before the request
		resp, err := r.send(ctx, c)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		raw, err := readAll(resp.Body, maxToken)
		if err == errTooLong {
			return r.fail(c, providers.Denied, errTooLong, hintRealm)
		}
		if err != nil {
			return r.transportError(c, err)
		}
		if b, err = parseToken(raw, ask, start); err != nil {
			return r.fail(c, providers.Denied, err, hintRealm)
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
	life := cmp.Or(seconds(doc.ExpiresIn), claimedLife(value), defaultLife)
	return newBearer(value, ask, start, life), nil
}

// seconds is a life as a token service tells it, 0 if it does not.
func seconds(n json.Number) time.Duration {
	s, err := n.Float64()
	if err != nil || s <= 0 {
		return 0
	}
	return time.Duration(min(s, maxLife.Seconds()) * float64(time.Second))
}

// maxLife is what no token is believed to outlive.
const maxLife = 7 * 24 * time.Hour

// claimedLife is a JWT's life as its claims say (RFC 7519 sections 4.1.4 and
// 4.1.6), for services that leave expires_in out: ACR. It is 0 without them. The
// difference of the two is the same whatever this machine's clock says.
func claimedLife(token string) time.Duration {
	var claims struct {
		Expires json.Number `json:"exp"`
		Issued  json.Number `json:"iat"`
		Before  json.Number `json:"nbf"`
	}
	if !readClaims(token, &claims) {
		return 0
	}
	from := claims.Issued
	def(&from, claims.Before)
	end, err := claims.Expires.Float64()
	start, missing := from.Float64()
	if err != nil || missing != nil || end <= start {
		return 0
	}
	return time.Duration(min(end-start, maxLife.Seconds()) * float64(time.Second))
}

func newBearer(value string, ask scopes, start time.Time, life time.Duration) *bearer {
	return &bearer{value: value, asked: ask, granted: grants(value), fetched: start,
		half: start.Add(life / 2), expires: start.Add(life)}
}
