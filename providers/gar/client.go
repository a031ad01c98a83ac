package gar

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	artifactregistry "cloud.google.com/go/artifactregistry/apiv1"
	"google.golang.org/api/option"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
)

const (
	callTime = 3 * time.Minute // for one call, with all its tries
	maxError = 64 << 10        // bytes of a refusal that are read
)

// silent takes what Google's libraries would print, tokens among it.
var silent = slog.New(slog.DiscardHandler)

// An answer is what became of the last request of a sign-in.
type answer struct {
	status int
	after  time.Duration // that Retry-After says
	err    error
}

// asking is a client for token services, over through or s.web.
func (s *source) asking(ctx context.Context, asked *answer, through http.RoundTripper) *http.Client {
	if through == nil {
		through = s.web
	}
	return &http.Client{CheckRedirect: oci.Stay, Transport: trip(func(req *http.Request) (*http.Response, error) {
		resp, err := s.send(req.WithContext(ctx), through)
		if *asked = (answer{err: err}); resp != nil {
			asked.status, asked.after = resp.StatusCode, oci.RetryAfter(resp.Header, time.Now())
		}
		return resp, err
	})}
}

type trip func(*http.Request) (*http.Response, error)

func (t trip) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }

// A bearer signs for IAM credentials, wherever they are.
type bearer struct {
	s     *source
	value string
}

func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+b.value)
	if to, err := url.Parse(b.s.endpoints.IAM); err == nil && to.Host != "" {
		req.URL.Scheme, req.URL.Host, req.Host = to.Scheme, to.Host, ""
	}
	return b.s.web.RoundTrip(req)
}

// observed has a request go within the registry's limits, and tells its observers,
// as oci does with its own.
func (r *Registry) observed(req *http.Request, op, repo string, through http.RoundTripper) (*http.Response, error) {
	ctx := req.Context()
	ticket, err := r.Limiter().Begin(ctx)
	if err == nil {
		err = r.Quotas().Take(ctx, op, repo)
	}
	if err != nil {
		return nil, err
	}
	start := time.Now()
	resp, err := through.RoundTrip(req)
	q := oci.Request{Op: op, Class: limit.Read, Took: time.Since(start), Err: err}
	if resp != nil {
		q.Status = resp.StatusCode
		oci.Weigh(ticket, resp.StatusCode, resp.Header)
	}
	if q.Status == http.StatusTooManyRequests {
		r.Quotas().Refused(op, repo)
	}
	if tell := r.opts.OCI.Observe; tell != nil {
		tell(q)
	}
	return resp, err
}

// client is the API's, whose requests are part of ctx (the library's lists are not)
// and count as op about repo.
func (r *Registry) client(ctx context.Context, op, repo string) (*artifactregistry.Client, error) {
	opts := []option.ClientOption{option.WithLogger(silent),
		option.WithHTTPClient(&http.Client{CheckRedirect: oci.Stay, Transport: trip(func(req *http.Request) (*http.Response, error) {
			return r.send(req.WithContext(ctx), op, repo)
		})})}
	if at := r.opts.Endpoints.API; at != "" {
		opts = append(opts, option.WithEndpoint(at))
	}
	return artifactregistry.NewRESTClient(ctx, opts...)
}

// send signs a request of the API and sends it, again and again within the budget
// as long as that may help, and once more with another token if that is refused.
func (r *Registry) send(req *http.Request, op, repo string) (*http.Response, error) {
	ctx, refused := req.Context(), ""
	for try := 1; ; try++ {
		t, err := r.token(ctx, refused)
		if err != nil {
			return nil, err
		}
		again := req.Clone(ctx)
		if req.GetBody != nil {
			if again.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		again.Header.Set("Authorization", "Bearer "+t.value)
		resp, err := r.observed(again, op, repo, r.web)
		if err == nil && resp.StatusCode == http.StatusUnauthorized && refused == "" {
			drain(resp)
			refused = t.value
			continue
		}
		wait, ok := r.pause(ctx, try, resp)
		if context.Cause(ctx) != nil || !ok || !worthAgain(resp, err) {
			return resp, err
		}
		drain(resp)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// worthAgain reports whether the same request may do better later. A quota that
// waiting does not lift is told by its reason; the body can be read again.
func worthAgain(resp *http.Response, err error) bool {
	if err != nil {
		return true
	}
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode < 500 || resp.StatusCode == http.StatusNotImplemented {
		return false
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxError)) // what there is of it
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return !isQuota(string(body))
}

func drain(resp *http.Response) {
	if resp != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxError))
		_ = resp.Body.Close()
	}
}

// pause is how long to wait before a try after n others, and ok whether it is worth
// waiting: for as long as the host asks for, if it does.
func (r *Registry) pause(ctx context.Context, n int, resp *http.Response) (wait time.Duration, ok bool) {
	b := r.opts.OCI.Retry.WithDefaults()
	wait = b.Backoff(n)
	if resp != nil {
		wait = max(wait, oci.RetryAfter(resp.Header, time.Now()))
	}
	end, bounded := ctx.Deadline()
	return wait, n < b.Tries && wait <= max(b.MaxAfter, b.Max) && (!bounded || wait < time.Until(end))
}

// call asks the API one thing, within the registry's limits and as its identity.
// op is in the field's words, for errors; method is the API's name.
func call[T any](ctx context.Context, r *Registry, op, method, repo string, ask func(*artifactregistry.Client) (T, error)) (T, error) {
	var none T
	slot, err := r.Limiter().Acquire(ctx, limit.Read)
	if err != nil {
		return none, err
	}
	defer slot.Release()
	within, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	c, err := r.client(within, method, repo)
	if err != nil {
		return none, r.fail(op, repo, providers.Invalid, fmt.Errorf("the API's client: %s", firstLine(err.Error())), "")
	}
	out, err := ask(c)
	if err != nil {
		return none, r.explain(ctx, op, repo, err)
	}
	return out, nil
}

// firstLine keeps a message short, on one line.
func firstLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}
