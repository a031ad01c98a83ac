package oci

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// A bearer is a token with what was asked of the token service.
type bearer struct {
	value   string
	asked   scopes
	granted scopes // as its claims say; nil if it is opaque
	fetched time.Time
	half    time.Time // from here on it is renewed
	expires time.Time
	lot     bool // it is for a lot of repositories
}

// young reports whether the token need not be renewed yet.
func (b *bearer) young() bool { return time.Now().Before(b.half) }

func (b *bearer) resources() []string {
	var all []string
	for _, a := range b.asked {
		all = append(all, a.resource)
	}
	return slices.Compact(all)
}

// deniedTo reports whether the token's own claims say that it does not allow want.
func (b *bearer) deniedTo(want scopes) bool {
	return b.granted != nil && !b.granted.covers(want)
}

var errNoToken = errors.New("the token service's answer holds no usable token")

// grants reads the claims of a JWT without verifying them: they are for wording
// and fallbacks, the host decides. It returns nil for an opaque token.
func grants(token string) scopes {
	var claims struct {
		Access json.RawMessage `json:"access"`
	}
	var granted []struct {
		Type, Name string
		Actions    []string
	}
	if !readClaims(token, &claims) || claims.Access == nil || json.Unmarshal(claims.Access, &granted) != nil {
		return nil
	}
	all := scopes{}
	for _, a := range granted {
		for _, action := range a.Actions {
			all = append(all, access{a.Type + ":" + a.Name, action})
			if action == "*" {
				all = append(all, access{a.Type + ":" + a.Name, "pull"}, access{a.Type + ":" + a.Name, "push"})
			}
		}
	}
	return newScopes(all...) // not nil, even if nothing is granted
}

// subject is whom a JWT is for (RFC 7519 section 4.1.2), "" where it does not tell.
func (b *bearer) subject() string {
	var claims struct {
		Subject string `json:"sub"`
	}
	if !readClaims(b.value, &claims) {
		return ""
	}
	return sanitize(claims.Subject)
}

// readClaims reads the claims of a JWT without verifying them.
func readClaims(token string, into any) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	return err == nil && json.Unmarshal(raw, into) == nil
}
