package ecrpublic

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/oci"
)

// nobodyFor is how long nobody signs in where AWS took nobody; it is tried again at
// half of it.
const nobodyFor = 30 * time.Minute

// signIn fetches the password that the registry's token service wants. A registry
// that is only read can do without: where AWS takes nobody, nobody signs in. It is an
// [oci.SignIn].
func (r *Registry) signIn(ctx context.Context) (oci.Credential, error) {
	c, err := r.login(ctx)
	if r.opts.OCI.Push || providers.KindOf(err) != providers.Denied {
		return c, err
	}
	r.log.Info("AWS lets nobody sign in at ECR Public; it is read as anybody may", "host", r.Host(), "err", err)
	return oci.Credential{Expires: time.Now().Add(nobodyFor),
		Who: providers.Identity{Name: providers.Anonymous, From: "anyone may read; AWS signs nobody in: " + err.Error()}}, nil
}

func (r *Registry) login(ctx context.Context) (oci.Credential, error) {
	const op = "sign in"
	out, err := ecr.CallForRequest(ctx, r.account, op, "", &ecrpublic.GetAuthorizationTokenInput{}, (*ecrpublic.Client).GetAuthorizationToken)
	if err != nil {
		return oci.Credential{}, err
	}
	if data := out.AuthorizationData; data != nil {
		raw, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
		user, password, ok := strings.Cut(string(raw), ":")
		if err == nil && ok && password != "" {
			return oci.Credential{Username: user, Password: password, Expires: aws.ToTime(data.ExpiresAt), Who: r.account.Who()}, nil
		}
	}
	return oci.Credential{}, r.fail(op, "", providers.Invalid, errors.New("ECR Public's answer holds no token that can be read"), "")
}

// Whoami gets a token of the registry, which proves that AWS takes us, and asks STS
// for our ARN.
func (r *Registry) Whoami(ctx context.Context) (providers.Identity, error) {
	who, err := r.Registry.Whoami(ctx)
	if err != nil || r.given || who.Name == providers.Anonymous {
		return who, err
	}
	named, err := r.account.Whoami(ctx)
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

// Way tries, link by link, how we sign in from another cloud; nil if we do not.
func (r *Registry) Way(ctx context.Context) *providers.Way {
	if r.given {
		return nil
	}
	return r.account.Way(ctx)
}
