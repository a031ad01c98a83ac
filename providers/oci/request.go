package oci

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// A call is one request as its method means it: it can be sent several times.
type call struct {
	op        string // in the field's words
	repo, ref string // what it is about; ref is a tag, a digest or empty
	class     limit.Class
	method    string
	url       *url.URL
	header    http.Header
	scopes    scopes
	content   func() *section // a fresh body for each try, nil for none
	good      []int           // statuses that are an answer
	wait      time.Duration   // for the answer's header; 0 is Timeouts.Header
	unsigned  bool            // asks without Authorization, and takes a 401 as it is
	stay      bool            // follows no redirect
	long      bool            // the answer's body is a blob
	trace     string          // the op that observers see, where it is another
}

// counted is the operation as which c is observed and counted toward quotas.
func (c *call) counted() string { return cmp.Or(c.trace, c.op) }

// do carries c out and hands the answer to use, trying again within the retry
// budget whatever failed, use's reading of the body included.
func (r *Registry) do(ctx context.Context, c *call, use func(*http.Response) error) error {
	return r.retry(ctx, func() error { return r.once(ctx, c, use) })
}

// retry repeats try until it succeeds or one request's budget is spent.
func (r *Registry) retry(ctx context.Context, try func() error) error {
	t := r.tries()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if err = t.again(ctx, err); err != nil {
			return err
		}
	}
}

// once carries c out one time, in a slot of its class. It waits for a quota
// before it takes the slot, so that others go on meanwhile.
func (r *Registry) once(ctx context.Context, c *call, use func(*http.Response) error) error {
	if err := r.quota.Take(ctx, c.counted(), c.repo); err != nil {
		return err
	}
	slot, err := r.limit.Acquire(ctx, c.class)
	if err != nil {
		return err
	}
	defer slot.Release()
	resp, err := r.send(ctx, c)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return use(resp)
}

// send sends c once and returns its good answer, whose body the caller closes.
// A token that is refused is renewed once. The caller holds a slot.
func (r *Registry) send(ctx context.Context, c *call) (*http.Response, error) {
	if c.unsigned {
		return r.answered(ctx, c, "")
	}
	pass, err := r.sign.pass(ctx, c.scopes)
	if err != nil {
		return nil, r.unsignable(c, err)
	}
	resp, err := r.follow(ctx, c, pass.header)
	if err != nil {
		return nil, err
	}
	if !r.refusesPass(ctx, resp, pass) {
		r.sign.accepted(pass)
		return r.judge(c, resp)
	}
	again, ok, err := r.sign.renew(ctx, c.scopes, pass, resp.Header)
	if err != nil {
		resp.Body.Close()
		return nil, r.unsignable(c, err)
	}
	if ok {
		resp.Body.Close()
		if resp, err = r.follow(ctx, c, again.header); err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusUnauthorized {
			r.sign.accepted(again)
		}
	}
	return r.judge(c, resp)
}

// refusesPass reports whether the registry itself does not take the pass, as
// against what was asked with it. ECR says so of a token that is over by 403.
func (r *Registry) refusesPass(ctx context.Context, resp *http.Response, p pass) bool {
	if !r.isOwn(resp.Request.URL) || r.sign.bare && resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return true
	case http.StatusForbidden:
		if p.direct.held != nil && resp.Request.Method == http.MethodHead {
			return r.sign.over(ctx, p) // the answer cannot say why
		}
		return p.direct.held != nil && saysOver(peek(resp).message)
	}
	return false
}

// peek reads the start of an answer's body and puts it back.
func peek(resp *http.Response) answer {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(raw), resp.Body), resp.Body}
	return parseAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), raw)
}

func (r *Registry) answered(ctx context.Context, c *call, authorization string) (*http.Response, error) {
	resp, err := r.follow(ctx, c, authorization)
	if err != nil {
		return nil, err
	}
	return r.judge(c, resp)
}

// judge returns resp if its status is one that c hopes for, else its error.
func (r *Registry) judge(c *call, resp *http.Response) (*http.Response, error) {
	if slices.Contains(c.good, resp.StatusCode) {
		if err := r.portal(c, resp); err != nil {
			resp.Body.Close()
			return nil, err
		}
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, r.answerError(c, resp)
}

// maxRedirects is how many hosts may pass a read on.
const maxRedirects = 5

// follow sends c and goes where reads are redirected to. The Authorization header
// goes to the registry's own origin only.
func (r *Registry) follow(ctx context.Context, c *call, authorization string) (*http.Response, error) {
	u, op := c.url, c.counted()
	for hop := 0; ; hop++ {
		auth := ""
		if r.isOwn(u) {
			auth = authorization
			if err := r.takeHop(ctx, c, hop); err != nil {
				return nil, err
			}
		}
		resp, err := r.roundTrip(ctx, c, op, u, auth)
		if err != nil {
			return nil, err
		}
		location := resp.Header.Get("Location")
		if c.stay || !redirects(c.method, resp.StatusCode) || location == "" || hop == maxRedirects {
			return resp, nil
		}
		resp.Body.Close()
		if u, err = r.lead(c, u, location); err != nil {
			return nil, err
		}
		op = providers.OpRedirect
	}
}

// takeHop counts a redirect that stays at the host as the request that it is.
func (r *Registry) takeHop(ctx context.Context, c *call, hop int) error {
	if hop == 0 {
		return nil
	}
	return r.quota.Take(ctx, providers.OpRedirect, c.repo)
}

func redirects(method string, status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return method == http.MethodGet || method == http.MethodHead
	}
	return false
}

// lead resolves a Location against the address that sent it, if it may be followed.
func (r *Registry) lead(c *call, from *url.URL, location string) (*url.URL, error) {
	u, err := from.Parse(location)
	if err != nil {
		return nil, r.fail(c, providers.Invalid, errBadLocation, hintHost)
	}
	u.Fragment = ""
	if err := r.guard.follow(u); err != nil {
		return nil, r.fail(c, providers.Invalid, &final{err}, hintTrust)
	}
	return u, nil
}

func (r *Registry) isOwn(u *url.URL) bool { return sameOrigin(r.root, u) }

// roundTrip sends one HTTP request and returns whatever is answered. The
// answer's body reports failures as provider errors, stops when nothing moves,
// and keeps the connection when it is closed near its end.
func (r *Registry) roundTrip(ctx context.Context, c *call, op string, u *url.URL, authorization string) (*http.Response, error) {
	ticket, err := r.limit.Begin(ctx)
	if err != nil {
		return nil, err
	}
	x := newExchange(ctx, r, c, op)
	req := x.request(u, authorization)
	transport := r.other
	if r.isOwn(u) {
		transport = r.own
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, x.failed(err)
	}
	if r.opts.Answered != nil && r.isOwn(u) {
		r.opts.Answered(op, resp.Header)
	}
	Weigh(ticket, resp.StatusCode, resp.Header)
	resp.Request = req
	resp.Body = x.open(resp)
	return resp, nil
}

// readAll reads a body of at most limit bytes.
func readAll(body io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = errTooLong
	}
	return b, err
}
