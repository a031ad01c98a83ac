package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// Mount asks for the blob from another repository of the host. A refusal is no
// error, unless it is certain that repo itself may not be written.
func (r *Registry) Mount(ctx context.Context, repo, from string, blob v1.Hash) (mounted bool, s *providers.Session, err error) {
	c := r.startCall(opMount, repo, blob)
	if err := errors.Join(r.check(c.op, repo, c.ref), r.check(c.op, from, "")); err != nil {
		return false, nil, err
	}
	r.sign.tokens.mountsFrom(from)
	c.url.RawQuery = url.Values{"mount": {blob.String()}, "from": {from}}.Encode()
	c.scopes = push(repo).with(pull(from))
	c.good = []int{http.StatusCreated, http.StatusAccepted}
	err = r.do(ctx, c, func(resp *http.Response) (err error) {
		if mounted = resp.StatusCode == http.StatusCreated; !mounted {
			s, err = r.session(c, resp)
		}
		return err
	})
	if err != nil && r.mountRefused(err, repo, from) {
		return false, nil, nil
	}
	return mounted, s, err
}

// mountRefused tells "not from there" from "not to here": the second is an error
// when the answer names repo and not from.
func (r *Registry) mountRefused(err error, repo, from string) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Status < 400 || e.Status >= 500 {
		return false
	}
	switch e.Kind {
	case providers.Throttled, providers.Quota, providers.Unavailable:
		return false
	}
	text := e.Err.Error()
	named := func(name string) bool {
		return strings.Contains(text, "'"+name+"'") || strings.Contains(text, `"`+name+`"`) || strings.HasSuffix(text, " "+name)
	}
	return !named(repo) || named(from)
}

// Put uploads desc: POST, and one PUT with all of it; where the host is known to
// take pieces, a large blob goes in PATCHes that a break does not undo
// (distribution-spec v1.1, "Pushing blobs"). An error of body is returned
// wrapped and is no provider error. A ReadAt that has begun when Put returns may
// still be running; none follows it.
func (r *Registry) Put(ctx context.Context, repo string, desc v1.Descriptor, body io.ReaderAt, opts providers.UploadOptions) (*providers.Session, error) {
	u := &upload{r: r, repo: repo, desc: desc, body: body, keep: opts.Keep, tries: r.tries()}
	if opts.From != nil {
		s := *opts.From
		u.session = &s
	}
	if err := r.check(opUpload, repo, desc.Digest.String()); err != nil {
		return nil, err
	}
	if desc.Size < 0 {
		return nil, r.fail(u.call(http.MethodPut), providers.Invalid, errors.New("its size is not known"), "")
	}
	if r.opts.Caps.Chunks == providers.Yes && desc.Size > r.opts.ChunkFrom {
		return u.inPieces(ctx)
	}
	return nil, u.whole(ctx)
}

// startCall begins an upload (or asks for a mount).
func (r *Registry) startCall(op, repo string, blob v1.Hash) *call {
	return &call{op: op, repo: repo, ref: blob.String(), class: limit.Write, method: http.MethodPost,
		url: r.url(repo+"/blobs/uploads/", nil), scopes: push(repo), good: []int{http.StatusAccepted}, trace: "post upload"}
}

// session reads where an upload goes on.
func (r *Registry) session(c *call, resp *http.Response) (*providers.Session, error) {
	u, err := r.location(c, resp)
	if err != nil {
		return nil, err
	}
	return &providers.Session{Location: u.String(), Started: time.Now(), New: true}, nil
}

// location resolves the answer's Location, which may be on another host, where
// no credential goes.
func (r *Registry) location(c *call, resp *http.Response) (*url.URL, error) {
	location := resp.Header.Get("Location")
	if location == "" {
		return nil, r.fail(c, providers.Invalid, errors.New("the host opened an upload without saying where"), hintHost)
	}
	return r.lead(c, resp.Request.URL, location)
}

// An upload is one blob on its way to one repository.
type upload struct {
	r       *Registry
	repo    string
	desc    v1.Descriptor
	body    io.ReaderAt
	session *providers.Session
	keep    func(providers.Session) // may be nil
	minimum int64                   // bytes that a piece must have, as the host says
	piece   int64                   // bytes of the next piece
	broken  int64                   // bytes of the last one that failed
	own     bool                    // the session was opened here
	high    int64                   // the most bytes that were handed to the host in it
	anew    bool                    // a lost session was replaced once
	mended  bool                    // it went on after a break
	tries   *tries
}

func (u *upload) call(method string) *call {
	return &call{op: opUpload, repo: u.repo, ref: u.desc.Digest.String(), class: limit.Write,
		method: method, scopes: push(u.repo), trace: strings.ToLower(method) + " upload"}
}

// whole uploads in one request. A break starts again from the first byte: the
// hosts that take no pieces throw away what they have.
func (u *upload) whole(ctx context.Context) error {
	if u.session != nil && !u.session.New {
		u.session = nil // bytes may be in it, and the body starts with the first
	}
	for {
		err := u.wholeOnce(ctx)
		if err == nil {
			return nil
		}
		u.session = nil
		if !u.lost(err) {
			if err = u.tries.again(ctx, err); err != nil {
				return err
			}
		}
	}
}

func (u *upload) wholeOnce(ctx context.Context) error {
	if u.session == nil {
		if err := u.start(ctx); err != nil {
			return err
		}
	}
	return u.commit(ctx, 0)
}

func (u *upload) start(ctx context.Context) error {
	c := u.r.startCall(opUpload, u.repo, u.desc.Digest)
	u.own, u.high = true, 0
	return u.r.do(ctx, c, func(resp *http.Response) (err error) {
		u.session, err = u.r.session(c, resp)
		u.minimum = minimumChunk(resp.Header)
		return err
	})
}

// lost reports, once, that the host knows nothing of the session any more.
func (u *upload) lost(err error) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || u.anew || e.Code == "NAME_UNKNOWN" {
		return false
	}
	if e.Status == http.StatusNotFound || e.Status == http.StatusRequestedRangeNotSatisfiable ||
		e.Status == http.StatusGone || e.Code == "BLOB_UPLOAD_UNKNOWN" || e.Code == "BLOB_UPLOAD_INVALID" {
		u.anew = true
		return true
	}
	return false
}

// commit sends the bytes from offset on and closes the upload with the digest.
func (u *upload) commit(ctx context.Context, offset int64) error {
	c := u.call(http.MethodPut)
	at, err := u.at(c)
	if err != nil {
		return err
	}
	c.url = withDigest(at, u.desc.Digest)
	c.good = []int{http.StatusCreated, http.StatusOK, http.StatusNoContent}
	c.wait = u.r.opts.Timeouts.commit(u.desc.Size)
	c.header = http.Header{"Content-Type": {"application/octet-stream"}}
	var sent *section
	c.content = func() *section {
		sent = newSection(u.body, offset, u.desc.Size)
		return sent
	}
	err = u.r.once(ctx, c, func(resp *http.Response) error { return u.stored(c, resp) })
	return u.outcome(ctx, c, sent, err)
}

// outcome tells a broken source from a broken host, and finds blobs that were
// taken although the answer was lost.
func (u *upload) outcome(ctx context.Context, c *call, sent *section, err error) error {
	if err == nil || sent == nil {
		return err
	}
	if broken := sent.failure(); broken != nil {
		return fmt.Errorf("%s %s: read its bytes: %w", c.op, u.r.where(c.repo, c.ref), broken)
	}
	if providers.KindOf(err).Retryable() && sent.all() && context.Cause(ctx) == nil {
		if e, ok := errors.AsType[*providers.Error](err); ok && e.Status == 0 {
			if size, missing := u.r.Stat(ctx, u.repo, u.desc.Digest); missing == nil && size == u.desc.Size {
				return nil
			}
		}
	}
	return err
}

func (u *upload) stored(c *call, resp *http.Response) error {
	said := resp.Header.Get("Docker-Content-Digest")
	if d, err := v1.NewHash(said); err == nil && d.Algorithm == u.desc.Digest.Algorithm && d != u.desc.Digest {
		return u.r.fail(c, providers.Invalid, fmt.Errorf("the host stored it as %s", d), "")
	}
	return nil
}

// at is where the session goes on; it may come from an old run's state.
func (u *upload) at(c *call) (*url.URL, error) {
	at, err := url.Parse(u.session.Location)
	if err != nil || at.Host == "" {
		return nil, u.r.fail(c, providers.Invalid, errBadLocation, hintHost)
	}
	return u.r.lead(c, u.r.root, u.session.Location)
}

// withDigest adds the digest to a location's query, which stays as it is.
func withDigest(at *url.URL, digest v1.Hash) *url.URL {
	u := *at
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "digest=" + url.QueryEscape(digest.String())
	return &u
}
