// Package ecrpublic is Amazon ECR Public, public.ecr.aws: the one registry that all
// accounts share, each below aliases of its own, and that anyone may read. It speaks
// the wire protocol of [oci], signs in as [ecr] does and, for the account's own
// repositories, asks the service's API, which is in us-east-1 alone: which there are,
// what is in them by the thousand, and how they are made.
//
// Repositories of others are read as at a plain registry. Where a registry is only
// read and AWS takes nobody, nobody signs in.
package ecrpublic

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/ecr"
	"github.com/transship/transship/providers/oci"
)

// Host is the registry's name.
const Host = "public.ecr.aws"

// region is where the API is.
const region = "us-east-1"

// Options say who we are at ECR Public.
type Options struct {
	OCI      oci.Options  // what holds for every registry
	Identity ecr.Identity // who signs in; zero is AWS's default chain
	Never    bool         // make no repository: one that is missing is an error
	// Endpoints replace AWS's own; the SDK's AWS_ENDPOINT_URL_ECR_PUBLIC counts too.
	Endpoints Endpoints
}

// Endpoints are URLs for tests.
type Endpoints struct{ API, STS string }

// A Registry is ECR Public as one account sees it. It implements [providers.Registry].
type Registry struct {
	oci.Remaker
	opts    Options
	log     *slog.Logger
	given   bool // the registry has a credential of its own, and the API has nobody
	account *ecr.Account[*ecrpublic.Client]
	ensured oci.Ensured // repositories that are there

	mu      sync.Mutex
	awaited map[string]bool // aliases that will be asked for

	asking  sync.Mutex
	aliases *aliases // of our account; nil before they were asked for
}

// The aliases of an account are believed for a while: the first one is its primary.
type aliases struct {
	names []string
	until time.Time
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	if o.OCI.Host == "" {
		o.OCI.Host = Host
	}
	r := &Registry{opts: o, given: o.OCI.Authenticator != nil || o.OCI.Keychain != nil, log: o.OCI.Logger,
		awaited: map[string]bool{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.account = ecr.NewAccount(ecr.Options{OCI: o.OCI, Identity: o.Identity, Endpoints: ecr.Endpoints{STS: o.Endpoints.STS}}, region,
		func(c aws.Config) *ecrpublic.Client {
			return ecrpublic.NewFromConfig(c, func(so *ecrpublic.Options) {
				if o.Endpoints.API != "" {
					so.BaseEndpoint = &o.Endpoints.API
				}
			})
		})
	if !r.given {
		o.OCI.SignIn = r.signIn
	}
	o.OCI.Caps, o.OCI.Explain = caps(), explain
	var err error
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	r.Anew = r.push
	r.account.At(r.Registry)
	return r, nil
}

// Close closes idle connections and waits for what nobody waits for.
func (r *Registry) Close() error {
	r.ensured.Wait()
	return r.Registry.Close()
}

// where names a repository in errors.
func (r *Registry) where(repo string) string {
	if repo == "" {
		return r.Host()
	}
	return r.Host() + "/" + repo
}

// fail is an error of ours.
func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	return &providers.Error{Kind: kind, Op: op, Ref: r.where(repo), Hint: hint, Err: err}
}

// split takes a repository's path apart into the alias and the name that the API
// knows it by.
func split(repo string) (alias, name string) {
	alias, name, _ = strings.Cut(repo, "/")
	return alias, name
}
