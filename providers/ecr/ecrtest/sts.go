package ecrtest

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serveSTS is the Security Token Service: the query protocol, answers in XML.
func (s *Server) serveSTS(w http.ResponseWriter, r *http.Request, body []byte) {
	text := string(body)
	if text == "" { // a request that was signed for another to send
		text = r.URL.RawQuery
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		sendXMLFail(w, failf("MalformedQueryString", "%v", err))
		return
	}
	op := form.Get("Action")
	if f := s.calls.Called(op); f != nil {
		sendXMLFail(w, &fail{f.Status, f.Code, f.Message})
		return
	}
	var result any
	var f *fail
	switch op {
	case "AssumeRole":
		result, f = s.assumeRole(r, body, form)
	case "AssumeRoleWithWebIdentity":
		result, f = s.assumeRoleWithWebIdentity(form)
	case "GetWebIdentityToken":
		result, f = s.getWebIdentityToken(r, body, form)
	case "GetCallerIdentity":
		result, f = s.getCallerIdentity(r, body)
	default:
		f = failf("InvalidAction", "Could not find operation %s for version 2011-06-15", op)
	}
	if f != nil {
		sendXMLFail(w, f)
		return
	}
	sendXML(w, http.StatusOK, result)
}

type xmlCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type xmlRole struct {
	ARN string `xml:"Arn"`
	ID  string `xml:"AssumedRoleId"`
}

type assumed struct {
	Credentials     xmlCredentials
	AssumedRoleUser xmlRole
}

func credentialsOf(k *key) assumed {
	return assumed{xmlCredentials{k.ID, k.Secret, k.Token, k.expires.UTC().Format(time.RFC3339Nano)},
		xmlRole{k.session, "AROATEST:" + k.session[strings.LastIndex(k.session, "/")+1:]}}
}

func (s *Server) assumeRole(r *http.Request, body []byte, form url.Values) (any, *fail) {
	who, f := s.caller(r, body, "sts")
	if f != nil {
		return nil, f
	}
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	arn := form.Get("RoleArn")
	to := s.iam.roles[arn]
	trusted := to != nil && (slices.Contains(to.Principals, who.who.arn) || slices.Contains(to.Principals, "*")) &&
		(to.ExternalID == "" || to.ExternalID == form.Get("ExternalId"))
	if !trusted || !who.who.may("sts:AssumeRole") {
		return nil, &fail{403, "AccessDenied", fmt.Sprintf("User: %s is not authorized to perform: sts:AssumeRole on resource: %s", who.session, arn)}
	}
	k := s.iam.session(to, form.Get("RoleSessionName"), duration(form))
	return struct {
		XMLName xml.Name `xml:"AssumeRoleResponse"`
		Result  assumed  `xml:"AssumeRoleResult"`
	}{Result: credentialsOf(k)}, nil
}

func (s *Server) assumeRoleWithWebIdentity(form url.Values) (any, *fail) {
	if token := form.Get("WebIdentityToken"); !strings.HasPrefix(token, opaque) {
		return s.federate(form, token)
	}
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	t, known := s.iam.identities[strings.TrimSpace(form.Get("WebIdentityToken"))]
	to := s.iam.roles[form.Get("RoleArn")]
	switch {
	case !known:
		return nil, failf("InvalidIdentityToken", "No OpenIDConnect provider found in your account for the token's issuer")
	case time.Now().After(t.expires):
		return nil, failf("ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time")
	case t.audience != "sts.amazonaws.com":
		return nil, failf("InvalidIdentityToken", "Incorrect token audience")
	case to == nil || !slices.Contains(to.Subjects, t.subject):
		return nil, &fail{403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	}
	return s.iam.webSession(to, form), nil
}

// webSession are the keys of a role that was given for a token. i.mu is held.
func (i *IAM) webSession(to *role, form url.Values) any {
	k := i.session(to, form.Get("RoleSessionName"), duration(form))
	return struct {
		XMLName xml.Name `xml:"AssumeRoleWithWebIdentityResponse"`
		Result  assumed  `xml:"AssumeRoleWithWebIdentityResult"`
	}{Result: credentialsOf(k)}
}

func (s *Server) getCallerIdentity(r *http.Request, body []byte) (any, *fail) {
	who, f := s.caller(r, body, "sts")
	if f != nil {
		return nil, f
	}
	type identity struct {
		ARN     string `xml:"Arn"`
		UserID  string `xml:"UserId"`
		Account string
	}
	return struct {
		XMLName xml.Name `xml:"GetCallerIdentityResponse"`
		Result  identity `xml:"GetCallerIdentityResult"`
	}{Result: identity{who.session, "AIDATEST", who.who.account}}, nil
}

func duration(form url.Values) time.Duration {
	n, err := strconv.Atoi(form.Get("DurationSeconds"))
	if err != nil {
		return time.Hour
	}
	return time.Duration(n) * time.Second
}

// sendXMLFail sends an error as STS words it: keys that are not known have
// another code there.
func sendXMLFail(w http.ResponseWriter, f *fail) {
	type detail struct{ Type, Code, Message string }
	code, status := f.code, f.status
	if code == "UnrecognizedClientException" {
		code, status = "InvalidClientTokenId", http.StatusForbidden
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	sendXML(w, status, struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		Error   detail
	}{Error: detail{"Sender", code, f.message}})
}

func sendXML(w http.ResponseWriter, status int, v any) {
	out, err := xml.Marshal(v)
	if err != nil {
		panic(err) // structs of ours
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(out) // a client that went away is its own business
}
