package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

const (
	maxPage  = 32 << 20 // bytes of one page: some hosts ignore n and send all
	maxPages = 10_000   // of one list
	maxNames = 2_000_000
)

// Repositories lists the catalog (the Docker registry API's; the
// distribution-spec has none). Names that cannot be names are logged and left out.
func (r *Registry) Repositories(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		c := &call{op: "list repositories", class: limit.Read, scopes: catalog(), trace: "catalog"}
		for name, err := range r.names(ctx, c, "_catalog", "repositories", validRepo) {
			if err != nil {
				yield("", noCatalog(err))
				return
			}
			if strings.HasPrefix(name, prefix) && !yield(name, nil) {
				return
			}
		}
	}
}

// noCatalog turns "there is no such page" into Unsupported.
func noCatalog(err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return err
	}
	is := *e
	switch {
	case e.Kind == providers.NotFound || e.Kind == providers.Unsupported:
		is.Kind = providers.Unsupported
		is.Hint = "the host has no catalog: name the repositories in the rule, in from.repositories.include"
	case e.Kind == providers.Denied && e.Status == http.StatusUnauthorized:
		is.Hint = "check the credentials of this registry; if they are right, they may not list: name the repositories in the rule"
	case e.Kind == providers.Denied && e.Status == http.StatusForbidden:
		is.Hint = "listing repositories needs a permission of its own: grant it, or name the repositories in the rule"
	default:
		return err
	}
	return &is
}

// Rows lists the tags of repo (distribution-spec v1.1, "Listing Tags"): names only.
func (r *Registry) Rows(ctx context.Context, repo string) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		c := &call{op: "list tags", repo: repo, class: limit.Read, scopes: pull(repo), trace: "tags"}
		if err := r.check(c.op, repo, ""); err != nil {
			yield(providers.Row{}, err)
			return
		}
		for tag, err := range r.names(ctx, c, repo+"/tags/list", "tags", tagName.MatchString) {
			if err != nil {
				yield(providers.Row{}, err)
				return
			}
			if !yield(providers.Row{Tags: []string{tag}}, nil) {
				return
			}
		}
	}
}

// Changed is Unsupported: the distribution-spec has no words for times.
func (r *Registry) Changed(_ context.Context, repo string, _ providers.Changing, _ time.Time) iter.Seq2[providers.Row, error] {
	return func(yield func(providers.Row, error) bool) {
		c := &call{op: "list changes", repo: repo}
		yield(providers.Row{}, r.fail(c, providers.Unsupported, errors.New("the host does not tell when a tag was moved"), ""))
	}
}

// names pages through a list of names, each page a JSON object whose field holds
// them. It stops after the first error.
func (r *Registry) names(ctx context.Context, c *call, path, field string, valid func(string) bool) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		p := &pager{r: r, c: c, path: path, field: field, n: r.opts.PageSize}
		for p.more() {
			page, err := p.next(ctx)
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range page {
				if r.listed(c.repo, name, valid) && !yield(name, nil) {
					return
				}
			}
		}
	}
}

// A pager goes from page to page: by Link where the host sends one, else by
// asking for what comes after the last name of a page that looks full. It stops
// at hosts that send the same page again.
type pager struct {
	r            *Registry
	c            *call
	path, field  string
	n            int // page size to ask for, 0 for none
	url          *url.URL
	pages, names int
	seen         map[string]bool // addresses that a Link led to
	last         []string        // the page before
	probe        bool            // this page is asked for on suspicion only
	done         bool
}

func (p *pager) more() bool { return !p.done }

func (p *pager) next(ctx context.Context) ([]string, error) {
	if p.url == nil {
		p.url = p.r.url(p.path, p.query(""))
	}
	if p.pages++; p.pages > maxPages || p.names > maxNames {
		return nil, p.r.fail(p.c, providers.Invalid,
			fmt.Errorf("the list has no end after %d pages with %d names", p.pages-1, p.names), hintHost)
	}
	names, link, err := p.fetch(ctx)
	if err != nil && p.n > 0 && p.pages == 1 && refusesPaging(err) {
		p.n, p.url = 0, p.r.url(p.path, nil)
		names, link, err = p.fetch(ctx)
	}
	if err != nil {
		return nil, err
	}
	p.names += len(names)
	repeated := p.pages > 1 && slices.Equal(names, p.last)
	if p.probe && (repeated || len(names) == 0) {
		p.r.whole.Store(true)
	}
	p.last, p.probe = names, false
	if repeated {
		p.done = true
		return nil, nil
	}
	return names, p.turn(names, link)
}

// turn finds the page that follows one with these names.
func (p *pager) turn(names []string, link string) error {
	switch {
	case link != "":
		p.r.linked.Store(true)
		u, err := p.url.Parse(link)
		if err != nil || !p.r.isOwn(u) {
			return p.r.fail(p.c, providers.Invalid, errors.New("the next page is on another host"), "")
		}
		if p.done = *u == *p.url; p.done {
			return nil
		}
		if p.seen[u.String()] {
			return p.r.fail(p.c, providers.Invalid, errors.New("the pages of the list lead in a circle"), hintHost)
		}
		if p.seen == nil {
			p.seen = map[string]bool{}
		}
		p.seen[u.String()] = true
		p.url = u
	case p.looksFull(len(names)):
		p.probe = len(names) < p.n
		p.url = p.r.url(p.path, p.query(names[len(names)-1]))
	default:
		p.done = true
	}
	return nil
}

// looksFull reports whether a page without a Link may have a successor: it has
// as many names as were asked for, or a round number, as hosts send whose own
// limit is smaller. A host that was once suspected wrongly is believed from then on.
func (p *pager) looksFull(n int) bool {
	if n == 0 || p.n == 0 || n > p.n || p.r.linked.Load() {
		return false
	}
	return n == p.n || n%50 == 0 && !p.r.whole.Load()
}

func (p *pager) query(last string) url.Values {
	q := url.Values{}
	if p.n > 0 {
		q.Set("n", strconv.Itoa(p.n))
	}
	if last != "" {
		q.Set("last", last)
	}
	return q
}

// refusesPaging recognizes hosts that do not like n.
func refusesPaging(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	return ok && (e.Status == http.StatusBadRequest || e.Status == http.StatusRequestedRangeNotSatisfiable ||
		e.Code == "PAGINATION_NUMBER_INVALID" || e.Code == "UNSUPPORTED")
}

func (p *pager) fetch(ctx context.Context) (names []string, link string, err error) {
	c := *p.c
	c.method, c.url, c.good = http.MethodGet, p.url, []int{http.StatusOK}
	c.header = http.Header{"Accept": {"application/json"}}
	err = p.r.do(ctx, &c, func(resp *http.Response) error {
		if err := p.r.webPage(&c, resp); err != nil {
			return err
		}
		raw, err := readAll(resp.Body, maxPage)
		if err != nil {
			return p.r.bodyError(&c, err)
		}
		var page map[string]json.RawMessage
		names = nil
		if json.Unmarshal(raw, &page) != nil || json.Unmarshal(page[p.field], &names) != nil {
			return p.r.fail(&c, providers.Invalid, fmt.Errorf("the host's answer is no list of %s", p.field), hintHost)
		}
		link = nextLink(resp.Header)
		return nil
	})
	return names, link, err
}
