package ecr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/transship/transship/providers"
)

// A Federated is a role that somebody of another cloud, or of a cluster, takes by
// sts:AssumeRoleWithWebIdentity. Its session lasts an hour and is renewed five
// minutes before that, with a new assertion.
type Federated struct {
	Issuer      providers.Issuer
	Audience    string // of the assertion; "" is [Audience]
	RoleARN     string
	SessionName string // "" is transship
}

// Audience is whom assertions are for that AWS is to take, by its own convention.
const Audience = "sts.amazonaws.com"

func (f Federated) audience() string { return cmp.Or(f.Audience, Audience) }

// A webIdentity fetches the keys of the role's sessions. It is an
// aws.CredentialsProvider.
type webIdentity struct {
	r   *Registry
	f   Federated
	sts *sts.Client
}

const opSignIn = "sign in"

// Retrieve shows AWS a new assertion. Errors are providers.Errors that name the link
// that is broken.
func (w *webIdentity) Retrieve(ctx context.Context) (aws.Credentials, error) {
	a, err := w.assertion(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	return w.exchange(ctx, a)
}

func (w *webIdentity) assertion(ctx context.Context) (providers.Assertion, error) {
	a, err := w.f.Issuer.Assertion(ctx, w.f.audience())
	if err == nil {
		err = a.Check(time.Now())
	}
	if err != nil {
		return a, providers.Broken(providers.LinkAssertion, opSignIn, w.r.Host(), err)
	}
	return a, nil
}

func (w *webIdentity) exchange(ctx context.Context, a providers.Assertion) (aws.Credentials, error) {
	out, err := w.sts.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: &w.f.RoleARN,
		RoleSessionName: aws.String(cmp.Or(w.f.SessionName, "transship")), WebIdentityToken: aws.String(string(a.Token)), DurationSeconds: aws.Int32(3600)})
	if err != nil {
		return aws.Credentials{}, providers.Broken(providers.LinkExchange, opSignIn, w.r.Host(), w.refused(a, err))
	}
	if out.Credentials == nil {
		return aws.Credentials{}, providers.Broken(providers.LinkExchange, opSignIn, w.r.Host(), w.fail(providers.Unavailable, errors.New("AWS's answer holds no credentials"), ""))
	}
	c := out.Credentials
	return aws.Credentials{AccessKeyID: aws.ToString(c.AccessKeyId), SecretAccessKey: aws.ToString(c.SecretAccessKey),
		SessionToken: aws.ToString(c.SessionToken), Source: "WebIdentityCredentials", CanExpire: true, Expires: aws.ToTime(c.Expiration)}, nil
}

func (w *webIdentity) fail(kind providers.Kind, err error, hint string) error {
	return w.r.fail(opSignIn, "", kind, err, hint)
}

// refused is the error of an assertion that AWS does not take.
func (w *webIdentity) refused(a providers.Assertion, err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return w.fail(providers.Unavailable, fmt.Errorf("the Security Token Service of AWS cannot be reached: %s", firstLine(err.Error())),
			"check that this machine may reach sts."+w.r.host.Region+".amazonaws.com")
	}
	kind := codes[api.ErrorCode()]
	if kind == providers.Unknown {
		kind = providers.Denied
	}
	return w.fail(kind, fmt.Errorf("role %s is not given: %w; presented: %s; expected: audience %s, and a trust of the role in that issuer and subject",
		w.f.RoleARN, reason(api), a, w.f.audience()), refusedHint(api, a))
}

// refusedHint says what to do about the refusals of AssumeRoleWithWebIdentity.
func refusedHint(api smithy.APIError, a providers.Assertion) string {
	words := strings.ToLower(api.ErrorMessage())
	switch code := api.ErrorCode(); {
	case code == "ExpiredTokenException":
		return "the token is over: have it renewed, and check the clock of who issued it"
	case strings.Contains(words, "audience"):
		return "add the audience to the identity provider: aws iam add-client-id-to-open-id-connect-provider; or name another in auth.federated.audience"
	case strings.Contains(words, "no openidconnect provider"):
		return "make an identity provider of IAM for the issuer: aws iam create-open-id-connect-provider --url " + a.Issuer
	case code == "IDPCommunicationError" || strings.Contains(words, "verification key"):
		return "AWS has to reach the keys of the issuer: " + a.Issuer + "/.well-known/openid-configuration"
	case strings.Contains(words, "not yet valid") || strings.Contains(words, "nbf"):
		return "check the clock of who issued it"
	case code == "AccessDenied":
		return "allow sts:AssumeRoleWithWebIdentity to that issuer and subject in the trust policy of the role: transship doctor prints it"
	case code == "ValidationError":
		return "check auth.federated.roleARN"
	}
	return "check the trust policy of the role and the identity provider of IAM: transship doctor prints both"
}

// Way tries the links from another cloud to this registry, with new requests; nil if
// the identity comes from none.
func (r *Registry) Way(ctx context.Context) *providers.Way {
	f := r.opts.Identity.Federated
	if f == nil || r.given {
		return nil
	}
	way := &providers.Way{}
	way.Try(providers.LinkIdentity, func() (string, error) {
		who, err := f.Issuer.Whoami(ctx)
		if err != nil {
			return "", providers.Broken(providers.LinkIdentity, opSignIn, r.Host(), err)
		}
		return who.String(), nil
	})
	w := &webIdentity{r: r, f: *f}
	var a providers.Assertion
	way.Try(providers.LinkAssertion, func() (_ string, err error) {
		if a, err = w.assertion(ctx); err == nil {
			way.Trust = f.trust(a)
		}
		return a.String(), err
	})
	way.Try(providers.LinkExchange, func() (string, error) {
		c, err := r.connect(ctx)
		if err != nil {
			return "", err
		}
		w.sts = c.sts
		_, err = w.exchange(ctx, a)
		return "AWS gives us role " + f.RoleARN, err
	})
	return way
}
