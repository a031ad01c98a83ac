package ecr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const metadataTime = 3 * time.Second // for all that is asked of the instance's metadata

// An sdk is how AWS's SDK is set up for one identity in one place.
type sdk struct {
	oci      oci.Options // how AWS is reached
	profile  string
	place    Host                    // its region ("" is the configuration's), and the kind of its endpoints
	keys     aws.CredentialsProvider // instead of the chain's; nil for that
	log      *slog.Logger
	ref      string // for errors
	observed func(*middleware.Stack) error
}

// config reads the SDK's configuration (environment, shared files); nothing is sent.
func (s sdk) config(ctx context.Context) (aws.Config, error) {
	client, err := httpClient(s.oci)
	if err != nil {
		return aws.Config{}, s.fail(providers.Invalid, err, "check caFile and proxy")
	}
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithAPIOptions([]func(*middleware.Stack) error{s.observed}),
		config.WithRetryer(s.retryer),
		config.WithLogger(logging.LoggerFunc(s.note)),
		config.WithEC2RoleCredentialOptions(s.metadata),
	}
	if s.place.Region != "" {
		load = append(load, config.WithRegion(s.place.Region))
	}
	if s.profile != "" {
		load = append(load, config.WithSharedConfigProfile(s.profile))
	}
	if s.keys != nil {
		load = append(load, config.WithCredentialsProvider(s.keys))
	}
	if s.place.FIPS {
		load = append(load, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	if s.place.DualStack {
		load = append(load, config.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, s.fail(providers.Denied, errors.New(firstLine(err.Error())), "check auth.aws.profile, and AWS's configuration files")
	}
	return cfg, nil
}

func (s sdk) fail(kind providers.Kind, err error, hint string) error {
	return &providers.Error{Kind: kind, Op: "find credentials", Ref: s.ref, Hint: hint, Err: err}
}

// note takes what the SDK has to say, which it would print otherwise.
func (s sdk) note(c logging.Classification, format string, values ...any) {
	s.log.Debug("the AWS SDK says: "+firstLine(fmt.Sprintf(format, values...)), "host", s.ref, "class", string(c))
}

// retryer is the budget of one call to the API. Quotas are not waited for, though
// the SDK would.
func (s sdk) retryer() aws.Retryer {
	budget := s.oci.Retry.WithDefaults()
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.Backoff, o.RateLimiter = budget.Tries, budget.Max, jitter(budget), ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(quotaIsFinal)}, o.Retryables...)
	})
}

// jitter is the SDK's word for a backoff.
type jitter oci.Retry

func (j jitter) BackoffDelay(attempt int, _ error) (time.Duration, error) {
	return oci.Retry(j).Backoff(attempt), nil
}

// metadata bounds what is asked of the instance's metadata service: where there is
// none, nobody may answer at all.
func (s sdk) metadata(o *ec2rolecreds.Options) {
	o.Client = bounded{s.imds()}
}

func (s sdk) imds() *imds.Client {
	m := imds.Options{Retryer: retry.AddWithMaxAttempts(retry.NewStandard(), 2)}
	if s.oci.Base != nil {
		m.HTTPClient = &http.Client{Transport: s.oci.Base}
	}
	return imds.New(m)
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
