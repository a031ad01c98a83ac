package acr

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const pageSize = 1000 // the most that ACR gives, whatever is asked for

const (
	opRepositories = "list repositories"
	opRows         = "list tags"
)

// Repositories lists the registry's, a thousand a call; it knows no prefix.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for page, err := range r.catalog(ctx) {
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range page {
				if strings.HasPrefix(name, prefix) && r.Listed(name) && !yield(name, nil) {
					return
				}
			}
		}
	}
}

func (r *Registry) catalog(ctx context.Context) iter.Seq2[[]string, error] {
	q := oci.Query{Op: opRepositories, Count: providers.OpCatalog, Path: "/acr/v1/_catalog",
		Values: url.Values{"n": {strconv.Itoa(pageSize)}}, Scopes: []string{"registry:catalog:*"}}
	type page struct{ Repositories []string }
	return func(yield func([]string, error) bool) {
		for p, err := range oci.Decoded[page](r.Pages(ctx, q), r.noList(opRepositories, "")) {
			if !yield(p.Repositories, err) {
				return
			}
		}
	}
}

// noList is the error of an answer that is none of ACR's.
func (r *Registry) noList(op, repo string) error {
	return r.fail(op, repo, providers.Invalid, errors.New("the registry's answer is no list"), "check that host is a registry of ACR")
}

// A manifestRow is a manifest in a list of the metadata API.
type manifestRow struct {
	Digest    string
	ImageSize int64
	Created   time.Time `json:"createdTime"`
	Updated   time.Time `json:"lastUpdateTime"`
	MediaType string
	Tags      []string
}

// fewTags is how many tags of a manifest are believed to be all of them: lists of
// manifests were seen to leave out what follows the tenth (azure-cli#7438).
const fewTags = 9

// Rows lists every manifest of repo with its tags, a thousand a call. One call does
// for most repositories, where the list of tags beside it would be another; only the
// tags of manifests that have many are listed by themselves.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		many := map[v1.Hash]providers.Row{}
		pages := 0
		for page, err := range r.manifests(ctx, repo) {
			if err != nil {
				yield(providers.Row{}, err)
				return
			}
			pages++
			for _, m := range page {
				row, ok := r.rowOf(repo, m)
				switch {
				case !ok:
				case len(row.Tags) > fewTags:
					many[row.Digest] = row
				case !yield(row, nil):
					return
				}
			}
		}
		r.tagRows(ctx, repo, many, pages, yield)
	}
}

func (r *Registry) manifests(ctx context.Context, repo string) iter.Seq2[[]manifestRow, error] {
	type page struct{ Manifests []manifestRow }
	return func(yield func([]manifestRow, error) bool) {
		pages := r.Pages(ctx, r.metadata(repo, "_manifests", providers.OpTags))
		for p, err := range oci.Decoded[page](pages, r.noList(opRows, repo)) {
			if !yield(p.Manifests, err) {
				return
			}
		}
	}
}

// metadata is a question to the metadata API about a repository. Its token is the
// one that pulls, too.
func (r *Registry) metadata(repo, list, count string) oci.Query {
	return oci.Query{Op: opRows, Count: count, Repo: repo, Path: "/acr/v1/" + url.PathEscape(repo) + "/" + list,
		Values: url.Values{"n": {strconv.Itoa(pageSize)}}, Scopes: []string{"repository:" + repo + ":pull,metadata_read"}}
}

// rowOf reads a manifest. The time of its one tag is that of the manifest's last
// change; of several tags nobody can say which was moved then.
func (r *Registry) rowOf(repo string, m manifestRow) (providers.Row, bool) {
	digest, err := v1.NewHash(m.Digest)
	if err != nil {
		r.log.Warn("a manifest in a list cannot be read; it is left out", "host", r.Host(), "repo", repo, "err", err)
		return providers.Row{}, false
	}
	row := providers.Row{Digest: digest, Tags: m.Tags, MediaType: types.MediaType(m.MediaType), Size: m.ImageSize,
		Pushed: m.Created, Changed: m.Updated}
	if len(m.Tags) == 1 {
		row.Tagged = m.Updated
	}
	return row, true
}

// tagRows lists the tags of manifests that have many, a row each: digest by digest,
// or all tags of the repository where that takes fewer calls.
func (r *Registry) tagRows(ctx context.Context, repo string, many map[v1.Hash]providers.Row, pages int, yield func(providers.Row, error) bool) {
	if len(many) == 0 {
		return
	}
	filters := []string{""}
	if len(many) <= pages {
		filters = nil
		for digest := range many {
			filters = append(filters, digest.String())
		}
	}
	for _, filter := range filters {
		for row, err := range r.tags(ctx, repo, filter) {
			m, wanted := many[row.Digest]
			if err == nil && !wanted {
				continue
			}
			row.MediaType, row.Size, row.Pushed = m.MediaType, m.Size, m.Pushed
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// tags lists the tags of a repository, those of one digest unless that is "".
func (r *Registry) tags(ctx context.Context, repo, digest string) iter.Seq2[providers.Row, error] {
	q := r.metadata(repo, "_tags", providers.OpTags)
	if digest != "" {
		q.Values.Set("digest", digest)
	}
	type page struct{ Tags []tagRow }
	return func(yield func(providers.Row, error) bool) {
		for p, err := range oci.Decoded[page](r.Pages(ctx, q), r.noList(opRows, repo)) {
			if err != nil {
				yield(providers.Row{}, err)
				return
			}
			for _, t := range p.Tags {
				if row, ok := r.rowOfTag(repo, t); ok && !yield(row, nil) {
					return
				}
			}
		}
	}
}
