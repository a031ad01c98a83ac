// Package quay is Quay: quay.io, and registries of one's own that run Project Quay
// or Red Hat Quay. It speaks the wire protocol of [oci] and, where it may, asks the
// API beside it which repositories there are, and for a repository's tags with
// their digests, a hundred a call.
//
// The API knows no robot accounts: it takes an OAuth token of its own, and tells
// anyone of public repositories. What it does not tell is asked of the registry:
// the list of tags, and a HEAD for each.
//
// Three things are Quay's own. Whoever asks for a token that may push to a
// repository which is not there makes it by that; so a token to read never asks to
// push. The token service knows no scope but repositories, and fails as a whole
// over any other. And what is pushed by its digest alone goes after an hour, unless
// by then a tagged index lists it: see providers.Caps.UntaggedLife.
package quay

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

// Options say which registry to open and who we are there.
type Options struct {
	OCI oci.Options // what holds for every registry

	// APIToken is an OAuth token of the API, with repo:read; asked at each use, nil
	// for none.
	APIToken func() (string, error)
}

// A Registry is one Quay. It implements [providers.Registry].
type Registry struct {
	*oci.Registry
	api    *oci.API
	tokens bool // the API is asked with a token
	push   bool // some rule writes to it
	pages  int  // the most of one list
	log    *slog.Logger

	mu    sync.Mutex
	plain map[string]bool // repositories of which the API does not tell us
	doubt time.Time       // when that is forgotten; zero while there are none
	told  bool            // the API has told of one
	said  bool            // that it does not is in the log
}

var _ providers.Registry = (*Registry)(nil)

// New returns the registry at o.OCI.Host. It connects to nobody yet.
func New(o Options) (*Registry, error) {
	r := &Registry{push: o.OCI.Push, pages: maxPages, tokens: o.APIToken != nil, plain: map[string]bool{}, log: o.OCI.Logger}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	o.OCI.Push = false // a token that may push makes the repository
	o.OCI.Explain = r.explain
	o.OCI.Caps = caps()
	var err error
	if r.Registry, err = oci.New(o.OCI); err != nil {
		return nil, err
	}
	if r.api, err = r.Registry.API(oci.APIOptions{Host: r.Host(), SignIn: signIn(o.APIToken), Explain: explainAPI}); err != nil {
		return nil, err
	}
	return r, nil
}

// signIn shows the API its token; nil is nobody.
func signIn(token func() (string, error)) oci.SignIn {
	if token == nil {
		return nil
	}
	return func(context.Context) (oci.Credential, error) {
		value, err := token()
		return oci.Credential{RegistryToken: value, Who: providers.Identity{Name: "the bearer of apiToken", From: "auth.apiToken in the policy"}}, err
	}
}

// Close ends idle connections.
func (r *Registry) Close() error {
	err := r.api.Close()
	if e := r.Registry.Close(); err == nil {
		err = e
	}
	return err
}

// fail is an error of ours.
func (r *Registry) fail(op, repo string, kind providers.Kind, err error, hint string) *providers.Error {
	ref := r.Host()
	if repo != "" {
		ref += "/" + repo
	}
	return &providers.Error{Kind: kind, Op: op, Ref: ref, Hint: hint, Err: err}
}
