package oci

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// A Query is a question to the registry's own host that the distribution-spec has
// no words for, such as ACR's metadata API.
type Query struct {
	Op     string     // what is asked, in the field's words: "list tags"
	Count  string     // as which operation it is counted; see [providers.RateQuota]
	Repo   string     // what it is about, "" for the host
	Path   string     // from the root, escaped: "/acr/v1/team%2Fapp/_tags"
	Values url.Values // the query
	Scopes []string   // what a token has to allow: "repository:team/app:metadata_read"
}

// Pages asks q and goes on by Link, to the same host only; it yields each page's
// JSON, at most 32 MiB. It is signed, limited, retried and counted as every
// request is, and stops after the first error.
func (r *Registry) Pages(ctx context.Context, q Query) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		u, err := r.root.Parse(q.Path)
		c := &call{op: q.Op, repo: q.Repo, class: limit.Read, method: http.MethodGet, url: u, trace: q.Count,
			scopes: parseScopeList(q.Scopes), header: http.Header{"Accept": {"application/json"}}, good: []int{http.StatusOK}}
		if err != nil || !r.isOwn(u) {
			yield(nil, r.fail(c, providers.Invalid, errors.New("its path is none"), ""))
			return
		}
		u.RawQuery = q.Values.Encode()
		for range maxPages {
			page, next, err := r.page(ctx, c)
			if !yield(page, err) || err != nil || next == "" {
				return
			}
			if c.url, err = r.turnPage(c, next); err != nil {
				yield(nil, err)
				return
			}
		}
		yield(nil, r.fail(c, providers.Invalid, ErrEndless, HintEndless))
	}
}

func (r *Registry) page(ctx context.Context, c *call) (page json.RawMessage, next string, err error) {
	err = r.do(ctx, c, func(resp *http.Response) error {
		if err := r.webPage(c, resp); err != nil {
			return err
		}
		raw, err := readAll(resp.Body, maxPage)
		if err != nil {
			return r.bodyError(c, err)
		}
		if !json.Valid(raw) {
			return r.fail(c, providers.Invalid, errors.New("the host's answer is no JSON"), hintHost)
		}
		page, next = raw, nextLink(resp.Header)
		return nil
	})
	return page, next, err
}

// turnPage resolves a Link. One that leads nowhere new is the end of sense.
func (r *Registry) turnPage(c *call, link string) (*url.URL, error) {
	u, err := c.url.Parse(link)
	switch {
	case err != nil || !r.isOwn(u):
		return nil, r.fail(c, providers.Invalid, errors.New("the next page is on another host"), "")
	case *u == *c.url:
		return nil, r.fail(c, providers.Invalid, errors.New("the next page is the same again"), "")
	}
	return u, nil
}

// Expect tells which repositories will be asked for, so that as many of them
// share a token as Options.TokenRepositories says. It may be called again with
// others, and costs nothing where tokens are not shared.
func (r *Registry) Expect(repos ...string) { r.sign.tokens.lots.expect(repos) }
