package acr

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
	"github.com/transship/transship/providers/oci"
)

// A transport sends what the SDK asks within the registry's limits, and tells its
// observers, as oci does with its own requests.
type transport struct {
	r      *Registry         // nil for an identity without one
	tell   func(oci.Request) // may be nil
	client *http.Client
}

// Do is policy.Transporter's.
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	if req.URL.Hostname() == metadataHost {
		return t.metadata(req)
	}
	if t.r == nil || req.URL.Host != t.r.Host() {
		return t.observed(req, nil)
	}
	if err := t.r.Quotas().Take(req.Context(), providers.OpToken, ""); err != nil {
		return nil, err
	}
	ticket, err := t.r.Limiter().Begin(req.Context())
	if err != nil {
		return nil, err
	}
	return t.observed(req, &ticket)
}

// metadata bounds the question: where there is no such service, nobody may answer
// at all, and nobody will the next time.
func (t *transport) metadata(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), metadataTime)
	resp, err := t.observed(req.WithContext(ctx), nil)
	if err != nil {
		cancel()
		return nil, &noMetadata{err}
	}
	resp.Body = &closing{resp.Body, cancel}
	return resp, nil
}

func (t *transport) observed(req *http.Request, ticket *limit.Ticket) (*http.Response, error) {
	start := time.Now()
	resp, err := t.client.Do(req)
	q := oci.Request{Op: providers.OpToken, Class: limit.Read, Took: time.Since(start), Err: err}
	if resp != nil {
		q.Status = resp.StatusCode
	}
	if ticket != nil && resp != nil {
		oci.Weigh(*ticket, resp.StatusCode, resp.Header)
	}
	if t.tell != nil {
		t.tell(q)
	}
	return resp, err
}

// closing ends a context with the body that was read under it.
type closing struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body.
func (c *closing) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}
