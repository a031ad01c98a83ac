package ecr

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/transship/transship/providers"
)

// google is the one issuer that AWS knows without being told, and whose condition
// keys are its own: "aud" is the authorized party, "oaud" the audience.
const google = "accounts.google.com"

type trustStatement struct {
	Effect    string
	Principal map[string]string
	Action    string
	Condition map[string]map[string]string
}

// trust is what to make in the role's account so that a is taken: an identity
// provider, and the role's trust policy.
func (f Federated) trust(a providers.Assertion) string {
	issuer := strings.TrimPrefix(a.Issuer, "https://")
	audience := f.shownTo(a)
	is, principal, made := map[string]string{issuer + ":aud": audience, issuer + ":sub": a.Subject}, f.providerARN(issuer),
		fmt.Sprintf("aws iam create-open-id-connect-provider --url %s --client-id-list %s\n", a.Issuer, audience)
	if issuer == google {
		is = map[string]string{google + ":aud": a.Subject, google + ":oaud": audience, google + ":sub": a.Subject}
		principal, made = google, ""
	}
	doc, err := json.MarshalIndent(map[string]any{"Version": "2012-10-17", "Statement": []trustStatement{{"Allow",
		map[string]string{"Federated": principal}, "sts:AssumeRoleWithWebIdentity", map[string]map[string]string{"StringEquals": is}}}}, "", "  ")
	if err != nil {
		panic(err) // maps of text
	}
	return fmt.Sprintf("%saws iam update-assume-role-policy --role-name %s --policy-document file://trust.json\n%s", made, f.roleName(), doc)
}

// shownTo is the audience to trust: the one that is expected, but for Entra's tokens
// of version 2, which are for the application's id whatever was asked for.
func (f Federated) shownTo(a providers.Assertion) string {
	if strings.HasPrefix(a.Issuer, "https://login.microsoftonline.") && len(a.Audience) > 0 {
		return a.Audience[0]
	}
	return f.audience()
}

// providerARN is the identity provider of IAM for an issuer, in the role's account;
// a slash at the issuer's end is part of it.
func (f Federated) providerARN(issuer string) string {
	base, _, _ := strings.Cut(f.RoleARN, ":role/")
	return base + ":oidc-provider/" + issuer
}

func (f Federated) roleName() string { return f.RoleARN[strings.LastIndex(f.RoleARN, "/")+1:] }
