package ecr

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// call asks the API one thing, within the registry's limits and as its identity.
// Session keys whose time is over are fetched anew once. op is in the field's
// words, for errors.
func call[I, O any](ctx context.Context, r *Registry, op, repo string, in *I,
	ask func(*ecr.Client, context.Context, *I, ...func(*ecr.Options)) (*O, error)) (*O, error) {
	slot, err := r.Limiter().Acquire(ctx, limit.Read)
	if err != nil {
		return nil, err
	}
	defer slot.Release()
	return slotless(ctx, r, op, repo, in, ask)
}

// slotless is call for what a request waits for that has a slot already.
func slotless[I, O any](ctx context.Context, r *Registry, op, repo string, in *I,
	ask func(*ecr.Client, context.Context, *I, ...func(*ecr.Options)) (*O, error)) (*O, error) {
	return asked(ctx, r, op, repo, func(c *clients) (*O, error) { return ask(c.ecr, ctx, in) })
}

func asked[O any](ctx context.Context, r *Registry, op, repo string, ask func(*clients) (*O, error)) (*O, error) {
	c, err := r.api(ctx)
	if err != nil {
		return nil, again(err, op, r.where(repo))
	}
	out, err := ask(c)
	if cache, ok := c.creds.(*aws.CredentialsCache); err != nil && ok && expired(err) {
		cache.Invalidate()
		out, err = ask(c)
	}
	if err != nil {
		return nil, r.explain(ctx, op, repo, err)
	}
	return out, nil
}

// again is an error that was met before, of another operation now.
func again(err error, op, ref string) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return err
	}
	now := *e
	now.Op, now.Ref = op, ref
	return &now
}
