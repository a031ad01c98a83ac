package gartest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// issue makes an access token of an account.
func (s *Server) issue(email string) (t string, seconds int, expires time.Time) {
	life := s.config().TokenLife
	return s.iam.Token(email, life), max(1, int(life.Seconds())), time.Now().Add(life)
}

// oauthError is how Google's token endpoints refuse (RFC 6749 section 5.2).
func oauthError(w http.ResponseWriter, code, description string) {
	sendJSON(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
}

// serveToken exchanges a service account's assertion (RFC 7523) or a user's refresh
// token.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	if f := s.calls.Called("Token"); f != nil {
		f.send(w)
		return
	}
	email, why := "", "Bad Request"
	switch r.PostFormValue("grant_type") {
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		email, why = s.assertion(r.PostFormValue("assertion"))
	case "refresh_token":
		s.iam.mu.Lock()
		email = s.iam.refreshes[r.PostFormValue("refresh_token")]
		s.iam.mu.Unlock()
		why = "Token has been expired or revoked."
	}
	if email == "" || !s.iam.exists(email) {
		oauthError(w, "invalid_grant", why)
		return
	}
	t, seconds, _ := s.issue(email)
	sendJSON(w, http.StatusOK, map[string]any{"access_token": t, "expires_in": seconds, "token_type": "Bearer"})
}

// assertion checks a signed JWT and returns whose it is, or why it is nobody's.
func (s *Server) assertion(jwt string) (email, why string) {
	parts := strings.Split(jwt, ".")
	var head struct{ Kid string }
	var claims struct {
		Iss, Aud string
		Exp, Iat int64
	}
	if len(parts) != 3 || !decode(parts[0], &head) || !decode(parts[1], &claims) {
		return "", "Invalid JWT"
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || rsa.VerifyPKCS1v15(&keyPair().PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return "", "Invalid JWT Signature."
	}
	s.iam.mu.Lock()
	owner := s.iam.keys[head.Kid]
	s.iam.mu.Unlock()
	now := time.Now().Add(s.config().ClockOffset).Unix()
	switch {
	case owner == "" || owner != claims.Iss:
		return "", "Invalid JWT Signature."
	case claims.Aud != s.TokenURI():
		return "", "Invalid JWT: Failed audience check."
	case claims.Exp < now || claims.Iat > now+300:
		return "", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
	}
	return claims.Iss, ""
}

func decode(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}

// serveExchange is the Security Token Service (RFC 8693).
func (s *Server) serveExchange(w http.ResponseWriter, r *http.Request) {
	if f := s.calls.Called("Exchange"); f != nil {
		f.send(w)
		return
	}
	if s.iam.hasPools() {
		s.serveFederation(w, r)
		return
	}
	s.iam.mu.Lock()
	have, ok := s.iam.workloads[r.PostFormValue("subject_token")]
	s.iam.mu.Unlock()
	switch {
	case r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange":
		oauthError(w, "unsupported_grant_type", "")
		return
	case !ok:
		oauthError(w, "invalid_grant", "ID Token is not valid: it is not signed by the issuer")
		return
	case have.audience != r.PostFormValue("audience"):
		oauthError(w, "invalid_grant", fmt.Sprintf("The audience in ID Token [%s] does not match the expected audience %s.", have.audience, r.PostFormValue("audience")))
		return
	}
	name := Principal(have.subject)
	if !s.iam.exists(name) {
		s.iam.Allow(name, "nothing")
	}
	t, seconds, _ := s.issue(name)
	sendJSON(w, http.StatusOK, map[string]any{"access_token": t, "expires_in": seconds, "token_type": "Bearer",
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
}

// serveImpersonation is IAM credentials' generateAccessToken: the caller has to be
// trusted by the first of the chain, and each of it by the next.
func (s *Server) serveImpersonation(w http.ResponseWriter, r *http.Request, email string) {
	s.calls.Count("GenerateAccessToken")
	by := s.iam.bearer(bearerOf(r))
	if by == "" {
		unauthenticated.send(w)
		return
	}
	var in struct{ Delegates []string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		(&Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: err.Error()}).send(w)
		return
	}
	if !s.actsAs(w, by, append(in.Delegates, email), "iam.serviceAccounts.getAccessToken") {
		return
	}
	t, _, expires := s.issue(email)
	sendJSON(w, http.StatusOK, map[string]any{"accessToken": t, "expireTime": expires.UTC().Format(time.RFC3339)})
}

// actsAs reports whether by may act as the last of a chain, and refuses otherwise.
func (s *Server) actsAs(w http.ResponseWriter, by string, chain []string, permission string) bool {
	for _, next := range chain {
		next = next[strings.LastIndex(next, "/")+1:]
		if !s.iam.trusts(next, by) {
			(&Fault{Code: 403, Status: "PERMISSION_DENIED", Reason: "IAM_PERMISSION_DENIED",
				Message:  "Permission '" + permission + "' denied on resource (or it may not exist).",
				Metadata: map[string]string{"permission": permission}}).send(w)
			return false
		}
		by = next
	}
	return true
}

// serveMetadata is the instance's metadata service.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Metadata-Flavor") != "Google" {
		http.Error(w, "Missing required header: Metadata-Flavor", http.StatusForbidden)
		return
	}
	w.Header().Set("Metadata-Flavor", "Google")
	s.mu.Lock()
	email := s.attached
	s.mu.Unlock()
	what, ok := strings.CutPrefix(r.URL.Path, "/computeMetadata/v1/instance/service-accounts/default/")
	if f := s.calls.Fault("Metadata"); f != nil {
		http.Error(w, f.Message, f.Code)
		return
	}
	switch {
	case r.URL.Path == "/computeMetadata/v1/project/project-id":
		_, _ = w.Write([]byte(Project))
	case !ok || email == "":
		http.Error(w, "not found", http.StatusNotFound)
	case what == "email":
		_, _ = w.Write([]byte(email))
	case what == "identity":
		s.calls.Count("Identity")
		_, _ = w.Write([]byte(s.iam.idToken(email, r.URL.Query().Get("audience"), s.now())))
	case what == "token":
		s.calls.Count("Metadata")
		t, seconds, _ := s.issue(email)
		sendJSON(w, http.StatusOK, map[string]any{"access_token": t, "expires_in": seconds, "token_type": "Bearer"})
	default:
		http.NotFound(w, r)
	}
}

func bearerOf(r *http.Request) string {
	t, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return t
}
