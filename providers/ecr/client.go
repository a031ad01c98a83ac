package ecr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// clients speak to the service's API as one identity.
type clients struct {
	ecr   *ecr.Client
	sts   *sts.Client
	creds aws.CredentialsProvider
}

const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 30 * time.Second
	metadataTime  = 3 * time.Second // for all that is asked of the instance's metadata
)

// connect reads the SDK's configuration (environment, shared files) and makes the
// clients; nothing is sent yet.
func (r *Registry) connect(ctx context.Context) (*clients, error) {
	client, err := r.httpClient()
	if err != nil {
		return nil, r.fail("find credentials", "", providers.Invalid, err, "check caFile and proxy")
	}
	id := r.opts.Identity
	load := []func(*config.LoadOptions) error{
		config.WithRegion(r.host.Region),
		config.WithHTTPClient(client),
		config.WithAPIOptions([]func(*middleware.Stack) error{r.observed}),
		config.WithRetryer(r.retryer),
		config.WithLogger(logging.LoggerFunc(r.note)),
		config.WithEC2RoleCredentialOptions(r.metadata),
	}
	if id.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(id.Profile))
	}
	if r.host.FIPS {
		load = append(load, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	if r.host.DualStack {
		load = append(load, config.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, r.fail("find credentials", "", providers.Denied, errors.New(firstLine(err.Error())), "check auth.aws.profile, and AWS's configuration files")
	}
	for _, role := range id.Roles {
		cfg.Credentials = assume(r.stsOf(cfg), role)
	}
	return &clients{creds: cfg.Credentials, sts: r.stsOf(cfg), ecr: ecr.NewFromConfig(cfg, func(o *ecr.Options) {
		if r.opts.Endpoints.ECR != "" {
			o.BaseEndpoint = &r.opts.Endpoints.ECR
		}
	})}, nil
}

// note takes what the SDK has to say, which it would print otherwise.
func (r *Registry) note(c logging.Classification, format string, values ...any) {
	r.log.Debug("the AWS SDK says: "+firstLine(fmt.Sprintf(format, values...)), "host", r.Host(), "class", string(c))
}

func (r *Registry) stsOf(cfg aws.Config) *sts.Client {
	return sts.NewFromConfig(cfg, func(o *sts.Options) {
		if r.opts.Endpoints.STS != "" {
			o.BaseEndpoint = &r.opts.Endpoints.STS
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

// retryer is the budget of one call to the API. Quotas are not waited for, though
// the SDK would.
func (r *Registry) retryer() aws.Retryer {
	budget := r.opts.OCI.Retry
	def(&budget.Tries, 6)
	def(&budget.Min, 250*time.Millisecond)
	def(&budget.Max, 20*time.Second)
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.Backoff, o.RateLimiter = budget.Tries, budget.Max, jitter(budget), ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(quotaIsFinal)}, o.Retryables...)
	})
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// jitter is full jitter over a doubling bound.
type jitter oci.Retry

func (j jitter) BackoffDelay(attempt int, _ error) (time.Duration, error) {
	bound := j.Min << min(attempt, 20)
	if bound <= 0 || bound > j.Max {
		bound = j.Max
	}
	return rand.N(bound + 1), nil
}

// metadata bounds what is asked of the instance's metadata service: where there is
// none, nobody may answer at all.
func (r *Registry) metadata(o *ec2rolecreds.Options) {
	m := imds.Options{Retryer: retry.AddWithMaxAttempts(retry.NewStandard(), 2)}
	if r.opts.OCI.Base != nil {
		m.HTTPClient = &http.Client{Transport: r.opts.OCI.Base}
	}
	o.Client = bounded{imds.New(m)}
}

type bounded struct{ *imds.Client }

func (b bounded) GetMetadata(ctx context.Context, in *imds.GetMetadataInput, opts ...func(*imds.Options)) (*imds.GetMetadataOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	out, err := b.Client.GetMetadata(ctx, in, opts...)
	if err != nil {
		return nil, &noMetadata{err}
	}
	defer out.Content.Close()
	raw, err := io.ReadAll(io.LimitReader(out.Content, 1<<20))
	if err != nil {
		return nil, &noMetadata{err}
	}
	out.Content = io.NopCloser(bytes.NewReader(raw))
	return out, nil
}
