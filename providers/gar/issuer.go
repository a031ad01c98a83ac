package gar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cloud.google.com/go/auth/credentials/impersonate"
	"cloud.google.com/go/compute/metadata"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
)

// An Issuer is a service account of Google as other clouds see it: by ID tokens,
// which the instance's metadata gives for the account that is attached (to a GKE pod,
// too), and IAM credentials for one that is impersonated. It is safe for concurrent use.
type Issuer struct{ source *source }

var _ providers.Issuer = (*Issuer)(nil)

// NewIssuer returns the identity of o.Identity; o.OCI says how Google is reached. It
// connects to nobody yet.
func NewIssuer(o Options) (*Issuer, error) {
	web, metadata, err := transports(o.OCI)
	if err != nil {
		return nil, &providers.Error{Kind: providers.Invalid, Op: "reach", Ref: "Google", Hint: "check caFile and proxy", Err: err}
	}
	return &Issuer{&source{id: o.Identity, endpoints: o.Endpoints, web: web, metadata: metadata, ref: "Google",
		send: func(req *http.Request, through http.RoundTripper) (*http.Response, error) {
			return told(o.OCI, req, through)
		}}}, nil
}

// told tells the observers of a request.
func told(o oci.Options, req *http.Request, through http.RoundTripper) (*http.Response, error) {
	start := time.Now()
	resp, err := through.RoundTrip(req)
	q := oci.Request{Op: providers.OpToken, Class: limit.Read, Took: time.Since(start), Err: err}
	if resp != nil {
		q.Status = resp.StatusCode
	}
	if o.Observe != nil {
		o.Observe(q)
	}
	return resp, err
}

// Whoami is the account whose token Google gives.
func (i *Issuer) Whoami(ctx context.Context) (providers.Identity, error) {
	b, err := i.source.identity(ctx)
	if err != nil {
		return providers.Identity{}, err
	}
	b.who.Expires = b.token.Expiry
	return b.who, nil
}

// Assertion is an ID token.
func (i *Issuer) Assertion(ctx context.Context, audience string) (providers.Assertion, error) {
	raw, err := i.idToken(ctx, audience)
	if err != nil {
		return providers.Assertion{}, err
	}
	a, err := providers.ReadAssertion(strings.TrimSpace(raw))
	if err != nil {
		return a, i.source.fail(providers.Unavailable, fmt.Errorf("the ID token for %s: %w", audience, err), "look at the instance's metadata service")
	}
	return a, nil
}

func (i *Issuer) idToken(ctx context.Context, audience string) (string, error) {
	s := i.source
	if len(s.id.Impersonate) > 0 {
		return s.impersonatedID(ctx, audience)
	}
	if path, from := s.id.file(); path != "" {
		return "", s.fail(providers.Denied, fmt.Errorf("%s give no ID token for another cloud", from),
			"run transship where Google attaches an account to it (an instance, a GKE pod), or name one in auth.federated.gcp.impersonate")
	}
	return s.metadataID(ctx, audience)
}

// metadataID is the attached account's token.
func (s *source) metadataID(ctx context.Context, audience string) (string, error) {
	within, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	asked := &answer{}
	c := metadata.NewWithOptions(&metadata.Options{Client: s.asking(within, asked, s.metadata), Logger: silent})
	raw, err := c.GetWithContext(within, "instance/service-accounts/default/identity?"+url.Values{"audience": {audience}, "format": {"full"}}.Encode())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return "", cause
	}
	if err != nil {
		return "", s.noMetadata(providers.Identity{Name: "the instance's service account", From: "the instance's metadata"}, asked, err)
	}
	return raw, nil
}

// impersonatedID is the token of the last of the chain.
func (s *source) impersonatedID(ctx context.Context, audience string) (string, error) {
	by, err := s.base(ctx)
	if err != nil {
		return "", err
	}
	chain := s.id.Impersonate
	target := chain[len(chain)-1]
	asked := &answer{}
	creds, err := impersonate.NewIDTokenCredentials(&impersonate.IDTokenOptions{Audience: audience, TargetPrincipal: target,
		IncludeEmail: true, Delegates: chain[:len(chain)-1], Client: s.asking(ctx, asked, &bearer{s, by.token.Value}), Logger: silent})
	if err != nil {
		return "", s.fail(providers.Denied, errors.New(firstLine(err.Error())), "check auth.federated.gcp.impersonate")
	}
	t, err := creds.Token(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return "", cause
	}
	if err != nil {
		return "", s.notGiven(providers.Identity{Name: target, From: "impersonated by " + by.who.Name}, asked, err)
	}
	return t.Value, nil
}
