package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"sync"
)

// The algorithms (RFC 7518 section 3.1).
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// Keys are those of one issuer, an RSA and an elliptic one. They are made when they
// are first needed. They are safe for concurrent use.
type Keys struct {
	issuer string

	mu   sync.Mutex
	pair *pair
}

type pair struct {
	rsa      *rsa.PrivateKey
	ec       *ecdsa.PrivateKey
	rid, eid string
}

// NewKeys returns the keys of an issuer, by the name that its tokens have.
func NewKeys(issuer string) *Keys { return &Keys{issuer: issuer} }

// Issuer is its name.
func (k *Keys) Issuer() string { return k.issuer }

// Rotate makes other keys, and forgets the old ones.
func (k *Keys) Rotate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pair = nil
}

func (k *Keys) now() *pair {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pair == nil {
		e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // no randomness
		}
		k.pair = &pair{nextRSA(), e, random(), random()}
	}
	return k.pair
}

// ring are the process's RSA keys, which take long to make: those that are made one
// after the other differ, and all have ids of their own.
var ring struct {
	mu   sync.Mutex
	n    int
	keys [4]*rsa.PrivateKey
}

func nextRSA() *rsa.PrivateKey {
	ring.mu.Lock()
	defer ring.mu.Unlock()
	at := &ring.keys[ring.n%len(ring.keys)]
	ring.n++
	if *at == nil {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // no randomness
		}
		*at = k
	}
	return *at
}

// Sign writes claims as a token of RS256, with the issuer unless they name one.
func (k *Keys) Sign(claims map[string]any) string { return k.SignWith(RS256, claims) }

// SignWith writes claims as a token of that algorithm.
func (k *Keys) SignWith(alg string, claims map[string]any) string {
	p := k.now()
	if claims["iss"] == nil {
		claims["iss"] = k.issuer
	}
	id := p.rid
	if alg == ES256 {
		id = p.eid
	}
	text := part(map[string]string{"alg": alg, "kid": id, "typ": "JWT"}) + "." + part(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(p.sign(alg, text))
}

func (p *pair) sign(alg, text string) []byte {
	sum := sha256.Sum256([]byte(text))
	if alg == ES256 {
		r, s, err := ecdsa.Sign(rand.Reader, p.ec, sum[:])
		if err != nil {
			panic(err) // no randomness
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	out, err := rsa.SignPKCS1v15(rand.Reader, p.rsa, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // no randomness
	}
	return out
}

func part(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of ours
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// The paths below an issuer's URL.
const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

// ServeHTTP serves the discovery document (OpenID Connect Discovery 1.0, section 4)
// and the keys (RFC 7517), wherever it is mounted.
func (k *Keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	switch {
	case strings.HasSuffix(r.URL.Path, discoveryPath):
		at := scheme + r.Host + strings.TrimSuffix(r.URL.Path, discoveryPath)
		answer(w, map[string]any{"issuer": k.issuer, "jwks_uri": at + keysPath, "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{RS256, ES256}})
	case strings.HasSuffix(r.URL.Path, keysPath):
		answer(w, map[string]any{"keys": k.now().public()})
	default:
		http.NotFound(w, r)
	}
}

// A jwk is a public key (RFC 7517).
type jwk struct {
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

func (p *pair) public() []jwk {
	b64 := base64.RawURLEncoding.EncodeToString
	point, err := p.ec.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err) // a key of ours
	}
	return []jwk{
		{Kty: "RSA", Kid: p.rid, Alg: RS256, Use: "sig", N: b64(p.rsa.N.Bytes()), E: b64(big.NewInt(int64(p.rsa.E)).Bytes())},
		{Kty: "EC", Kid: p.eid, Alg: ES256, Use: "sig", Crv: "P-256", X: b64(point[1:33]), Y: b64(point[33:])},
	}
}

func answer(w http.ResponseWriter, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of ours
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(raw) // a client that went away is its own business
}

func random() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
