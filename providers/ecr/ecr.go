// Package ecr is Amazon ECR, private registries: the account of a host in one
// region. It speaks the wire protocol of [oci] and, for what that has no words
// for, the service's own API: who signs in, which repositories there are, what is
// in them by the thousand, and how they are made.
//
// The data plane's requests are signed with one registry token, which is fetched
// once however many wait for it and renewed at half its life; the API's by the
// AWS SDK. An identity that AWS refuses stops the registry for a while with one
// error, instead of being shown again and again.
package ecr

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open and who we are there.
type Options struct {
	OCI       oci.Options // what holds for every registry
	Identity  Identity    // who signs in; zero is AWS's default chain
	Create    Create      // settings of repositories that are made on demand
	Endpoints Endpoints   // of the API, where they are not AWS's own
}

// An Identity is who signs in.
type Identity struct {
	Profile string // of the shared configuration; "" is the default chain
	Region  string // of the API; "" is the host's, the only one that works with it
	Roles   []Role // assumed one after the other, the last one is who we are

	// Federated, if it is not nil, signs in from another cloud, instead of the chain.
	Federated *Federated
}

func (i Identity) isZero() bool { return i.Profile == "" && len(i.Roles) == 0 && i.Federated == nil }

// A Role is assumed by what came before it.
type Role struct{ ARN, ExternalID, SessionName string }

// Endpoints are URLs that replace AWS's own: private endpoints, and tests. The
// SDK's environment variables (AWS_ENDPOINT_URL_ECR and so on) count too.
type Endpoints struct{ ECR, STS string }

// Create are the settings of a repository that is made because a push needs it.
type Create struct {
	Never    bool // make none: a repository that is missing is an error
	Enforce  bool // set them on repositories that are there, too
	Template bool // leave them to the account's creation template

	Immutability string   // MUTABLE or IMMUTABLE; "" is the account's default
	Exclusions   []string // wildcards of tags to which Immutability does not apply
	ScanOnPush   bool
	KMSKey       string // "" is AES256

	LifecyclePolicy  []byte // JSON
	RepositoryPolicy []byte // JSON
	Tags             map[string]string
}

// A Registry is one account's ECR in one region. It implements [providers.Registry].
type Registry struct {
	oci.Remaker
	opts  Options
	host  Host // its account is "" where the host's name does not tell
	log   *slog.Logger
	given bool // the data plane has a credential of its own

	session  session
	mounting once[providers.Tri]
	caller   once[providers.Identity]
	ensured  oci.Ensured // repositories that are as they should be

	mu         sync.Mutex
	unfinished map[string]bool // that we made, and that lack a policy still
	alone      time.Time       // until when the API is known not to be ours to use
	oldFilter  bool            // the service does not know of archived images
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	h, err := o.where()
	if err != nil {
		return nil, &providers.Error{Kind: providers.Invalid, Op: "open registry", Ref: o.OCI.Host,
			Hint: "write the host as <account>.dkr.ecr.<region>.amazonaws.com, or name its region in auth.aws.region", Err: err}
	}
	r := &Registry{opts: o, host: h, given: o.OCI.Authenticator != nil || o.OCI.Keychain != nil,
		log: o.OCI.Logger, unfinished: map[string]bool{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if !r.given {
		o.OCI.SignIn = r.signIn
	}
	o.OCI.Explain = explainRefusal
	o.OCI.Caps = caps()
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	r.Anew = r.push
	return r, nil
}

// Close closes idle connections and waits for what nobody waits for.
func (r *Registry) Close() error {
	r.ensured.Wait()
	return r.Registry.Close()
}

// where finds the registry by its name, or by the region that is given.
func (o Options) where() (Host, error) {
	h, ok, err := ParseHost(o.OCI.Host)
	want := o.Identity.Region
	switch {
	case err != nil:
		return Host{}, err
	case !ok && want == "":
		return Host{}, fmt.Errorf("%q does not tell the region of the registry", o.OCI.Host)
	case !ok:
		return Host{Region: want, Partition: partitionOf(want)}, nil
	case want != "" && want != h.Region:
		return Host{}, fmt.Errorf("the registry is in %s, and auth.aws.region says %s; tokens of one region are no good in another", h.Region, want)
	}
	return h, nil
}

// where names a repository in errors.
func (r *Registry) where(repo string) string {
	if repo == "" {
		return r.Host()
	}
	return r.Host() + "/" + repo
}

// A once is an answer that is asked for until there is one, and then kept.
type once[T any] struct {
	mu   sync.Mutex // held while asking
	kept atomic.Pointer[T]
}

func (o *once[T]) get(ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if v, ok := o.known(); ok {
		return v, nil
	}
	v, err := ask(ctx)
	if err == nil {
		o.kept.Store(&v)
	}
	return v, err
}

// known is the answer, if there is one.
func (o *once[T]) known() (T, bool) {
	v := o.kept.Load()
	if v == nil {
		var zero T
		return zero, false
	}
	return *v, true
}

// describe says how somebody signs in, before it is known who they are.
func (i Identity) describe() string {
	if n := len(i.Roles); n > 0 {
		return "role " + i.Roles[n-1].ARN
	}
	switch {
	case i.Federated != nil:
		return "role " + i.Federated.RoleARN
	case i.Profile != "":
		return "profile " + i.Profile
	}
	return ambient()
}
