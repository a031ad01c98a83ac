package ecr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
)

// An Issuer is an AWS identity as other clouds see it: by a token of
// sts:GetWebIdentityToken, or by a request that is signed with its keys. The
// identity is found by the SDK's own chain (IRSA, EKS Pod Identity, instance profile
// and the rest), a profile, or roles. It is safe for concurrent use.
type Issuer struct {
	opts Options
	log  *slog.Logger

	mu  sync.Mutex
	cfg *aws.Config
}

var (
	_ providers.Issuer    = (*Issuer)(nil)
	_ providers.AWSIssuer = (*Issuer)(nil)
)

// NewIssuer returns the identity of o.Identity; o.OCI says how AWS is reached. It
// connects to nobody yet.
func NewIssuer(o Options) *Issuer {
	i := &Issuer{opts: o, log: o.OCI.Logger}
	if i.log == nil {
		i.log = slog.New(slog.DiscardHandler)
	}
	return i
}

// assertionLife is enough to be shown at once.
const assertionLife = 5 * time.Minute

// Assertion is a token of sts:GetWebIdentityToken, signed with RSA, which all take.
func (i *Issuer) Assertion(ctx context.Context, audience string) (providers.Assertion, error) {
	const op = "ask for a web identity token at"
	cfg, err := i.config(ctx)
	if err != nil {
		return providers.Assertion{}, err
	}
	out, err := stsAt(cfg, i.opts.Endpoints.STS).GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{
		Audience: []string{audience}, SigningAlgorithm: aws.String("RS256"), DurationSeconds: aws.Int32(int32(assertionLife.Seconds()))})
	if err != nil {
		return providers.Assertion{}, i.explain(ctx, op, err)
	}
	a, err := providers.ReadAssertion(aws.ToString(out.WebIdentityToken))
	if err != nil {
		return a, i.fail(op, providers.Unavailable, err, "")
	}
	return a, nil
}

// AWSKeys are those that sign now.
func (i *Issuer) AWSKeys(ctx context.Context) (providers.AWSKeys, error) {
	const op = "find credentials of"
	cfg, err := i.config(ctx)
	if err != nil {
		return providers.AWSKeys{}, err
	}
	c, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return providers.AWSKeys{}, i.explain(ctx, op, err)
	}
	return providers.AWSKeys{AccessKeyID: c.AccessKeyID, SecretAccessKey: providers.Hidden(c.SecretAccessKey),
		SessionToken: providers.Hidden(c.SessionToken), Region: cfg.Region}, nil
}

// Whoami asks STS.
func (i *Issuer) Whoami(ctx context.Context) (providers.Identity, error) {
	const op = "ask who we are at"
	cfg, err := i.config(ctx)
	if err != nil {
		return providers.Identity{}, err
	}
	out, err := stsAt(cfg, i.opts.Endpoints.STS).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return providers.Identity{}, i.explain(ctx, op, err)
	}
	c, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return providers.Identity{}, i.explain(ctx, op, err)
	}
	who := providers.Identity{Name: aws.ToString(out.Arn), From: i.opts.Identity.from(c.Source)}
	if c.CanExpire {
		who.Expires = c.Expires
	}
	return who, nil
}

// config is the SDK's, read once as long as AWS takes what is found by it.
func (i *Issuer) config(ctx context.Context) (aws.Config, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cfg != nil {
		return *i.cfg, nil
	}
	id := i.opts.Identity
	s := sdk{oci: i.opts.OCI, profile: id.Profile, place: Host{Region: id.Region}, log: i.log, ref: "AWS", observed: i.observed}
	cfg, err := s.config(ctx)
	if err != nil {
		return aws.Config{}, err
	}
	if cfg.Region = cmp.Or(cfg.Region, here(ctx, s)); cfg.Region == "" {
		return aws.Config{}, s.fail(providers.Denied, errors.New("no region is known, and the Security Token Service is asked in one"),
			"name a region near transship in auth.federated.aws.region, or in AWS_REGION")
	}
	for _, role := range id.Roles {
		cfg.Credentials = assume(stsAt(cfg, i.opts.Endpoints.STS), role)
	}
	i.cfg = &cfg
	return cfg, nil
}

// here is the instance's region, "" where there is no instance.
func here(ctx context.Context, s sdk) string {
	ctx, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	out, err := s.imds().GetRegion(ctx, &imds.GetRegionInput{})
	if err != nil {
		return ""
	}
	return out.Region
}

// forget has the configuration read anew the next time: somebody may have mended it.
func (i *Issuer) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.cfg = nil
}

func (i *Issuer) fail(op string, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: op, Ref: "AWS", Hint: hint, Err: err}
}

// explain turns an error of the SDK into the providers' words.
func (i *Issuer) explain(ctx context.Context, op string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	as := i.opts.Identity.describe()
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return i.ofAPI(op, as, err, api)
	}
	if _, none := errors.AsType[*noMetadata](err); none {
		i.forget()
		return i.fail(op, providers.Denied, errors.New("no credentials of AWS were found: not in the environment, AWS's configuration files, a web identity token, a container's endpoint, nor the instance's metadata"),
			"give transship a role of AWS: an instance profile, IRSA or EKS Pod Identity; or name a profile in auth.federated.aws")
	}
	if isSigning(err) {
		i.forget()
		return i.fail(op, providers.Denied, fmt.Errorf("as %s: %s", as, firstLine(err.Error())), "check the identity of transship at AWS: "+as)
	}
	return i.fail(op, providers.Unavailable, fmt.Errorf("as %s: %s", as, firstLine(err.Error())), "check that this machine may reach the Security Token Service of AWS")
}

func (i *Issuer) ofAPI(op, as string, err error, api smithy.APIError) error {
	e := i.fail(op, codes[api.ErrorCode()], fmt.Errorf("as %s: %w", as, reason(api)),
		cmp.Or(missingPermission(api.ErrorMessage()), identityCodes[api.ErrorCode()], "check the identity of transship at AWS"))
	e.Code = api.ErrorCode()
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		e.Status = resp.HTTPStatusCode()
	}
	switch {
	case e.Code == "OutboundWebIdentityFederationDisabledException":
		e.Kind, e.Hint = providers.Denied, "let the account issue tokens: aws iam enable-outbound-web-identity-federation"
	case e.Status >= http.StatusInternalServerError:
		e.Kind = providers.Unavailable
	case e.Kind == providers.Unknown:
		e.Kind = providers.Denied
	}
	if e.Kind == providers.Denied {
		i.forget()
	}
	return e
}

// observed tells the observers of each try.
func (i *Issuer) observed(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("transship", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
		middleware.DeserializeOutput, middleware.Metadata, error) {
		start := time.Now()
		out, meta, err := next.HandleDeserialize(ctx, in)
		q := oci.Request{Op: providers.OpToken, Class: limit.Read, Took: time.Since(start), Err: err}
		if resp, ok := out.RawResponse.(*smithyhttp.Response); ok && resp != nil {
			q.Status = resp.StatusCode
		}
		if tell := i.opts.OCI.Observe; tell != nil {
			tell(q)
		}
		return out, meta, err
	}), middleware.Before)
}
