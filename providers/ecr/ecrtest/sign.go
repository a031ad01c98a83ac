package ecrtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxSkew is how far a signature's time may be from ours.
const maxSkew = 5 * time.Minute

// caller finds out who signed a request for a service, and whether the signature
// fits, as the real services do.
func (s *Server) caller(r *http.Request, body []byte, service string) (*key, *fail) {
	scope, signed, ok := parseAuthorization(r.Header.Get("Authorization"))
	if !ok {
		return nil, &fail{400, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	k, f := s.known(scope[0], r.Header.Get("X-Amz-Security-Token"))
	if f != nil {
		return nil, f
	}
	if scope[2] != s.region && service != "sts" {
		return nil, &fail{400, "InvalidSignatureException", "Credential should be scoped to a valid region. "}
	}
	if scope[3] != service {
		return nil, &fail{400, "InvalidSignatureException", "Credential should be scoped to correct service: '" + service + "'. "}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if skew := s.now().Sub(at); err != nil || skew > maxSkew || skew < -maxSkew {
		return nil, &fail{400, "InvalidSignatureException", "Signature expired: " + r.Header.Get("X-Amz-Date") + " is now earlier than " +
			s.now().Add(-maxSkew).UTC().Format("20060102T150405Z")}
	}
	if !fits(r, body, k.Key, scope, signed, at) {
		return nil, &fail{400, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided."}
	}
	return k, nil
}

// known returns the key of that id, if its session has not ended.
func (s *Server) known(id, session string) (*key, *fail) {
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	k := s.iam.keys[id]
	switch {
	case k == nil || k.revoked || k.Token != session:
		return nil, &fail{400, "UnrecognizedClientException", "The security token included in the request is invalid."}
	case !k.expires.IsZero() && time.Now().After(k.expires):
		return nil, &fail{400, "ExpiredTokenException", "The security token included in the request is expired"}
	}
	return k, nil
}

// parseAuthorization reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
// scope is access key id, date, region, service and terminator.
func parseAuthorization(header string) (scope, signed []string, ok bool) {
	rest, found := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			scope = strings.Split(value, "/")
		case "SignedHeaders":
			signed = strings.Split(value, ";")
		}
	}
	return scope, signed, found && len(scope) == 5 && len(signed) > 0
}

// fits signs the request again and compares.
func fits(r *http.Request, body []byte, k Key, scope, signed []string, at time.Time) bool {
	again, err := http.NewRequestWithContext(context.Background(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return false
	}
	again.ContentLength = 0
	for _, name := range signed {
		switch {
		case name == "content-length":
			again.ContentLength = int64(len(body))
		case name != "host":
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret, SessionToken: k.Token}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, again, hex.EncodeToString(sum[:]), scope[3], scope[2], at); err != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(again.Header.Get("Authorization")), []byte(r.Header.Get("Authorization"))) == 1
}
