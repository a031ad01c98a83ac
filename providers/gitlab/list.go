package gitlab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	opRepositories = "list repositories"
	opRows         = "list tags"
)

// Rows lists the tags of repo with their digests and times, a thousand a call, and
// with each digest who refers to it. Where the registry has no API of its own it is
// the names alone.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	if r.isBare() {
		return r.Registry.Rows(ctx, repo)
	}
	return func(yield func(providers.Row, error) bool) {
		if err := r.own(ctx, repo, yield); err != nil {
			r.names(ctx, repo, yield)
		}
	}
}

// own yields what the registry's own API lists. The error, which was not yielded, is
// that there is no such page: no such API, or no such repository.
func (r *Registry) own(ctx context.Context, repo string, yield func(providers.Row, error) bool) error {
	q := oci.Query{Op: opRows, Count: providers.OpTags, Repo: repo, Path: "/gitlab/v1/repositories/" + (&url.URL{Path: repo}).EscapedPath() + "/tags/list/",
		Values: url.Values{"n": {"1000"}, "referrers": {"true"}}, Scopes: []string{"repository:" + repo + ":pull"}}
	told := map[string]bool{}
	first := true
	noList := r.fail(opRows, repo, providers.Invalid, errors.New("the registry's answer is no list of tags"), "check that host is GitLab's registry")
	for page, err := range oci.Decoded[[]tag](r.Pages(ctx, q), noList) {
		if first && providers.KindOf(err) == providers.NotFound {
			return err
		}
		first = false
		if err != nil {
			yield(providers.Row{}, err)
			return nil
		}
		for _, t := range page {
			if !r.ListedTag(repo, t.Name) {
				continue
			}
			for _, row := range t.rows(told) {
				if !yield(row, nil) {
					return nil
				}
			}
		}
	}
	return nil
}

// names yields what the spec's list has. If there is one, then it is the registry's
// own API that is not there.
func (r *Registry) names(ctx context.Context, repo string, yield func(providers.Row, error) bool) {
	for row, err := range r.Registry.Rows(ctx, repo) {
		if err != nil {
			yield(row, err)
			return
		}
		r.isKnownBare()
		if !yield(row, nil) {
			return
		}
	}
	r.isKnownBare()
}

// A tag is one in the list of the registry's own API.
type tag struct {
	Name      string          `json:"name"`
	Digest    string          `json:"digest"`
	MediaType types.MediaType `json:"media_type"`
	Size      int64           `json:"size_bytes"`
	Created   time.Time       `json:"created_at"`
	Updated   time.Time       `json:"updated_at"`
	Published time.Time       `json:"published_at"`
	Referrers []struct {
		ArtifactType string `json:"artifactType"`
		Digest       string `json:"digest"`
	} `json:"referrers"`
}

// rows are the tag, and who refers to its digest, unless that was told before. A
// digest that is none makes it a name alone, to be asked for.
func (t tag) rows(told map[string]bool) []providers.Row {
	digest, err := v1.NewHash(t.Digest)
	if err != nil {
		return []providers.Row{{Tags: []string{t.Name}}}
	}
	row := providers.Row{Digest: digest, Tags: []string{t.Name}, MediaType: t.MediaType, Size: t.Size, Tagged: t.Published}
	for _, at := range []time.Time{t.Updated, t.Created} {
		if row.Tagged.IsZero() {
			row.Tagged = at
		}
	}
	rows := []providers.Row{row}
	if told[t.Digest] {
		return rows
	}
	told[t.Digest] = true
	for _, ref := range t.Referrers {
		if by, err := v1.NewHash(ref.Digest); err == nil {
			rows = append(rows, providers.Row{Digest: by, ArtifactType: ref.ArtifactType, Subject: digest})
		}
	}
	return rows
}

const (
	hintNoAPI  = "name GitLab's own host in apiHost of this registry, or name the repositories in the rule, in from.repositories.include"
	hintPrefix = "begin the names in from.repositories.include with a group or project: group/**"
)

// Repositories lists those of the group or project that prefix begins with, a
// hundred a call; GitLab has no list of all that somebody may see.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		base := prefix[:max(0, strings.LastIndexByte(prefix, '/'))]
		switch {
		case r.api == nil:
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("the registry has no catalog, and it is not known where its GitLab is"), hintNoAPI))
			return
		case base == "":
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("GitLab lists the repositories of a group or a project only"), hintPrefix))
			return
		}
		for _, at := range placesOf(base) {
			absent, more := r.listAt(ctx, at, prefix, yield)
			if !absent || !more {
				return
			}
		}
		yield("", r.fail(opRepositories, "", providers.NotFound, fmt.Errorf("GitLab shows us neither a group nor a project %s", base),
			"check its spelling, and that the token's user is a member of it"))
	}
}

// placesOf are the lists that may hold the repositories below a path: of the group
// or project there, or of the project that it is an image of.
func placesOf(base string) []string {
	places := []string{"groups/" + url.PathEscape(base), "projects/" + url.PathEscape(base)}
	for range levels {
		i := strings.LastIndexByte(base, '/')
		if i < 0 {
			break
		}
		if base = base[:i]; strings.Contains(base, "/") {
			places = append(places, "projects/"+url.PathEscape(base))
		}
	}
	return places
}

// listAt yields the repositories of one list whose paths begin with prefix. absent
// says that there is no such list, more that the next one may be tried.
func (r *Registry) listAt(ctx context.Context, at, prefix string, yield func(string, error) bool) (absent, more bool) {
	q := oci.Question{Op: opRepositories, Count: providers.OpCatalog, Path: "/api/v4/" + at + "/registry/repositories",
		Values: url.Values{"per_page": {"100"}}}
	noList := r.fail(opRepositories, "", providers.Invalid, errors.New("GitLab's answer is no list of repositories"), "check that apiHost is a GitLab")
	for page, err := range oci.Decoded[[]struct{ Path string }](r.api.Pages(ctx, q), noList) {
		if providers.KindOf(err) == providers.NotFound {
			return true, true
		}
		if err != nil {
			yield("", err)
			return false, false
		}
		for _, repo := range page {
			if strings.HasPrefix(repo.Path, prefix) && r.Listed(repo.Path) && !yield(repo.Path, nil) {
				return false, false
			}
		}
	}
	return false, true
}
