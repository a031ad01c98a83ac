package ghcr

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const pageSize = 100 // the most that the API gives

const (
	opRepositories = "list repositories"
	opRows         = "list tags"
	opPackages     = "packages" // as which the API's requests are counted
)

const hintOwner = "begin each pattern of the rule with an owner that is written out, such as acme/**, and give each owner a rule of its own; or name the repositories"

// Repositories lists the packages of the owner that prefix begins with, a hundred a
// call. Nobody can list all owners' packages: without one it is Unsupported.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		owner, _, _ := strings.Cut(prefix, "/")
		switch cause := context.Cause(ctx); {
		case cause != nil:
			yield("", cause)
			return
		case owner == "":
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("ghcr.io lists the packages of one owner at a time"), hintOwner))
			return
		case r.api == nil:
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("no API is known of this GitHub"), "set apiHost of this registry in the policy, or name the repositories in the rule"))
			return
		}
		q := url.Values{"package_type": {"container"}, "per_page": {strconv.Itoa(pageSize)}}
		pages := r.pages(ctx, opRepositories, "", owner, "/packages", q)
		for page, err := range oci.Decoded[[]struct{ Name string }](pages, r.noList(opRepositories, "")) {
			if err != nil {
				yield("", r.cannotList(err))
				return
			}
			for _, p := range page {
				name := owner + "/" + strings.ToLower(p.Name)
				if strings.HasPrefix(name, prefix) && r.Listed(name) && !yield(name, nil) {
					return
				}
			}
		}
	}
}

// cannotList says what to do where the API is closed: a rule can name its repositories.
func (r *Registry) cannotList(err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return err
	}
	is := *e
	switch e.Kind {
	case providers.Denied:
		is.Hint = "a classic token with read:packages may list; without one name the repositories in the rule"
	case providers.NotFound:
		is.Hint = "check the owner's name, and that the token may see its packages; or name the repositories in the rule"
	}
	return &is
}

// noList is the error of an answer that is none of GitHub's.
func (r *Registry) noList(op, repo string) error {
	return r.fail(op, repo, providers.Invalid, errors.New("the API's answer is no list"), "check apiHost of this registry in the policy")
}

// A version is a manifest as the API lists it.
type version struct {
	Name     string    // its digest
	Created  time.Time `json:"created_at"`
	Metadata struct {
		Container struct{ Tags []string }
	}
}

// Rows lists every manifest of repo with its tags, a hundred a call; where the API
// is closed, tags by name.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		owner, name, ok := strings.Cut(repo, "/")
		if !ok || !r.listed(ctx, owner) {
			r.names(ctx, repo, nil, yield)
			return
		}
		begun := false
		for page, err := range r.versions(ctx, repo, owner, name) {
			switch {
			case err != nil && !begun && r.closed(owner, err):
				r.names(ctx, repo, err, yield)
				return
			case err != nil:
				yield(providers.Row{}, err)
				return
			}
			begun = true
			for _, v := range page {
				if row, ok := r.row(repo, v); ok && !yield(row, nil) {
					return
				}
			}
		}
	}
}

// names lists tags by name. If the API did not know the package, and it is there,
// the API is closed about its owner.
func (r *Registry) names(ctx context.Context, repo string, api error, yield func(providers.Row, error) bool) {
	for row, err := range r.Registry.Rows(ctx, repo) {
		if err == nil && providers.KindOf(api) == providers.NotFound {
			owner, _, _ := strings.Cut(repo, "/")
			r.close(owner, api)
			api = nil
		}
		if !yield(row, err) || err != nil {
			return
		}
	}
}

func (r *Registry) versions(ctx context.Context, repo, owner, name string) iter.Seq2[[]version, error] {
	path := "/packages/container/" + url.PathEscape(name) + "/versions"
	return oci.Decoded[[]version](r.pages(ctx, opRows, repo, owner, path, url.Values{"per_page": {strconv.Itoa(pageSize)}}), r.noList(opRows, repo))
}

func (r *Registry) row(repo string, v version) (providers.Row, bool) {
	digest, err := v1.NewHash(v.Name)
	if err != nil {
		r.log.Warn("a manifest in a list cannot be read; it is left out", "host", r.Host(), "repo", repo, "err", err)
		return providers.Row{}, false
	}
	row := providers.Row{Digest: digest, Pushed: v.Created}
	for _, tag := range v.Metadata.Container.Tags {
		if r.ListedTag(repo, tag) {
			row.Tags = append(row.Tags, tag)
		}
	}
	return row, true
}

// pages asks about an owner. GitHub has different addresses for organizations and
// users; which it is is found out once.
func (r *Registry) pages(ctx context.Context, op, repo, owner, path string, values url.Values) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		kinds := []string{"orgs", "users"}
		if known := r.ownerKind(owner); known != "" {
			kinds = []string{known}
		}
		for i, kind := range kinds {
			q := oci.Question{Op: op, Count: opPackages, Repo: repo, Path: r.root + "/" + kind + "/" + url.PathEscape(owner) + path, Values: values}
			for page, err := range r.api.Pages(ctx, q) {
				if providers.KindOf(err) == providers.NotFound && i+1 < len(kinds) {
					break // the other kind, perhaps
				}
				if err == nil {
					r.setOwnerKind(owner, kind)
				}
				if !yield(page, err) || err != nil {
					return
				}
			}
			if r.ownerKind(owner) == kind {
				return
			}
		}
	}
}

func (r *Registry) ownerKind(owner string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owners[owner]
}

func (r *Registry) setOwnerKind(owner, kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owners[owner] = kind
}
