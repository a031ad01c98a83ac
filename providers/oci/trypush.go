package oci

import (
	"context"
	"errors"
	"net/http"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// TryPush begins an upload and cancels it (distribution-spec v1.1, "Pushing a
// blob in chunks"; cancelling is distribution's own). A host that cannot cancel
// lets the upload end by itself, which is no failure.
func (r *Registry) TryPush(ctx context.Context, repo string) error {
	if err := r.check(opTry, repo, ""); err != nil {
		return err
	}
	c := &call{op: opTry, repo: repo, class: limit.Write, method: http.MethodPost,
		url: r.url(repo+"/blobs/uploads/", nil), scopes: push(repo), good: []int{http.StatusAccepted}, trace: providers.OpPostUpload}
	var s *providers.Session
	err := r.do(ctx, c, func(resp *http.Response) (err error) {
		s, err = r.session(c, resp)
		return err
	})
	if err != nil {
		return err
	}
	return r.cancel(ctx, repo, s)
}

// Import is Unsupported: the distribution-spec has no words for it.
func (r *Registry) Import(_ context.Context, repo string, _ providers.ImportSource) error {
	return r.fail(&call{op: "import", repo: repo}, providers.Unsupported, errors.New("the host reads from no other registry"), "")
}

// cancel gives an upload up, once. Only the end of ctx is an error.
func (r *Registry) cancel(ctx context.Context, repo string, s *providers.Session) error {
	c := &call{op: "cancel upload", repo: repo, class: limit.Write, method: http.MethodDelete, scopes: push(repo),
		trace: providers.OpDeleteUpload, good: []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}}
	var err error
	if c.url, err = r.lead(c, r.root, s.Location); err != nil {
		return nil // elsewhere, where we do not go
	}
	if err := r.once(ctx, c, func(*http.Response) error { return nil }); err != nil {
		r.log.Debug("an upload that was tried could not be cancelled; it ends by itself", "host", r.Host(), "repo", repo, "err", err)
	}
	return context.Cause(ctx)
}
