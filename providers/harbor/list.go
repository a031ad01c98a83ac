package harbor

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

const (
	opRepositories = "list repositories"
	opRows         = "list tags"

	pageSize = 100    // the most that the API gives
	maxPages = 20_000 // of one list: two million names
)

// pages goes through a list of the API by the numbers of its pages: as far as it
// says that there are more, and where it does not, to the first that is not full.
func pages[T any](ctx context.Context, r *Registry, q oci.Question) iter.Seq2[[]T, error] {
	q.Values.Set("page_size", strconv.Itoa(pageSize))
	return func(yield func([]T, error) bool) {
		for n, got := 1, 0; n <= maxPages; n++ {
			var page []T
			q.Values.Set("page", strconv.Itoa(n))
			answer, err := r.api.Ask(ctx, q, &page)
			if !yield(page, err) || err != nil {
				return
			}
			got += len(page)
			total, err := strconv.Atoi(answer.Header.Get("X-Total-Count"))
			if len(page) == 0 || err == nil && got >= total || err != nil && len(page) < pageSize {
				return
			}
		}
		yield(nil, r.fail(q.Op, q.Repo, providers.Invalid, oci.ErrEndless, oci.HintEndless))
	}
}

// Repositories lists those of the project that prefix names, else of all projects
// that the account sees.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		q := oci.Question{Op: opRepositories, Count: providers.OpCatalog, Path: "/api/v2.0/repositories", Values: url.Values{}}
		project, _, named := strings.Cut(prefix, "/")
		if named {
			q.Path = "/api/v2.0/projects/" + url.PathEscape(project) + "/repositories"
		}
		for page, err := range pages[struct{ Name string }](ctx, r, q) {
			if err != nil {
				yield("", r.cannotList(err))
				return
			}
			for _, one := range page {
				if strings.HasPrefix(one.Name, prefix) && r.Listed(one.Name) && !yield(one.Name, nil) {
					return
				}
			}
		}
	}
}

// cannotList says what to do about a list that is refused.
func (r *Registry) cannotList(err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Denied {
		return err
	}
	is := *e
	is.Hint = "the project may not be there, or the account may not list it: give it list repository there, begin from.repositories.include with a project (acme/**), or name the repositories in the rule"
	return &is
}

// An artifact is a manifest as the API lists it: what has a tag, or no index above
// it, and refers to nothing. What refers to it is among its accessories.
type artifact struct {
	Digest       string
	MediaType    types.MediaType `json:"manifest_media_type"`
	ArtifactType string          `json:"artifact_type"`
	Size         int64
	Pushed       time.Time `json:"push_time"`
	Tags         []struct {
		Name   string
		Pushed time.Time `json:"push_time"`
	}
	Accessories []accessory
}

type accessory struct{ Digest, Type string }

// Rows lists repo's artifacts with their tags and times, a hundred a call, and what
// refers to them. Where the API may not be asked it is the names of the tags.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		project, name, _ := strings.Cut(repo, "/")
		if name == "" || r.isPlain(project) {
			r.names(ctx, repo, yield)
			return
		}
		l := &listing{r: r, repo: repo, yield: yield, seen: map[string]bool{}, accessories: map[string][]accessory{}}
		q := oci.Question{Op: opRows, Count: providers.OpTags, Repo: repo,
			Path:   "/api/v2.0/projects/" + url.PathEscape(project) + "/repositories/" + url.PathEscape(url.PathEscape(name)) + "/artifacts",
			Values: url.Values{"with_tag": {"true"}, "with_accessory": {"true"}}}
		for page, err := range pages[artifact](ctx, r, q) {
			switch {
			case err != nil && refuses(err):
				r.names(ctx, repo, yield)
				return
			case err != nil:
				yield(providers.Row{}, err)
				return
			case !l.page(page):
				return
			}
		}
		l.rest(ctx)
	}
}

// names lists the tags as the registry does, and remembers that the API tells nothing
// of a project whose repositories are there.
func (r *Registry) names(ctx context.Context, repo string, yield func(providers.Row, error) bool) {
	for row, err := range r.Registry.Rows(ctx, repo) {
		if err == nil {
			r.toldNothing(repo)
		}
		if !yield(row, err) {
			return
		}
	}
}

// refuses reports whether the API tells us nothing, which the registry may do: it is
// not for us, or not there at all.
func refuses(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return false
	}
	switch e.Kind {
	case providers.Denied, providers.Unsupported, providers.Invalid:
		return true
	case providers.NotFound:
		return e.Code != "NOT_FOUND" // which is of the repository
	}
	return false
}

// plainFor is how long it is believed of projects that the API does not tell us of
// them: the account may be given what it lacks while we run.
const plainFor = time.Hour

func (r *Registry) isPlain(project string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.doubt.IsZero() && time.Now().After(r.doubt) {
		clear(r.plain)
		r.doubt = time.Time{}
	}
	return r.plain[project]
}

// toldNothing says once that the API is of no use for a project.
func (r *Registry) toldNothing(repo string) {
	project := projectOf(repo)
	r.mu.Lock()
	was := r.said
	if r.plain[project], r.said = true, true; r.doubt.IsZero() {
		r.doubt = time.Now().Add(plainFor)
	}
	r.mu.Unlock()
	if !was {
		r.log.Warn("the API does not tell the account of a project: tags are listed without digests, and a HEAD is sent for each",
			"host", r.Host(), "project", project, "hint", "give the account list artifact on the project")
	}
}

// A listing is one walk through a repository.
type listing struct {
	r           *Registry
	repo        string
	yield       func(providers.Row, error) bool
	seen        map[string]bool // digests and tags, which come twice if somebody pushes meanwhile
	accessories map[string][]accessory
}

// page yields the rows of some artifacts, and reports whether to go on.
func (l *listing) page(list []artifact) bool {
	for _, a := range list {
		digest, err := v1.NewHash(a.Digest)
		if err != nil {
			l.r.log.Warn("an artifact in a list cannot be read; it is left out", "host", l.r.Host(), "repo", l.repo, "err", err)
			continue
		}
		if l.seen[a.Digest] {
			continue
		}
		l.seen[a.Digest] = true
		if len(a.Accessories) > 0 {
			l.accessories[a.Digest] = a.Accessories
		}
		row := providers.Row{Digest: digest, MediaType: a.MediaType, ArtifactType: a.ArtifactType, Size: a.Size, Pushed: a.Pushed}
		if len(a.Tags) == 0 && !l.yield(row, nil) {
			return false
		}
		for _, t := range a.Tags {
			l.seen[t.Name] = true
			row.Tags, row.Tagged = []string{t.Name}, t.Pushed
			if !l.yield(row, nil) {
				return false
			}
		}
	}
	return true
}

// rest yields what the list of artifacts hides: accessories, and the tags that name
// one, such as cosign's. The registry lists those, once, and only where there are
// accessories.
func (l *listing) rest(ctx context.Context) {
	if len(l.accessories) == 0 {
		return
	}
	bound := map[string]bool{} // accessories that their tag has told of
	for row, err := range l.r.Registry.Rows(ctx, l.repo) {
		if err != nil {
			l.yield(row, err)
			return
		}
		if tag := row.Tags[0]; !l.seen[tag] {
			row.Digest = l.signature(tag)
			bound[row.Digest.String()] = true
			if !l.yield(row, nil) {
				return
			}
		}
	}
	for subject, list := range l.accessories {
		of, _ := v1.NewHash(subject) // it was one when it was listed
		for _, a := range list {
			digest, err := v1.NewHash(a.Digest)
			if err != nil || bound[a.Digest] {
				continue
			}
			row := providers.Row{Digest: digest, Subject: of}
			if a.unnamed() {
				row = providers.Row{Digest: digest, ArtifactType: a.Type}
			}
			if !l.yield(row, nil) {
				return
			}
		}
	}
}

// unnamed reports whether an accessory may be one to Harbor only: its manifest need
// not name a subject, and has to be read for that. A cosign signature is, once its
// tag has moved to the next, and so is an image that Nydus has made.
func (a accessory) unnamed() bool {
	return a.Type == "signature.cosign" || a.Type == "accelerator.nydus"
}

// signature is the digest under a tag of cosign's, if its subject has one signature
// only; which of several it is, only the tag itself tells.
func (l *listing) signature(tag string) (digest v1.Hash) {
	subject, suffix, ok := providers.ReferrerTag(tag)
	if !ok || suffix != ".sig" {
		return v1.Hash{}
	}
	for _, a := range l.accessories[subject.String()] {
		if a.Type != "signature.cosign" {
			continue
		}
		if digest.Hex != "" {
			return v1.Hash{}
		}
		digest, _ = v1.NewHash(a.Digest) // zero is not known
	}
	return digest
}
