package dockerhub

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	pageSize = 100     // the most that the API gives
	maxPages = 100_000 // of one list
)

const (
	opRepositories = "list repositories"
	opRows         = "list tags"
)

const hintAPI = "set apiHost of this registry in the policy, or name the repositories in the rule"

const hintNamespace = "begin each pattern of the rule with a namespace that is written out, such as acme/**, and give each namespace a rule of its own; or name the repositories"

var validName = regexp.MustCompile(`^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$`)

// Repositories lists those of the namespace that prefix begins with, a hundred a
// call. Nobody can list all of Docker Hub: without one it is Unsupported.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		namespace, _, _ := strings.Cut(prefix, "/")
		if cause := context.Cause(ctx); cause != nil {
			yield("", cause)
			return
		}
		if r.api == nil {
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("no Hub API is known of this host"), hintAPI))
			return
		}
		if !validName.MatchString(namespace) {
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("repositories of Docker Hub are listed one namespace at a time"), hintNamespace))
			return
		}
		q := oci.Question{Op: opRepositories, Count: providers.OpCatalog, Path: "/v2/namespaces/" + namespace + "/repositories"}
		for one, err := range pages[struct{ Name string }](ctx, r, q) {
			switch {
			case providers.KindOf(err) == providers.NotFound:
				return // a namespace that nobody has is like one that is empty
			case err != nil:
				yield("", err)
				return
			}
			name := namespace + "/" + one.Name
			if strings.HasPrefix(name, prefix) && r.Listed(name) && !yield(name, nil) {
				return
			}
		}
	}
}

// pages asks q and goes on by the address of the next page that the API writes into
// each; it yields the results one by one.
func pages[T any](ctx context.Context, r *Registry, q oci.Question) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		q.Values = url.Values{"page_size": {strconv.Itoa(pageSize)}}
		for range maxPages {
			var page struct {
				Next    string
				Results []T
			}
			if _, err := r.api.Ask(ctx, q, &page); err != nil {
				yield(none, err)
				return
			}
			for _, one := range page.Results {
				if !yield(one, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			var err error
			if q, err = r.api.Next(q, page.Next); err != nil {
				yield(none, err)
				return
			}
		}
		yield(none, r.fail(q.Op, q.Repo, providers.Invalid, oci.ErrEndless, oci.HintEndless))
	}
}

// A tagRow is a tag as the API lists it.
type tagRow struct {
	Name   string
	Digest string    // very old ones have none
	Media  string    `json:"media_type"`
	Size   int64     `json:"full_size"`
	Pushed time.Time `json:"tag_last_pushed"`
	Images []platform
}

// A platform is an image of a tag.
type platform struct {
	OS, Architecture, Variant, Digest string
}

// Rows lists the tags of repo with their digests, a hundred a call; where the API
// is closed to us, their names.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		repo := full(repo)
		namespace, name, _ := strings.Cut(repo, "/")
		if !validName.MatchString(namespace) || !validName.MatchString(name) {
			yield(providers.Row{}, r.fail(opRows, repo, providers.Invalid, errors.New("no repository of Docker Hub has such a name"), caps().Names.Says))
			return
		}
		if r.isShut(namespace) {
			r.names(ctx, repo, yield)
			return
		}
		begun := false
		for row, err := range r.tags(ctx, repo, namespace, name) {
			if err != nil && !begun && r.closed(namespace, err) {
				r.names(ctx, repo, yield)
				return
			}
			if err == nil && !begun {
				r.look(ctx, repo, row.Tags[0]) // what is begun may hang on how many pulls there are
			}
			begun = true
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// names lists tags by name.
func (r *Registry) names(ctx context.Context, repo string, yield func(providers.Row, error) bool) {
	for row, err := range r.Registry.Rows(ctx, repo) {
		if !yield(row, err) || err != nil {
			return
		}
	}
}

// tags lists the tags of a repository as the API knows them.
func (r *Registry) tags(ctx context.Context, repo, namespace, name string) iter.Seq2[providers.Row, error] {
	q := oci.Question{Op: opRows, Count: providers.OpTags, Repo: repo,
		Path: "/v2/namespaces/" + namespace + "/repositories/" + name + "/tags"}
	return func(yield func(providers.Row, error) bool) {
		seen := map[string]bool{} // a push moves tags to the page that comes next
		for t, err := range pages[tagRow](ctx, r, q) {
			if err != nil {
				yield(providers.Row{}, err)
				return
			}
			if seen[t.Name] || !r.ListedTag(repo, t.Name) {
				continue
			}
			seen[t.Name] = true
			if !yield(r.row(repo, t), nil) {
				return
			}
		}
	}
}

// row reads a tag. A digest that is none is left out: the tag is asked for then.
func (r *Registry) row(repo string, t tagRow) providers.Row {
	row := providers.Row{Tags: []string{t.Name}, MediaType: types.MediaType(t.Media), Size: t.Size, Tagged: t.Pushed}
	if t.Digest == "" {
		return row
	}
	digest, err := v1.NewHash(t.Digest)
	if err != nil {
		r.log.Warn("a digest in a list cannot be read; its tag is asked for", "host", r.Host(), "repo", repo, "tag", t.Name, "err", err)
		return row
	}
	row.Digest = digest
	if providers.IsIndex(row.MediaType) {
		row.Children = children(t.Images)
	}
	return row
}

// children are the platforms of an index.
func children(images []platform) (all []v1.Descriptor) {
	for _, i := range images[:min(len(images), providers.MaxChildren)] {
		digest, err := v1.NewHash(i.Digest)
		if err != nil {
			continue
		}
		all = append(all, v1.Descriptor{Digest: digest, Platform: &v1.Platform{OS: i.OS, Architecture: i.Architecture, Variant: i.Variant}})
	}
	return all
}
