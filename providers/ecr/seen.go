package ecr

import (
	"context"
	"errors"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
)

// observed has each try of each call, those that fetch credentials included, go
// within the registry's limits, and tells its observers, as oci does with its own
// requests.
func (r *Registry) observed(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("transship", r.observe), middleware.Before)
}

func (r *Registry) observe(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error) {
	op := operation(ctx)
	ticket, err := r.Limiter().Begin(ctx)
	if err == nil {
		err = r.Quotas().Take(ctx, op, "")
	}
	if err != nil {
		return middleware.DeserializeOutput{}, middleware.Metadata{}, err
	}
	start := time.Now()
	out, meta, err := next.HandleDeserialize(ctx, in)
	q := oci.Request{Op: op, Class: limit.Read, Took: time.Since(start), Err: err}
	resp, _ := out.RawResponse.(*smithyhttp.Response)
	if resp != nil {
		q.Status = resp.StatusCode
	}
	api, _ := errors.AsType[smithy.APIError](err)
	switch {
	case api != nil && codes[api.ErrorCode()] == providers.Throttled:
		ticket.Throttled()
		r.Quotas().Refused(op, "")
	case resp != nil:
		oci.Weigh(ticket, resp.StatusCode, resp.Header)
	}
	if tell := r.opts.OCI.Observe; tell != nil {
		tell(q)
	}
	return out, meta, err
}

// operation names a call for figures: by the names of ECR and ECR Public, and
// "token" for whatever gives a credential.
func operation(ctx context.Context) string {
	op := awsmiddleware.GetOperationName(ctx)
	service := awsmiddleware.GetServiceID(ctx)
	if service != "ECR" && service != "ECR PUBLIC" || op == "GetAuthorizationToken" {
		return providers.OpToken
	}
	return op
}
