package ecr

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// clients speak to the service's API as one identity.
type clients struct {
	config aws.Config // for the clients of other services
	ecr    *ecr.Client
	sts    *sts.Client
	creds  aws.CredentialsProvider
}

// connect reads the SDK's configuration (environment, shared files) and makes the
// clients; nothing is sent yet.
func (r *Registry) connect(ctx context.Context) (*clients, error) {
	id := r.opts.Identity
	s := sdk{oci: r.opts.OCI, profile: id.Profile, place: r.host, log: r.log, ref: r.Host(), observed: r.observed}
	if id.Federated != nil {
		s.keys = aws.AnonymousCredentials{} // an assertion is all that the role is asked for with
	}
	cfg, err := s.config(ctx)
	if err != nil {
		return nil, err
	}
	if f := id.Federated; f != nil {
		cfg.Credentials = aws.NewCredentialsCache(early{&webIdentity{r, *f, r.stsOf(cfg)}})
	}
	for _, role := range id.Roles {
		cfg.Credentials = assume(r.stsOf(cfg), role)
	}
	return &clients{config: cfg, creds: cfg.Credentials, sts: r.stsOf(cfg), ecr: ecr.NewFromConfig(cfg, func(o *ecr.Options) {
		if r.opts.Endpoints.ECR != "" {
			o.BaseEndpoint = &r.opts.Endpoints.ECR
		}
	})}, nil
}

func (r *Registry) stsOf(cfg aws.Config) *sts.Client { return stsAt(cfg, r.opts.Endpoints.STS) }

// stsAt is a client of the Security Token Service, at an endpoint of one's own if
// there is one.
func stsAt(cfg aws.Config, endpoint string) *sts.Client {
	return sts.NewFromConfig(cfg, func(o *sts.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
}

// assume takes a role. Sessions last an hour, the most that a role which is
// assumed by a role may ask for.
func assume(client *sts.Client, role Role) aws.CredentialsProvider {
	p := stscreds.NewAssumeRoleProvider(client, role.ARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.Duration = "transship", time.Hour
		if role.SessionName != "" {
			o.RoleSessionName = role.SessionName
		}
		if role.ExternalID != "" {
			o.ExternalID = &role.ExternalID
		}
	})
	return aws.NewCredentialsCache(early{p})
}

// early has sessions renewed a little before they end: five minutes, or half the
// life of short ones. Each level of a chain is one exchange an hour so.
type early struct{ aws.CredentialsProvider }

func (e early) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := e.CredentialsProvider.Retrieve(ctx)
	if err == nil && c.CanExpire {
		c.Expires = c.Expires.Add(-min(5*time.Minute, time.Until(c.Expires)/2))
	}
	return c, err
}
