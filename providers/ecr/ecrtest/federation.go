package ecrtest

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/transship/transship/providers/registrytest/idp"
)

// opaque begins the tokens of [IAM.WebIdentity], which nobody signs.
const opaque = "web."

// Google is the one issuer for which no identity provider is made, and whose
// condition keys are its own.
const Google = "https://accounts.google.com"

// A Federated is a statement of a role's trust policy about tokens of an issuer. An
// empty condition is none.
type Federated struct {
	Issuer, Subject string
	// Audience is the condition on "aud", and for Google on "oaud"; Party is Google's
	// condition on "aud", which is the token's authorized party.
	Audience, Party string
}

// OIDCProvider makes an identity provider for an issuer that takes those audiences;
// at is where the issuer's discovery document really is. For Google it only says
// where that is.
func (i *IAM) OIDCProvider(issuer, at string, audiences ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.providers[issuer] = append(i.providers[issuer], audiences...)
	i.issuers.Know(issuer, at)
}

// federate is AssumeRoleWithWebIdentity for a signed token. That an early or forged
// token is InvalidIdentityToken is UNVERIFIED.
func (s *Server) federate(form url.Values, token string) (any, *fail) {
	claims, err := s.iam.issuers.Verify(token)
	now := s.now()
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	to := s.iam.roles[form.Get("RoleArn")]
	switch {
	case errors.Is(err, idp.ErrMalformed):
		return nil, failf("InvalidIdentityToken", "The web identity token that was passed could not be validated by AWS. It is not a JWT.")
	case errors.Is(err, idp.ErrIssuer):
		return nil, failf("InvalidIdentityToken", "No OpenIDConnect provider found in your account for %s", claims.Issuer)
	case errors.Is(err, idp.ErrKeys):
		return nil, failf("IDPCommunicationError", "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	case err != nil:
		return nil, failf("InvalidIdentityToken", "The signature of the token is not that of its issuer")
	case claims.Late(now):
		return nil, failf("ExpiredTokenException", "Token expired: current date/time %s must be before the expiration date/time %s",
			now.UTC().Format(time.RFC3339), time.Unix(claims.Expires, 0).UTC().Format(time.RFC3339))
	case claims.Early(now):
		return nil, failf("InvalidIdentityToken", "The token is not yet valid")
	case claims.Issuer != Google && !claims.Audience.In(s.iam.providers[claims.Issuer]...):
		return nil, failf("InvalidIdentityToken", "Incorrect token audience")
	case to == nil || !slices.ContainsFunc(to.Federated, func(f Federated) bool { return f.allows(claims) }):
		return nil, &fail{403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	}
	return s.iam.webSession(to, form), nil
}

func (f Federated) allows(c idp.Claims) bool {
	return f.Issuer == c.Issuer && (f.Subject == "" || f.Subject == c.Subject) &&
		(f.Audience == "" || c.Audience.In(f.Audience)) && (f.Party == "" || f.Party == c.Party)
}

const outboundPath = "/outbound"

// AllowOutbound lets principals of the account have tokens for others, and returns
// the issuer's name and where it is.
func (s *Server) AllowOutbound() (issuer, at string) {
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	if s.iam.outbound == nil {
		s.iam.outbound = idp.NewKeys("https://" + random(16) + ".tokens.sts.global.api.aws")
	}
	return s.iam.outbound.Issuer(), s.api.URL() + outboundPath
}

func (s *Server) serveOutbound(w http.ResponseWriter, r *http.Request) {
	s.iam.mu.Lock()
	keys := s.iam.outbound
	s.iam.mu.Unlock()
	if keys == nil {
		http.NotFound(w, r)
		return
	}
	keys.ServeHTTP(w, r)
}

// getWebIdentityToken is a token of the account's own issuer.
func (s *Server) getWebIdentityToken(r *http.Request, body []byte, form url.Values) (any, *fail) {
	who, f := s.caller(r, body, "sts")
	if f != nil {
		return nil, f
	}
	s.iam.mu.Lock()
	keys, may := s.iam.outbound, who.who.may("sts:GetWebIdentityToken")
	s.iam.mu.Unlock()
	alg := form.Get("SigningAlgorithm")
	life, err := strconv.Atoi(form.Get("DurationSeconds"))
	switch {
	case !may:
		return nil, &fail{403, "AccessDenied", "User: " + who.session + " is not authorized to perform: sts:GetWebIdentityToken"}
	case keys == nil:
		return nil, failf("OutboundWebIdentityFederationDisabledException", "Outbound web identity federation is not enabled for this account.")
	case alg != idp.RS256 || form.Get("Audience.member.1") == "" || err != nil || life < 60 || life > 3600:
		return nil, failf("ValidationError", "audience, algorithm or duration is missing or wrong")
	}
	now := s.now()
	type result struct{ WebIdentityToken, Expiration string }
	return struct {
		XMLName xml.Name `xml:"GetWebIdentityTokenResponse"`
		Result  result   `xml:"GetWebIdentityTokenResult"`
	}{Result: result{keys.SignWith(alg, map[string]any{"sub": who.who.arn, "aud": form.Get("Audience.member.1"), "jti": random(16),
		"iat": now.Unix(), "exp": now.Unix() + int64(life), "https://sts.amazonaws.com/": map[string]string{"aws_account": who.who.account}}),
		now.Add(time.Duration(life) * time.Second).UTC().Format(time.RFC3339)}}, nil
}

// ForbidOutbound takes it back.
func (s *Server) ForbidOutbound() {
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	s.iam.outbound = nil
}
