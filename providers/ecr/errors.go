package ecr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// codes are what AWS's errors mean: ECR's own, STS's, and those of all services.
var codes = map[string]providers.Kind{
	"ThrottlingException": providers.Throttled, "Throttling": providers.Throttled, "RequestLimitExceeded": providers.Throttled,
	"TooManyRequestsException": providers.Throttled,

	"LimitExceededException": providers.Quota, "TooManyTagsException": providers.Quota,

	"RepositoryNotFoundException": providers.NotFound, "ImageNotFoundException": providers.NotFound,
	"LifecyclePolicyNotFoundException": providers.NotFound, "RepositoryPolicyNotFoundException": providers.NotFound,
	"RegistryNotFoundException": providers.NotFound,

	"RepositoryAlreadyExistsException": providers.Conflict, "ImageTagAlreadyExistsException": providers.Conflict,

	"AccessDeniedException": providers.Denied, "AccessDenied": providers.Denied, "BlockedByOrganizationPolicyException": providers.Denied,
	"OptInRequired": providers.Denied, "KmsException": providers.Denied,

	"InvalidParameterException": providers.Invalid, "ValidationException": providers.Invalid, "InvalidTagParameterException": providers.Invalid,
	"SerializationException": providers.Invalid, "ValidationError": providers.Invalid,

	"UnknownOperationException": providers.Unsupported, "UnsupportedCommandException": providers.Unsupported,

	"ServerException": providers.Unavailable, "InternalFailure": providers.Unavailable, "ServiceUnavailable": providers.Unavailable,
	"IDPCommunicationError": providers.Unavailable,
}

// identityCodes are those by which AWS says that it does not take us at all, and
// what to do about it.
var identityCodes = map[string]string{
	"UnrecognizedClientException":         "the access key is unknown or revoked: give the registry another one",
	"InvalidClientTokenId":                "the access key is unknown or revoked: give the registry another one",
	"InvalidSignatureException":           "check the secret access key, the region of the host, and this machine's clock",
	"SignatureDoesNotMatch":               "check the secret access key, the region of the host, and this machine's clock",
	"ExpiredTokenException":               "the session is over: sign in again (aws sso login), or mend what renews it",
	"ExpiredToken":                        "the session is over: sign in again (aws sso login), or mend what renews it",
	"MissingAuthenticationTokenException": "give the registry an identity in auth.aws",
	"IncompleteSignature":                 "check the access key",
	"InvalidIdentityToken":                "the account has no identity provider for the cluster that issued the token, or the token is for another audience",
	"IDPRejectedClaim":                    "the service account's token was rejected: check the role's trust policy",
}

// noMetadata says that the instance's metadata service gave no credentials: the
// last of the places where they are looked for.
type noMetadata struct{ error }

func (n *noMetadata) Unwrap() error { return n.error }

// fail is an error of ours.
func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: op, Ref: r.where(repo), Hint: hint, Err: err}
}

// explain turns an error of the SDK into the providers' words, with the cloud's
// own reason kept. An identity that is refused stops the registry.
func (r *Registry) explain(ctx context.Context, op, repo string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if e, ok := errors.AsType[*providers.Error](err); ok { // of a federation
		return r.unsigned(op, repo, e)
	}
	api, isAPI := errors.AsType[smithy.APIError](err)
	signing := isSigning(err)
	switch {
	case isAPI && identityCodes[api.ErrorCode()] != "" || isAPI && signing && codes[api.ErrorCode()] == providers.Denied:
		return r.notTaken(op, repo, api)
	case isAPI:
		return r.ofAPI(op, repo, err, api)
	}
	if _, none := errors.AsType[*noMetadata](err); none {
		return r.stop(op, repo, errors.New("no credentials were found: not in the environment, AWS's configuration files, a web identity token, a container's endpoint, nor the instance's metadata"),
			"give the registry an identity: auth.aws in the policy, a service account's role, or AWS_PROFILE")
	}
	if status, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && signing && status.HTTPStatusCode() < 500 {
		return r.stop(op, repo, errors.New(firstLine(err.Error())), "check the identity of this registry")
	}
	if _, ok := errors.AsType[net.Error](err); !ok && signing && !errors.Is(err, context.DeadlineExceeded) {
		return r.stop(op, repo, errors.New(firstLine(err.Error())), "check the identity of this registry: "+r.opts.Identity.describe())
	}
	return r.fail(op, repo, providers.Unavailable, errors.New(firstLine(err.Error())), "check that this machine may reach the API of AWS in "+r.host.Region)
}

// unsigned is the error of a request for which a credential could not be had, told
// already by who was to fetch that.
func (r *Registry) unsigned(op, repo string, e *providers.Error) error {
	err := again(e, op, r.where(repo))
	if e.Kind == providers.Denied {
		r.session.stopped(err)
	}
	return err
}

// isSigning reports whether the request could not be signed: no credential came.
func isSigning(err error) bool {
	return strings.Contains(err.Error(), "get credentials:") || strings.Contains(err.Error(), "failed to refresh cached credentials")
}

func (r *Registry) ofAPI(op, repo string, err error, api smithy.APIError) error {
	e := r.fail(op, repo, codes[api.ErrorCode()], reason(api), "")
	e.Code = api.ErrorCode()
	if status, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		e.Status = status.HTTPStatusCode()
	}
	if e.Kind == providers.Unknown && e.Status >= http.StatusInternalServerError {
		e.Kind = providers.Unavailable
	}
	switch {
	case e.Code == "KmsException":
		e.Hint = "check that the KMS key is there and enabled, and that the identity may use it"
	case e.Kind == providers.Denied:
		e.Hint = cmp.Or(missingPermission(api.ErrorMessage()), "grant the identity of this registry the permission")
	case e.Kind == providers.Quota:
		e.Hint = "raise the quota at AWS, or delete what is not needed"
	case e.Kind == providers.NotFound:
		e.Hint = "check the repository's name, and the account and region of the host"
	case e.Kind == providers.Throttled:
		e.Hint = "lower limits.requests of this registry if it goes on"
	}
	return e
}

// explainRefusal says what ECR's own words mean where they are not those of every
// registry.
func explainRefusal(f oci.Refusal) (kind providers.Kind, hint string, ok bool) {
	words := strings.ToLower(f.Message)
	switch {
	case f.Status == http.StatusForbidden && missingPermission(f.Message) != "":
		return providers.Denied, missingPermission(f.Message), true
	case strings.Contains(words, "limit exceeded") || strings.Contains(words, "maximum number of"):
		return providers.Quota, "raise the quota at AWS, or delete what is not needed", true
	case strings.Contains(words, "is archived"):
		return providers.Denied, "restore the image at ECR, or exclude its tag", true
	case f.Code == "NAME_UNKNOWN":
		return providers.NotFound, "make the repository, let create do it, or give the account a creation template for its prefix; check account and region of the host", true
	case strings.Contains(words, "kms key"):
		return providers.Denied, "check that the KMS key is there and enabled, and that the identity may use it", true
	}
	return 0, "", false
}

// notTaken is the error of an identity that AWS refuses.
func (r *Registry) notTaken(op, repo string, api smithy.APIError) error {
	hint := cmp.Or(identityCodes[api.ErrorCode()], missingPermission(api.ErrorMessage()), "check the role's trust policy and its external id")
	return r.stop(op, repo, reason(api), hint)
}

// stop names who is refused, and stops the registry.
func (r *Registry) stop(op, repo string, why error, hint string) error {
	e := r.fail(op, repo, providers.Denied, fmt.Errorf("as %s: %w", r.who(), why), hint)
	r.session.stopped(e)
	return e
}

// who is our identity, if it is known, or else how it was to be found.
func (r *Registry) who() providers.Identity {
	if who, ok := r.caller.known(); ok {
		return who
	}
	return providers.Identity{Name: r.opts.Identity.describe()}
}

func reason(api smithy.APIError) error {
	return fmt.Errorf("%s: %s", api.ErrorCode(), firstLine(api.ErrorMessage()))
}

var authorized = regexp.MustCompile(`is not authorized to perform: ([a-zA-Z0-9-]+:[a-zA-Z0-9]+)(?: on resource: (\S+))?`)

// missingPermission names what IAM says is missing, "" if it does not say.
func missingPermission(message string) string {
	m := authorized.FindStringSubmatch(message)
	switch {
	case m == nil:
		return ""
	case strings.Contains(message, "explicit deny"):
		return "a policy denies " + m[1] + " explicitly: take that away, or use another identity"
	case m[2] == "" || m[2] == "*":
		return "grant " + m[1]
	}
	return "grant " + m[1] + " on " + m[2]
}

// firstLine keeps a message short and free of the canonical requests, with their
// session tokens, that some services print after a blank line.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s, _, _ = strings.Cut(s, "The Canonical String")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return strings.TrimSpace(s)
}

// quotaIsFinal keeps the SDK from retrying what waiting does not lift; it counts
// LimitExceededException among the throttles.
func quotaIsFinal(err error) aws.Ternary {
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && (codes[api.ErrorCode()] == providers.Quota || identityCodes[api.ErrorCode()] != "" && !skewed(api)) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// skewed reports whether the clocks are said to differ, which the SDK mends.
func skewed(api smithy.APIError) bool {
	return strings.Contains(api.ErrorMessage(), "Signature expired") || strings.Contains(api.ErrorMessage(), "Signature not yet current")
}

// expired reports whether the session's keys are over, which new ones mend.
func expired(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && !isSigning(err) && (api.ErrorCode() == "ExpiredTokenException" || api.ErrorCode() == "ExpiredToken")
}

// ambient says what the environment offers the default chain.
func ambient() string {
	for _, at := range []struct{ variable, says string }{
		{"AWS_ACCESS_KEY_ID", "the access key of AWS_ACCESS_KEY_ID"},
		{"AWS_PROFILE", "the profile of AWS_PROFILE"},
		{"AWS_WEB_IDENTITY_TOKEN_FILE", "role " + os.Getenv("AWS_ROLE_ARN") + " by the token of AWS_WEB_IDENTITY_TOKEN_FILE"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "EKS Pod Identity or another container's credentials"},
		{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "the credentials of an ECS task"},
	} {
		if os.Getenv(at.variable) != "" {
			return at.says
		}
	}
	return "the default credentials of AWS"
}
