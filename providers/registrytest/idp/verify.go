package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Why a token is not taken.
var (
	ErrMalformed = errors.New("it is no JSON Web Token")
	ErrIssuer    = errors.New("its issuer is not known")
	ErrKeys      = errors.New("the issuer's keys cannot be fetched")
	ErrSignature = errors.New("its signature does not fit")
)

// Issuers are those whose tokens can be verified, and where they are. The zero value
// knows nobody. It is safe for concurrent use.
type Issuers struct {
	mu sync.Mutex
	at map[string]string
}

// Know says where the discovery document of an issuer is: below url.
func (i *Issuers) Know(issuer, url string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.at == nil {
		i.at = map[string]string{}
	}
	i.at[issuer] = strings.TrimSuffix(url, "/")
}

// Claims are what a token says.
type Claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  Audience `json:"aud"`
	Party     string   `json:"azp"`
	Expires   int64    `json:"exp"`
	NotBefore int64    `json:"nbf"`
	Issued    int64    `json:"iat"`
}

// Audience is one text or several.
type Audience []string

// UnmarshalJSON reads both.
func (a *Audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = Audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// In reports whether one of the audiences is among those.
func (a Audience) In(those ...string) bool {
	return slices.ContainsFunc(a, func(one string) bool { return slices.Contains(those, one) })
}

// Early reports whether the token is not good yet at that time, and Late whether it
// is over.
func (c Claims) Early(now time.Time) bool { return c.NotBefore > 0 && now.Unix() < c.NotBefore }

// Late reports whether it is over at that time; a token without an end always is.
func (c Claims) Late(now time.Time) bool { return now.Unix() >= c.Expires }

// Read reads claims without verifying anything.
func Read(token string) (Claims, error) {
	var c Claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 || !decode(parts[1], &c) {
		return c, ErrMalformed
	}
	return c, nil
}

// Verify finds the issuer's key and checks the signature; errors are those above.
func (i *Issuers) Verify(token string) (Claims, error) {
	c, err := Read(token)
	if err != nil {
		return c, err
	}
	i.mu.Lock()
	at := i.at[c.Issuer]
	i.mu.Unlock()
	if at == "" {
		return c, ErrIssuer
	}
	keys, err := fetchKeys(at, c.Issuer)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	return c, check(token, keys)
}

// fetchKeys follows the discovery document.
func fetchKeys(at, issuer string) ([]jwk, error) {
	var doc struct {
		Issuer string
		URI    string `json:"jwks_uri"`
	}
	if err := fetch(at+discoveryPath, &doc); err != nil {
		return nil, err
	}
	if doc.Issuer != issuer {
		return nil, fmt.Errorf("the document there is that of %s", doc.Issuer)
	}
	var set struct{ Keys []jwk }
	err := fetch(doc.URI, &set)
	return set.Keys, err
}

// client takes the certificates of other emulators, which are signed by nobody.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func fetch(url string, into any) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(into)
}

// check holds the signature of a token against the key that its head names.
func check(token string, keys []jwk) error {
	parts := strings.Split(token, ".")
	var head struct{ Alg, Kid string }
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !decode(parts[0], &head) {
		return ErrMalformed
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, k := range keys {
		if k.Kid == head.Kid && k.Alg == head.Alg && k.fits(sum[:], signature) {
			return nil
		}
	}
	return ErrSignature
}

func (k jwk) fits(sum, signature []byte) bool {
	switch k.Kty {
	case "RSA":
		key := &rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature) == nil
	case "EC":
		if len(signature) != 64 {
			return false
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, coordinate(k.X), coordinate(k.Y)))
		if err != nil {
			return false
		}
		return ecdsa.Verify(key, sum, new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

// coordinate is a number of P-256, in 32 bytes (RFC 7518, section 6.2.1.2).
func coordinate(b64 string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(b64)
	if err != nil || len(raw) > 32 {
		return make([]byte, 32)
	}
	return append(make([]byte, 32-len(raw)), raw...)
}

func number(b64 string) *big.Int {
	raw, err := base64.RawURLEncoding.DecodeString(b64)
	if err != nil {
		return new(big.Int)
	}
	return new(big.Int).SetBytes(raw)
}

func decode(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}
