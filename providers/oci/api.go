package oci

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// APIOptions say where a registry's maker answers what the distribution-spec has
// no words for, and who asks.
type APIOptions struct {
	// Host is host[:port]. The registry's own shares its limits, its quotas and its
	// connections; another one has limits of its own, and is never shown the
	// registry's client certificate.
	Host      string
	PlainHTTP bool // as in Options; at the registry's own host it is the registry's

	// SignIn is as in Options; nil asks as nobody. Its RegistryToken goes as Bearer,
	// its Username and Password go as Basic, to this host alone.
	SignIn SignIn

	Header  http.Header // sent with every request
	Explain func(Refusal) (kind providers.Kind, hint string, ok bool)
	Quotas  []providers.RateQuota // of another host, for Question.Count; its own keeps the registry's
}

// An API is the JSON interface that a host has beside the distribution protocol:
// Docker Hub's, GitHub's, Harbor's. What is asked through it is signed, limited,
// retried, counted and bounded as the registry's own requests are, and fails with
// a providers.Error. It is safe for concurrent use.
type API struct {
	r      *Registry
	header http.Header
}

// API returns the API at o.Host, with r's ways of reaching a host: proxy,
// certificates, retries, log, figures. It connects to nobody yet. Whoever opens it
// closes it, before r.
func (r *Registry) API(o APIOptions) (*API, error) {
	opts := r.opts
	opts.Host, opts.SignIn, opts.Explain = o.Host, o.SignIn, o.Explain
	opts.Authenticator, opts.Keychain, opts.TokenRepositories = authn.Anonymous, nil, 0
	opts.TokenRealm, opts.AlsoAsk, opts.Stated = "", nil, nil
	opts.ExplainRedirect, opts.Answered, opts.Limiter, opts.Counts = nil, nil, nil, nil
	own := o.Host == r.opts.Host
	if !own {
		opts.PlainHTTP, opts.TLS.CertFile, opts.TLS.KeyFile = o.PlainHTTP, "", ""
		opts.Caps.Quotas, opts.Quotas = o.Quotas, nil
	}
	at, err := New(opts)
	if err != nil {
		return nil, err
	}
	if own {
		at.limit, at.quota, at.own, at.other, at.guard = r.limit, r.quota, r.own, r.other, r.guard
	}
	at.sign.bare = true
	return &API{r: at, header: o.Header}, nil
}

// Close waits for sign-ins that nobody waits for, and closes idle connections.
func (a *API) Close() error { return a.r.Close() }

// A Question is one request to an API. Asking twice has to do no harm: what fails
// on the way is sent again.
type Question struct {
	Op     string     // what is asked, in the field's words: "list tags"
	Count  string     // as which operation it is counted; see [providers.RateQuota]
	Repo   string     // what it is about, "" for the host
	Method string     // "" is GET
	Path   string     // from the root, escaped
	Values url.Values // the query
	Body   any        // sent as JSON, nil for none
	Open   bool       // sent without a credential: the sign-in itself
	Good   []int      // statuses that are an answer; none is 200 alone
}

// An Answer is what came with the JSON.
type Answer struct {
	Status int
	Header http.Header
}

// Ask sends q and reads the answer's JSON, at most 32 MiB, into into; nil leaves
// the body unread. An answer without a body leaves into as it is.
func (a *API) Ask(ctx context.Context, q Question, into any) (Answer, error) {
	c, err := a.call(q)
	if err != nil {
		return Answer{}, err
	}
	return a.ask(ctx, c, into)
}

func (a *API) ask(ctx context.Context, c *call, into any) (got Answer, err error) {
	err = a.r.do(ctx, c, func(resp *http.Response) error {
		got = Answer{Status: resp.StatusCode, Header: resp.Header}
		if into == nil {
			return nil
		}
		return a.decode(c, resp, into)
	})
	return got, err
}

func (a *API) decode(c *call, resp *http.Response, into any) error {
	if err := a.r.webPage(c, resp); err != nil {
		return err
	}
	raw, err := readAll(resp.Body, maxPage)
	switch {
	case err != nil:
		return a.r.bodyError(c, err)
	case len(raw) == 0:
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return a.r.fail(c, providers.Invalid, errors.New("the host's answer is not the JSON that was asked for"), hintHost)
	}
	return nil
}

// Pages asks q and goes on by Link, to the same host only; it yields each page's
// JSON and stops after the first error.
func (a *API) Pages(ctx context.Context, q Question) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		c, err := a.call(q)
		if err != nil {
			yield(nil, err)
			return
		}
		for range maxPages {
			var page json.RawMessage
			got, err := a.ask(ctx, c, &page)
			next := nextLink(got.Header)
			if !yield(page, err) || err != nil || next == "" {
				return
			}
			if c.url, err = a.r.turnPage(c, next); err != nil {
				yield(nil, err)
				return
			}
		}
		yield(nil, a.r.fail(c, providers.Invalid, ErrEndless, HintEndless))
	}
}

// Next is the question for the page at link, an address that the host gave in q's
// answer; it is Invalid where it leads to another host, or to the same page again.
func (a *API) Next(q Question, link string) (Question, error) {
	c, err := a.call(q)
	if err != nil {
		return q, err
	}
	u, err := a.r.turnPage(c, link)
	if err != nil {
		return q, err
	}
	q.Path, q.Values = u.EscapedPath(), u.Query()
	return q, nil
}

func (a *API) call(q Question) (*call, error) {
	c := &call{op: q.Op, repo: q.Repo, class: limit.Read, method: cmp.Or(q.Method, http.MethodGet), trace: q.Count,
		header: http.Header{"Accept": {"application/json"}}, unsigned: q.Open, good: q.Good, stay: true}
	for name, values := range a.header {
		c.header[name] = values
	}
	if c.method != http.MethodGet && c.method != http.MethodHead {
		c.class = limit.Write
	}
	if len(c.good) == 0 {
		c.good = []int{http.StatusOK}
	}
	u, err := a.r.root.Parse(q.Path)
	if err != nil || !a.r.isOwn(u) {
		return nil, a.r.fail(c, providers.Invalid, errors.New("its path is none"), "")
	}
	if len(q.Values) > 0 {
		u.RawQuery = q.Values.Encode()
	}
	c.url = u
	return c, a.content(c, q.Body)
}

func (a *API) content(c *call, body any) error {
	if body == nil {
		return nil
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return a.r.fail(c, providers.Invalid, fmt.Errorf("what is sent is no JSON: %w", err), "")
	}
	c.header.Set("Content-Type", "application/json")
	c.content = func() *section { return newSection(bytes.NewReader(raw), 0, int64(len(raw))) }
	return nil
}
