package gartest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest/idp"
)

// Issuer is who signs ID tokens.
const Issuer = "https://accounts.google.com"

const issuerPath = "/issuer"

// IssuerURL is where the issuer's discovery document is.
func (s *Server) IssuerURL() string { return s.api.URL() + issuerPath }

func (s *Server) now() time.Time { return time.Now().Add(s.config().ClockOffset) }

// A PoolProvider is a provider of a workload identity pool: of an OIDC issuer, or of
// an account of AWS.
type PoolProvider struct {
	// Name is projects/1/locations/global/workloadIdentityPools/p/providers/x.
	Name string
	// Issuer is taken with one of Audiences; none are the provider's own name.
	Issuer    string
	Audiences []string
	// Account is AWS's, whose service at STS judges signed requests.
	Account, STS string
	// Condition is the attribute condition about the subject: an OIDC token's, or an
	// ARN; nil is none.
	Condition func(subject string) bool
}

// Pool makes a provider; at is where its issuer's discovery document really is.
func (i *IAM) Pool(p PoolProvider, at string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pools[p.Name] = p
	i.issuers.Know(p.Issuer, at)
}

func (i *IAM) hasPools() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.pools) > 0
}

// Member is the name of a subject of the provider's pool, to be allowed something.
func (p PoolProvider) Member(subject string) string {
	pool, _, _ := strings.Cut(p.Name, "/providers/")
	return "principal://iam.googleapis.com/" + pool + "/subject/" + subject
}

// Role is the name of the sessions of an AWS role, to be allowed something.
func (p PoolProvider) Role(role string) string {
	pool, _, _ := strings.Cut(p.Name, "/providers/")
	return "principalSet://iam.googleapis.com/" + pool + "/attribute.aws_role/" + role
}

// refusal is an OAuth error of the token exchange. The words are those of the
// service where they are known; those about AWS and about times are UNVERIFIED.
type refusal struct{ code, words string }

func refusef(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// serveFederation is the Security Token Service (RFC 8693) for pools.
func (s *Server) serveFederation(w http.ResponseWriter, r *http.Request) {
	s.iam.mu.Lock()
	p, ok := s.iam.pools[strings.TrimPrefix(r.PostFormValue("audience"), "//iam.googleapis.com/")]
	s.iam.mu.Unlock()
	subject, no := "", (*refusal)(nil)
	switch {
	case r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange":
		no = refusef("unsupported_grant_type", "")
	case !ok:
		no = refusef("invalid_target", `The target service indicated by the "audience" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.`)
	case r.PostFormValue("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
		subject, no = s.judgedByAWS(p, r.PostFormValue("subject_token"))
	default:
		subject, no = s.judged(p, r.PostFormValue("subject_token"))
	}
	if no == nil && p.Condition != nil && !p.Condition(subject) {
		no = refusef("unauthorized_client", "The given credential is rejected by the attribute condition.")
	}
	if no != nil {
		oauthError(w, no.code, no.words)
		return
	}
	t, seconds, _ := s.issue(s.member(p, subject))
	sendJSON(w, http.StatusOK, map[string]any{"access_token": t, "expires_in": seconds, "token_type": "Bearer",
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
}

// member makes a principal of the pool, which may do nothing unless that was said.
func (s *Server) member(p PoolProvider, subject string) string {
	name := p.Member(subject)
	if !s.iam.exists(name) {
		s.iam.Allow(name, "nothing")
	}
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	if before, _, ok := strings.Cut(subject, ":assumed-role/"); ok {
		s.iam.accounts[name].sets = []string{p.Role(before + ":assumed-role/" + strings.Split(subject, "/")[1])}
	}
	return name
}

// judged is the subject of an OIDC token.
func (s *Server) judged(p PoolProvider, token string) (subject string, no *refusal) {
	c, err := s.iam.issuers.Verify(token)
	audiences := p.Audiences
	if len(audiences) == 0 {
		audiences = []string{"//iam.googleapis.com/" + p.Name, "https://iam.googleapis.com/" + p.Name}
	}
	switch now := s.now(); {
	case p.Issuer == "":
		return "", refusef("invalid_request", "Invalid subject token type for this provider.")
	case errors.Is(err, idp.ErrMalformed):
		return "", refusef("invalid_request", "Unable to parse the ID Token.")
	case c.Issuer != p.Issuer:
		return "", refusef("invalid_grant", "The issuer in ID Token %s does not match the expected ones: %s.", c.Issuer, p.Issuer)
	case errors.Is(err, idp.ErrKeys):
		return "", refusef("invalid_grant", "Error connecting to the given credential's issuer.")
	case err != nil:
		return "", refusef("invalid_grant", "Invalid ID Token signature.")
	case !c.Audience.In(audiences...):
		return "", refusef("invalid_grant", "The audience in ID Token %s does not match the expected audience %s.", c.Audience, audiences)
	case c.Late(now):
		return "", refusef("invalid_grant", "ID Token issued at %d is stale to sign-in: it expired at %d.", c.Issued, c.Expires)
	case c.Early(now):
		return "", refusef("invalid_grant", "ID Token is not yet valid: it is from the future.")
	}
	return c.Subject, nil
}

// signed is a request that was signed for us to send.
type signed struct {
	URL     string
	Method  string
	Headers []struct{ Key, Value string }
}

var stsURL = regexp.MustCompile(`^https://(sts\.[a-z0-9-]+\.amazonaws\.com)/?\?Action=GetCallerIdentity&Version=2011-06-15$`)

// judgedByAWS sends the request to AWS, as it was signed, and believes the answer.
func (s *Server) judgedByAWS(p PoolProvider, token string) (arn string, no *refusal) {
	text, err := url.QueryUnescape(token)
	var in signed
	if err != nil || json.Unmarshal([]byte(text), &in) != nil {
		return "", refusef("invalid_request", "Unable to parse the subject token.")
	}
	at := stsURL.FindStringSubmatch(in.URL)
	if p.Account == "" || at == nil || in.Method != http.MethodPost {
		return "", refusef("invalid_request", "Invalid subject token type for this provider.")
	}
	if !in.isFor("//iam.googleapis.com/" + p.Name) {
		return "", refusef("invalid_grant", "The x-goog-cloud-target-resource header is not signed, or does not match the expected audience.")
	}
	who, err := in.send(p.STS, at[1])
	switch {
	case err != nil:
		return "", refusef("invalid_grant", "Received invalid AWS response: %v", err)
	case who.Result.Account != p.Account:
		return "", refusef("invalid_grant", "The AWS account %s does not match the account of the provider, %s.", who.Result.Account, p.Account)
	}
	return who.Result.ARN, nil
}

// isFor reports whether the signature covers whom the request is for.
func (in signed) isFor(audience string) bool {
	names := ""
	for _, h := range in.Headers {
		if strings.EqualFold(h.Key, "Authorization") {
			_, names, _ = strings.Cut(h.Value, "SignedHeaders=")
			names, _, _ = strings.Cut(names, ",")
		}
	}
	const name = "x-goog-cloud-target-resource"
	return slices.Contains(strings.Split(names, ";"), name) && slices.ContainsFunc(in.Headers, func(h struct{ Key, Value string }) bool {
		return strings.EqualFold(h.Key, name) && h.Value == audience
	})
}

type callerIdentity struct {
	XMLName xml.Name `xml:"GetCallerIdentityResponse"`
	Result  struct {
		ARN     string `xml:"Arn"`
		Account string
	} `xml:"GetCallerIdentityResult"`
}

func (in signed) send(to, host string) (who callerIdentity, err error) {
	req, err := http.NewRequest(in.Method, to+in.URL[strings.Index(in.URL, "?"):], http.NoBody)
	if err != nil {
		return who, err
	}
	req.Host = host
	for _, h := range in.Headers {
		req.Header.Add(h.Key, h.Value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return who, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err == nil {
		err = xml.Unmarshal(raw, &who)
	}
	return who, err
}

// idToken is one of an account. The metadata service's and IAM credentials' have the
// account's number as subject and as authorized party.
func (i *IAM) idToken(email, audience string, now time.Time) string {
	i.mu.Lock()
	id := ""
	if a := i.accounts[email]; a != nil {
		id = a.id
	}
	i.mu.Unlock()
	return i.google.Sign(map[string]any{"sub": id, "azp": id, "aud": audience, "email": email, "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
}

// Number is the unique id of an account, which tokens have as their subject.
func (i *IAM) Number(email string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if a := i.accounts[email]; a != nil {
		return a.id
	}
	return ""
}

// serveIDToken is IAM credentials' generateIdToken.
func (s *Server) serveIDToken(w http.ResponseWriter, r *http.Request, email string) {
	s.calls.Count("GenerateIDToken")
	by := s.iam.bearer(bearerOf(r))
	if by == "" {
		unauthenticated.send(w)
		return
	}
	var in struct {
		Audience  string
		Delegates []string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Audience == "" {
		(&Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: "audience is needed"}).send(w)
		return
	}
	if s.actsAs(w, by, append(in.Delegates, email), "iam.serviceAccounts.getOpenIdToken") {
		sendJSON(w, http.StatusOK, map[string]any{"token": s.iam.idToken(email, in.Audience, s.now())})
	}
}
