package quay

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	opRepositories = "list repositories"
	opRows         = "list tags"

	pageSize = 100    // the most that the API gives
	maxPages = 20_000 // of one list: two million names
)

// Repositories lists those of the namespace that prefix names by the API, where
// that knows us or nobody signs in, and else what the catalog shows the account.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		namespace, _, named := strings.Cut(prefix, "/")
		nobody := r.nobody(ctx)
		switch {
		case named && (r.tokens || nobody):
			r.namespace(ctx, namespace, prefix, yield)
		case nobody:
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("nobody is shown the catalog"),
				"begin from.repositories.include with the namespace: acme/**"))
		default:
			r.catalog(ctx, prefix, yield)
		}
	}
}

// nobody reports whether no credential is known for the registry.
func (r *Registry) nobody(ctx context.Context) bool {
	c, err := r.Credential(ctx)
	return err == nil && c.Username == "" && c.Password == "" && c.IdentityToken == "" && c.RegistryToken == ""
}

// namespace goes through the API's list, which goes on by a token.
func (r *Registry) namespace(ctx context.Context, namespace, prefix string, yield func(string, error) bool) {
	q := oci.Question{Op: opRepositories, Count: providers.OpCatalog, Path: "/api/v1/repository",
		Values: url.Values{"namespace": {namespace}, "public": {"true"}}}
	for range r.pages {
		var page namespacePage
		if _, err := r.api.Ask(ctx, q, &page); err != nil {
			yield("", err)
			return
		}
		for _, one := range page.Repositories {
			name := one.Namespace + "/" + one.Name
			if one.Kind != "" && one.Kind != "image" || !strings.HasPrefix(name, prefix) || !r.Listed(name) {
				continue
			}
			if !yield(name, nil) {
				return
			}
		}
		switch page.Next {
		case "":
			return
		case q.Values.Get("next_page"):
			yield("", r.fail(opRepositories, "", providers.Invalid, oci.ErrEndless, oci.HintEndless))
			return
		}
		q.Values.Set("next_page", page.Next)
	}
	yield("", r.fail(opRepositories, "", providers.Invalid, oci.ErrEndless, oci.HintEndless))
}

type namespacePage struct {
	Repositories []struct{ Namespace, Name, Kind string }
	Next         string `json:"next_page"`
}

// catalog lists what the account is shown. Its token is for nothing in particular:
// the token service has no scope for it.
func (r *Registry) catalog(ctx context.Context, prefix string, yield func(string, error) bool) {
	q := oci.Query{Op: opRepositories, Count: providers.OpCatalog, Path: "/v2/_catalog", Values: url.Values{"n": {strconv.Itoa(pageSize)}}}
	type page struct{ Repositories []string }
	noList := r.fail(opRepositories, "", providers.Invalid, errors.New("the host's answer is no list of repositories"), "check that host is a Quay")
	for page, err := range oci.Decoded[page](r.Pages(ctx, q), noList) {
		if err != nil {
			yield("", err)
			return
		}
		for _, name := range page.Repositories {
			if strings.HasPrefix(name, prefix) && r.Listed(name) && !yield(name, nil) {
				return
			}
		}
	}
}

// Rows lists the tags of repo with their digests and times, a hundred a call, where
// the API tells us of it; otherwise their names.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		if r.mayTell(repo) {
			stop, err := r.tags(ctx, repo, yield)
			if stop || err != nil {
				if err != nil {
					yield(providers.Row{}, err)
				}
				return
			}
		}
		for row, err := range r.Registry.Rows(ctx, repo) {
			if err == nil {
				r.isPlain(repo)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// tags yields what the API tells. Done is false, without an error, where it tells
// nothing: its refusal does not say whether the repository is there.
func (r *Registry) tags(ctx context.Context, repo string, yield func(providers.Row, error) bool) (done bool, err error) {
	q := oci.Question{Op: opRows, Count: providers.OpTags, Repo: repo, Path: "/api/v1/repository/" + (&url.URL{Path: repo}).EscapedPath() + "/tag/",
		Values: url.Values{"limit": {strconv.Itoa(pageSize)}, "onlyActiveTags": {"true"}}}
	seen := map[string]bool{}
	for n := 1; n <= r.pages; n++ {
		var page tagPage
		q.Values.Set("page", strconv.Itoa(n))
		if _, err := r.api.Ask(ctx, q, &page); err != nil {
			if n == 1 && r.refuses(err) {
				return false, nil
			}
			return false, err
		}
		r.tells()
		fresh := false
		for _, t := range page.Tags {
			if seen[t.Name] { // pages shift when somebody pushes meanwhile
				continue
			}
			seen[t.Name], fresh = true, true
			if r.ListedTag(repo, t.Name) && !yield(t.row(), nil) {
				return true, nil
			}
		}
		if !page.More {
			return true, nil
		}
		if !fresh {
			break
		}
	}
	return false, r.fail(opRows, repo, providers.Invalid, oci.ErrEndless, oci.HintEndless)
}

type tagPage struct {
	Tags []tag
	More bool `json:"has_additional"`
}

// A tag that is to end later is one like any other.
type tag struct {
	Name   string
	Digest string `json:"manifest_digest"`
	Size   int64
	Start  int64 `json:"start_ts"` // seconds
}

// row reads a tag. A digest that is none is left out: the tag is asked for then.
func (t tag) row() providers.Row {
	row := providers.Row{Tags: []string{t.Name}, Size: max(0, t.Size)}
	row.Digest, _ = v1.NewHash(t.Digest) // zero is not known
	if t.Start > 0 {
		row.Tagged = time.Unix(t.Start, 0).UTC()
	}
	return row
}

// refuses reports whether the API tells nothing of a repository, or of any: without
// an error, what the registry tells will do.
func (r *Registry) refuses(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return false
	}
	switch e.Kind {
	case providers.Denied, providers.NotFound, providers.Unsupported, providers.Invalid:
	default:
		return false
	}
	if r.tokens && e.Status == http.StatusUnauthorized {
		r.say("the API does not take the token: tags are listed without digests, and a HEAD is sent for each", "hint", hintToken, "err", e.Err)
	}
	return true
}

// plainFor is how long it is believed of repositories that the API does not tell us of
// them: a token may be mended, or a repository published, while we run.
const plainFor = time.Hour

// mayTell reports whether it is worth asking the API.
func (r *Registry) mayTell(repo string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.doubt.IsZero() && time.Now().After(r.doubt) {
		clear(r.plain)
		r.doubt = time.Time{}
	}
	return !r.plain[repo] && (r.tokens || r.told || len(r.plain) < enough)
}

// enough is how many repositories the API refuses to tell nobody of, before it is
// not asked of others.
const enough = 3

func (r *Registry) tells() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = true
}

// isPlain notes that a repository is there and the API does not tell us of it.
func (r *Registry) isPlain(repo string) {
	r.mu.Lock()
	if r.plain[repo] = true; r.doubt.IsZero() {
		r.doubt = time.Now().Add(plainFor)
	}
	r.mu.Unlock()
	if !r.tokens {
		r.say("the API tells nobody of private repositories: their tags are listed without digests, and a HEAD is sent for each",
			"hint", "give the registry auth.apiToken, an OAuth token with repo:read")
	}
}

// say tells once how tags are listed.
func (r *Registry) say(text string, args ...any) {
	r.mu.Lock()
	was := r.said
	r.said = true
	r.mu.Unlock()
	if !was {
		r.log.Warn(text, append([]any{"host", r.Host()}, args...)...)
	}
}
