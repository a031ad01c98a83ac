package ecr

import (
	"context"
	"log/slog"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
)

// An Account is who signs in at AWS for the registry of another of its services, as a
// [Registry] does for its own: found in the same places, within that registry's
// limits, stopped for a while when AWS refuses it, with the same words for errors. C
// is the client of that service's API. It is safe for concurrent use.
type Account[C any] struct {
	r      Registry
	client func(aws.Config) C

	mu   sync.Mutex
	of   *clients // that made was made for
	made C
}

// NewAccount returns the account of o in a region. Options.Create is not used.
func NewAccount[C any](o Options, region string, client func(aws.Config) C) *Account[C] {
	log := o.OCI.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Account[C]{client: client, r: Registry{opts: o, host: Host{Region: region, Partition: partitionOf(region)}, log: log}}
}

// At says for which registry the account asks. It comes before the first call.
func (a *Account[C]) At(r *oci.Registry) { a.r.Registry = r }

// Whoami asks STS who we are; it is asked once.
func (a *Account[C]) Whoami(ctx context.Context) (providers.Identity, error) {
	return a.r.caller.get(ctx, a.r.ask)
}

// Who is our identity as far as it is known without a question.
func (a *Account[C]) Who() providers.Identity { return a.r.who() }

// Way tries how we sign in from another cloud, as [Registry.Way] does.
func (a *Account[C]) Way(ctx context.Context) *providers.Way { return a.r.Way(ctx) }

func (a *Account[C]) clientOf(c *clients) C {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of != c {
		a.of, a.made = c, a.client(c.config)
	}
	return a.made
}

// Call asks the service's API one thing: op of a repository, in the field's words.
func Call[C, P, I, O any](ctx context.Context, a *Account[C], op, repo string, in *I,
	ask func(C, context.Context, *I, ...func(*P)) (*O, error)) (*O, error) {
	slot, err := a.r.Limiter().Acquire(ctx, limit.Read)
	if err != nil {
		return nil, err
	}
	defer slot.Release()
	return CallForRequest(ctx, a, op, repo, in, ask)
}

// CallForRequest is Call for what a request waits for that has a slot of the limiter
// already: the sign-in.
func CallForRequest[C, P, I, O any](ctx context.Context, a *Account[C], op, repo string, in *I,
	ask func(C, context.Context, *I, ...func(*P)) (*O, error)) (*O, error) {
	return asked(ctx, &a.r, op, repo, func(c *clients) (*O, error) { return ask(a.clientOf(c), ctx, in) })
}

// Explain says what the words of AWS's registries mean, as oci.Options want it.
func Explain(f oci.Refusal) (kind providers.Kind, hint string, ok bool) { return explainRefusal(f) }
