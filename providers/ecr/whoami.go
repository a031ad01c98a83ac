package ecr

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/transship/transship/providers"
)

// Whoami gets a registry token, which proves that AWS takes us, and asks STS for
// our ARN. Where STS cannot be reached, as in a private network, the name is that
// by which we sign in.
func (r *Registry) Whoami(ctx context.Context) (providers.Identity, error) {
	who, err := r.Registry.Whoami(ctx)
	if err != nil || r.given {
		return who, err
	}
	named, err := r.caller.get(ctx, r.ask)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return providers.Identity{}, cause
	}
	if err != nil {
		who.From = cmp.Or(who.From, "STS does not answer")
		return who, nil
	}
	named.Expires = who.Expires
	return named, nil
}

// ask asks STS who we are; anybody may.
func (r *Registry) ask(ctx context.Context) (providers.Identity, error) {
	c, err := r.api(ctx)
	if err != nil {
		return providers.Identity{}, err
	}
	out, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return providers.Identity{}, r.explain(ctx, "ask who we are", "", err)
	}
	creds, err := c.creds.Retrieve(ctx)
	if err != nil {
		return providers.Identity{}, r.explain(ctx, "ask who we are", "", err)
	}
	return providers.Identity{Name: aws.ToString(out.Arn), From: r.opts.Identity.from(creds.Source)}, nil
}

// sources are where the SDK finds credentials, in our words.
var sources = map[string]string{
	"EnvConfigCredentials":        "the environment",
	"SharedConfigCredentials":     "AWS's configuration files",
	"WebIdentityCredentials":      "the web identity token of AWS_WEB_IDENTITY_TOKEN_FILE",
	"CredentialsEndpointProvider": "EKS Pod Identity or another container's credentials",
	"EC2RoleProvider":             "the instance's metadata",
	"SSOProvider":                 "AWS's single sign-on",
	"ProcessProvider":             "a credential process of AWS's configuration",
	"AssumeRoleProvider":          "a role that was assumed",
}

func (i Identity) from(source string) string {
	switch {
	case len(i.Roles) > 0:
		return "auth.aws.roles"
	case i.Federated != nil:
		return "auth.federated"
	case i.Profile != "":
		return "profile " + i.Profile
	}
	for name, says := range sources {
		if len(source) >= len(name) && source[:len(name)] == name {
			return says
		}
	}
	return ambient()
}

// account is the account that we sign in with, "" if that is not known.
func (r *Registry) account(ctx context.Context) (string, error) {
	who, err := r.caller.get(ctx, r.ask)
	if err != nil {
		return "", err
	}
	return accountOf(who.Name), nil
}

// accountOf reads the account in an ARN.
func accountOf(arn string) string {
	field := 0
	start := 0
	for i := range arn {
		if arn[i] != ':' {
			continue
		}
		if field++; field == 5 {
			return arn[start:i]
		}
		start = i + 1
	}
	return ""
}
