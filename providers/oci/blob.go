package oci

import (
	"context"
	"net/http"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/limit"
)

func (r *Registry) blobCall(method, op, repo string, blob v1.Hash) *call {
	return &call{op: op, repo: repo, ref: blob.String(), class: limit.Read, method: method,
		url: r.url(repo+"/blobs/"+blob.String(), nil), scopes: pull(repo), good: []int{http.StatusOK}, long: true}
}

// Stat asks for a blob (distribution-spec v1.1, "Checking if content exists in
// the registry").
func (r *Registry) Stat(ctx context.Context, repo string, blob v1.Hash) (size int64, err error) {
	c := r.blobCall(http.MethodHead, "stat blob", repo, blob)
	if err := r.check(c.op, repo, c.ref); err != nil {
		return 0, err
	}
	err = r.do(ctx, c, func(resp *http.Response) error {
		if err := r.webPage(c, resp); err != nil {
			return err
		}
		if size = resp.ContentLength; size < 0 {
			size, _ = strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64)
		}
		return nil
	})
	return size, err
}
