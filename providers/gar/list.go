package gar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	artifactregistry "cloud.google.com/go/artifactregistry/apiv1"
	pb "cloud.google.com/go/artifactregistry/apiv1/artifactregistrypb"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"google.golang.org/api/iterator"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/oci"
)

const (
	pageSize = 1000   // the most of all lists
	maxPages = 10_000 // of one list
)

const (
	opRepositories = "list repositories"
	opRows         = "list tags"
)

// pages goes through a list of the API, a thousand a call.
func pages[T any](ctx context.Context, r *Registry, op, method, repo string,
	list func(*artifactregistry.Client, context.Context) iterator.Pageable) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		at := ""
		for range maxPages {
			var items []T
			next, err := call(ctx, r, op, method, repo, func(c *artifactregistry.Client) (string, error) {
				items = nil
				return iterator.NewPager(list(c, ctx), pageSize, at).NextPage(&items)
			})
			if err == nil && at != "" && next == at {
				err = r.fail(op, repo, providers.Invalid, oci.ErrEndless, oci.HintEndless)
			}
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if at = next; at == "" {
				return
			}
		}
		yield(none, r.fail(op, repo, providers.Invalid, oci.ErrEndless, oci.HintEndless))
	}
}

// Repositories lists the images of the repositories that prefix leaves open. It
// has to name the project; that of a host where it does not is Unsupported.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		switch at := r.host.place(prefix); {
		case r.plain(ctx):
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("the API knows no credential that we have, and the registry lists none"),
				"give the registry auth.gcp, or name the repositories in the rule"))
		case !strings.Contains(prefix, "/") || strings.HasSuffix(at.project, ":") || at.project != "" && !strings.HasPrefix(prefix, strings.Replace(at.project, ":", "/", 1)+"/"):
			yield("", r.fail(opRepositories, "", providers.Unsupported, errors.New("repositories can be listed within a project only"),
				"begin from.repositories.include with the project: acme/**"))
		case r.host.GCR != "" || strings.HasPrefix(prefix, r.host.path(place{at.project, at.repository, ""})) && at.repository != "":
			r.images(ctx, at, prefix, yield)
		default:
			r.projects(ctx, at, prefix, yield)
		}
	}
}

// projects yields the images of a project's repositories.
func (r *Registry) projects(ctx context.Context, at place, prefix string, yield func(string, error) bool) {
	parent := r.host.parent(at.project)
	list := func(c *artifactregistry.Client, ctx context.Context, filter string) iterator.Pageable {
		return c.ListRepositories(ctx, &pb.ListRepositoriesRequest{Parent: parent, Filter: filter})
	}
	filter := beginning(parent+"/repositories", at.repository)
	for repo, err := range filtered[*pb.Repository](ctx, r, "ListRepositories", at.project, filter, list) {
		if err != nil {
			yield("", err)
			return
		}
		one := place{project: at.project, repository: last(repo.GetName())}
		if repo.GetFormat() != pb.Repository_DOCKER || !strings.HasPrefix(one.repository, at.repository) {
			continue
		}
		if !r.images(ctx, one, prefix, yield) {
			return
		}
	}
}

// images yields those of one repository, and reports whether to go on.
func (r *Registry) images(ctx context.Context, at place, prefix string, yield func(string, error) bool) bool {
	list := func(c *artifactregistry.Client, ctx context.Context, filter string) iterator.Pageable {
		return c.ListPackages(ctx, &pb.ListPackagesRequest{Parent: r.host.resource(at), Filter: filter})
	}
	filter := ""
	if image, within := strings.CutPrefix(prefix, r.host.path(place{at.project, at.repository, ""})); within {
		filter = beginning(r.host.resource(at)+"/packages", image)
	}
	for pkg, err := range filtered[*pb.Package](ctx, r, "ListPackages", at.key(), filter, list) {
		if err != nil {
			yield("", err)
			return false
		}
		name := r.host.path(place{at.project, at.repository, last(pkg.GetName())})
		if strings.HasPrefix(name, prefix) && !yield(name, nil) {
			return false
		}
	}
	return true
}

// A tagList is tags/list with the manifests beside the tags, which is how gcr.io and
// Artifact Registry answer.
type tagList struct {
	Manifest map[string]struct {
		ImageSizeBytes string
		MediaType      string
		Tag            []string
		TimeUploadedMs string
	}
	Tags []string
}

// bigPackage is how many manifests a list may have before it is doubted that it is
// whole: nobody says how many there can be.
const bigPackage = 1000

// Rows lists every manifest of repo in one request, tagged or not. A long list is
// checked against the API's own, which takes a call for each thousand tags; one that
// lacks something, or the manifests, is read from there.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		list, err := r.tagsNow(ctx, repo)
		switch {
		case providers.KindOf(err) == providers.Invalid && !r.plain(ctx): // longer than what is read, or no list at all
			r.rows(ctx, repo, tagList{}, yield)
		case err != nil:
			yield(providers.Row{}, err)
		case list.Manifest == nil && len(list.Tags) > 0 && r.plain(ctx):
			for row, err := range r.Registry.Rows(ctx, repo) {
				if !yield(row, err) {
					return
				}
			}
		case list.whole() && (len(list.Manifest) < bigPackage || r.plain(ctx)):
			r.yieldRows(repo, list, yield)
		default:
			r.rows(ctx, repo, list, yield)
		}
	}
}

// tagsNow asks the registry, and once more where the repository turns out to be
// there, though the registry hides it: others, or we, may have made it meanwhile.
func (r *Registry) tagsNow(ctx context.Context, repo string) (tagList, error) {
	list, err := r.tags(ctx, repo)
	if err == nil {
		return list, nil
	}
	if err = r.apart(ctx, repo, err); providers.KindOf(err) != providers.Denied || !r.sighted(repo) {
		return list, err
	}
	if list, again := r.tags(ctx, repo); providers.KindOf(again) != providers.Denied {
		return list, again
	}
	return list, err
}

// tags asks the registry. A path without a manifest is no repository, though the
// registry answers for those on the way to one.
func (r *Registry) tags(ctx context.Context, repo string) (list tagList, err error) {
	for page, err := range r.Pages(ctx, oci.Query{Op: opRows, Count: providers.OpTags, Repo: repo,
		Path: "/v2/" + (&url.URL{Path: repo}).EscapedPath() + "/tags/list", Scopes: []string{"repository:" + repo + ":pull"}}) {
		var part tagList
		if err == nil {
			if json.Unmarshal(page, &part) != nil {
				err = r.fail(opRows, repo, providers.Invalid, errors.New("the host's answer is no list of tags"), "check that host is Artifact Registry")
			}
		}
		if err != nil {
			return tagList{}, err
		}
		if list.Manifest == nil {
			list.Manifest = part.Manifest
		}
		for digest, m := range part.Manifest {
			list.Manifest[digest] = m
		}
		list.Tags = append(list.Tags, part.Tags...)
	}
	if len(list.Manifest) == 0 && len(list.Tags) == 0 {
		return list, r.fail(opRows, repo, providers.NotFound, errors.New("there is no such image"), "check the repository's name")
	}
	return list, nil
}

// whole reports whether each tag has its manifest.
func (l tagList) whole() bool {
	n := 0
	for _, m := range l.Manifest {
		n += len(m.Tag)
	}
	return l.Manifest != nil && n == len(l.Tags)
}

func (r *Registry) yieldRows(repo string, list tagList, yield func(providers.Row, error) bool) {
	for digest, m := range list.Manifest {
		hash, err := v1.NewHash(digest)
		if err != nil {
			r.log.Warn("an image in a list cannot be read; it is left out", "host", r.Host(), "repo", repo, "err", err)
			continue
		}
		row := providers.Row{Digest: hash, Tags: m.Tag, MediaType: types.MediaType(m.MediaType)}
		row.Size, _ = strconv.ParseInt(m.ImageSizeBytes, 10, 64) // 0 where it is not told
		if ms, err := strconv.ParseInt(m.TimeUploadedMs, 10, 64); err == nil && ms > 0 {
			row.Pushed = time.UnixMilli(ms).UTC()
		}
		if !yield(row, nil) {
			return
		}
	}
}

// rows yields list if the API knows no other tag, else what the API knows.
func (r *Registry) rows(ctx context.Context, repo string, list tagList, yield func(providers.Row, error) bool) {
	tags, n, err := r.apiTags(ctx, repo)
	if err != nil {
		yield(providers.Row{}, err)
		return
	}
	if list.whole() && n == len(list.Tags) {
		r.yieldRows(repo, list, yield)
		return
	}
	r.log.Debug("the registry's list lacks tags or manifests; the API's is read", "host", r.Host(), "repo", repo, "tags", n, "listed", len(list.Tags))
	all := func(c *artifactregistry.Client, ctx context.Context) iterator.Pageable {
		return c.ListVersions(ctx, &pb.ListVersionsRequest{Parent: r.host.pkg(r.host.place(repo)), View: pb.VersionView_FULL})
	}
	for version, err := range pages[*pb.Version](ctx, r, opRows, "ListVersions", repo, all) {
		if err != nil {
			yield(providers.Row{}, err)
			return
		}
		hash, err := v1.NewHash(last(version.GetName()))
		if err != nil {
			r.log.Warn("an image in a list cannot be read; it is left out", "host", r.Host(), "repo", repo, "err", err)
			continue
		}
		about := version.GetMetadata().GetFields()
		row := providers.Row{Digest: hash, Tags: tags[hash], Pushed: version.GetCreateTime().AsTime(),
			MediaType: types.MediaType(about["mediaType"].GetStringValue())}
		row.Size, _ = strconv.ParseInt(about["imageSizeBytes"].GetStringValue(), 10, 64) // 0 where it is not told
		delete(tags, hash)
		if !yield(row, nil) {
			return
		}
	}
	for hash, names := range tags { // that were pushed meanwhile
		if !yield(providers.Row{Digest: hash, Tags: names}, nil) {
			return
		}
	}
}

// apiTags lists the tags by digest, and counts them.
func (r *Registry) apiTags(ctx context.Context, repo string) (tags map[v1.Hash][]string, n int, err error) {
	tags = map[v1.Hash][]string{}
	list := func(c *artifactregistry.Client, ctx context.Context) iterator.Pageable {
		return c.ListTags(ctx, &pb.ListTagsRequest{Parent: r.host.pkg(r.host.place(repo))})
	}
	for tag, err := range pages[*pb.Tag](ctx, r, opRows, "ListTags", repo, list) {
		if err != nil {
			return nil, 0, err
		}
		hash, err := v1.NewHash(last(tag.GetVersion()))
		if err != nil {
			return nil, 0, r.fail(opRows, repo, providers.Invalid, fmt.Errorf("tag %s: %w", last(tag.GetName()), err), "")
		}
		tags[hash] = append(tags[hash], last(tag.GetName()))
		n++
	}
	return tags, n, nil
}

// plain reports whether the API is not ours to use: the registry has a credential of
// its own, and Google's search finds nobody.
func (r *Registry) plain(ctx context.Context) bool {
	if !r.given || !r.opts.Identity.isZero() {
		return false
	}
	_, err := r.token(ctx, "")
	return providers.KindOf(err) == providers.Denied
}
