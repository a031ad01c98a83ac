package gar

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/auth/credentials/externalaccount"

	"github.com/transship/transship/providers"
)

// A Federated is somebody of another cloud, or of a cluster, whom a provider of a
// workload identity pool takes. Identity.Impersonate, if it is not empty, is whom
// they act as.
type Federated struct {
	// Provider is projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<id>.
	Provider string
	// Issuer gives assertions for Audience ("" is the provider itself); or AWS signs
	// a request with its keys, which Google has AWS judge. One of the two is set.
	Issuer   providers.Issuer
	Audience string
	AWS      providers.AWSIssuer
}

// resource is the provider as the token exchange has it, and the audience that
// assertions have where none is named.
func (f Federated) resource() string { return "//iam.googleapis.com/" + f.Provider }

func (f Federated) audience() string { return cmp.Or(f.Audience, "https:"+f.resource()) }

// pool is the provider's.
func (f Federated) pool() string {
	pool, _, _ := strings.Cut(f.Provider, "/providers/")
	return pool
}

// Shown is what Google is shown.
type shown struct {
	assertion providers.Assertion
	keys      *providers.AWSKeys // instead
}

// String is what it says, for people.
func (s shown) String() string {
	if s.keys != nil {
		return fmt.Sprintf("a request to sts.%s.amazonaws.com, signed with the access key %s", s.keys.Region, s.keys.AccessKeyID)
	}
	return s.assertion.String()
}

// federated signs in as the workload, and as whom it impersonates. Errors name the
// link that is broken.
func (s *source) federated(ctx context.Context) (base, error) {
	what, err := s.assertion(ctx)
	if err != nil {
		return base{}, err
	}
	b, err := s.exchange(ctx, what)
	if err != nil || len(s.id.Impersonate) == 0 {
		return b, err
	}
	return s.act(ctx, b)
}

// assertion is what is shown to Google, new each time.
func (s *source) assertion(ctx context.Context) (what shown, err error) {
	f := s.id.Federated
	if f.AWS != nil {
		var keys providers.AWSKeys
		keys, err = f.AWS.AWSKeys(ctx)
		what.keys = &keys
	} else if what.assertion, err = f.Issuer.Assertion(ctx, f.audience()); err == nil {
		err = what.assertion.Check(time.Now())
	}
	if err != nil {
		return shown{}, s.broken(providers.LinkAssertion, err)
	}
	return what, nil
}

func (s *source) broken(link string, err error) error {
	return providers.Broken(link, opSignIn, s.ref, err)
}

// exchange has the Security Token Service of Google take it (RFC 8693).
func (s *source) exchange(ctx context.Context, what shown) (base, error) {
	f := s.id.Federated
	asked := &answer{}
	o := &externalaccount.Options{Audience: f.resource(), TokenURL: s.endpoints.STS, Scopes: []string{scope},
		Client: s.asking(ctx, asked, nil), Logger: silent}
	who := providers.Identity{Name: "the workload of " + f.Provider, From: "auth.federated"}
	if what.keys != nil {
		o.SubjectTokenType, o.AwsSecurityCredentialsProvider = "urn:ietf:params:aws:token-type:aws4_request", lent(*what.keys)
	} else {
		o.SubjectTokenType, o.SubjectTokenProvider = "urn:ietf:params:oauth:token-type:jwt", subject(what.assertion.Token)
		who.Name = what.assertion.Subject + ", workload of " + f.Provider
	}
	creds, err := externalaccount.NewCredentials(o)
	if err != nil {
		return base{}, s.broken(providers.LinkExchange, s.fail(providers.Denied, errors.New(firstLine(err.Error())), "check auth.federated"))
	}
	t, err := creds.Token(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return base{}, cause
	}
	if err != nil {
		return base{}, s.broken(providers.LinkExchange, s.notTaken(what, asked, err))
	}
	return base{t, who}, nil
}

// act impersonates the service account.
func (s *source) act(ctx context.Context, b base) (base, error) {
	acting, err := s.impersonated(ctx, b)
	if err == nil {
		return acting, nil
	}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		if e.Kind == providers.Denied {
			e.Hint = fmt.Sprintf("grant roles/iam.workloadIdentityUser on %s to the workload: transship doctor prints the command", s.id.Impersonate[0])
		}
		return base{}, s.broken(providers.LinkImpersonation, e)
	}
	return base{}, err
}

// notTaken is the error of what Google does not take.
func (s *source) notTaken(what shown, asked *answer, err error) error {
	if asked.status == 0 || asked.status >= http.StatusInternalServerError || asked.status == http.StatusTooManyRequests {
		return s.away(asked, fmt.Errorf("the Security Token Service of Google cannot be reached: %s", firstLine(err.Error())),
			"check that this machine may reach sts.googleapis.com")
	}
	code, words := oauthReason(err.Error())
	e := s.fail(providers.Denied, fmt.Errorf("%s does not take it: %s: %s; presented: %s; expected: %s", s.id.Federated.Provider, code, words, what, s.id.Federated.expects()),
		exchangeHint(code, words))
	e.Status, e.Code = asked.status, code
	return e
}

func (f Federated) expects() string {
	if f.AWS != nil {
		return "the account and the attribute condition of that provider"
	}
	return "audience " + f.audience() + ", and the issuer and the attribute condition of that provider"
}

// oauthReason reads a refusal (RFC 6749 section 5.2) in what the library says.
func oauthReason(text string) (code, words string) {
	var doc struct {
		Error       string
		Description string `json:"error_description"`
	}
	if i := strings.Index(text, "{"); i < 0 || json.Unmarshal([]byte(text[i:]), &doc) != nil || doc.Error == "" {
		return "refused", firstLine(text)
	}
	return firstLine(doc.Error), firstLine(doc.Description)
}

// exchangeHint says what to do about a refusal of the token exchange.
func exchangeHint(code, words string) string {
	lower := strings.ToLower(words)
	switch {
	case code == "invalid_target":
		return "check auth.federated.workloadIdentityProvider: the number (not the name) of the project, the pool and the provider; neither may be disabled"
	case strings.Contains(lower, "attribute condition"):
		return "let the provider's attribute condition hold for that subject: gcloud iam workload-identity-pools providers describe"
	case strings.Contains(lower, "audience"):
		return "add that audience to the provider (--allowed-audiences), or name another in auth.federated.audience"
	case strings.Contains(lower, "stale") || strings.Contains(lower, "expired") || strings.Contains(lower, "not yet") || strings.Contains(lower, "future"):
		return "have the token renewed, and check the clock of who issued it"
	case strings.Contains(lower, "connecting") || strings.Contains(lower, "jwk") || strings.Contains(lower, "signature"):
		return "Google has to reach the keys of the issuer, or the provider has to hold them (--jwk-json-path)"
	case strings.Contains(lower, "issuer"):
		return "the provider is for another issuer: make one for this (create-oidc --issuer-uri), or name that in auth.federated.workloadIdentityProvider"
	case strings.Contains(lower, "account"):
		return "the provider is for another account of AWS: make one for this (create-aws --account-id)"
	}
	return "check the provider of the workload identity pool: transship doctor prints how it has to be"
}

// subject is a token that is there.
type subject providers.Hidden

// SubjectToken is the token.
func (s subject) SubjectToken(context.Context, *externalaccount.RequestOptions) (string, error) {
	return string(s), nil
}

// lent are the keys of AWS's own chain, of which Google's library would read but a
// part.
type lent providers.AWSKeys

// AwsRegion is that of STS.
func (l lent) AwsRegion(context.Context, *externalaccount.RequestOptions) (string, error) {
	return l.Region, nil
}

// AwsSecurityCredentials are the keys.
func (l lent) AwsSecurityCredentials(context.Context, *externalaccount.RequestOptions) (*externalaccount.AwsSecurityCredentials, error) {
	return &externalaccount.AwsSecurityCredentials{AccessKeyID: l.AccessKeyID,
		SecretAccessKey: string(l.SecretAccessKey), SessionToken: string(l.SessionToken)}, nil
}
