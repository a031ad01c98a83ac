package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/transship/transship/providers"
	"github.com/transship/transship/providers/limit"
)

// maxReferrers bounds the referrers of one manifest.
const maxReferrers = 10_000

const hintReferrers = "delete those that are not needed at the registry, or set referrers to false in the rule"

// Referrers lists the manifests that refer to subject, all pages
// (distribution-spec v1.1, "Listing Referrers").
func (r *Registry) Referrers(ctx context.Context, repo string, subject v1.Hash) ([]v1.Descriptor, error) {
	c := &call{op: opReferrers, repo: repo, ref: subject.String(), class: limit.Read, method: http.MethodGet,
		url: r.url(repo+"/referrers/"+subject.String(), nil), scopes: pull(repo), trace: "referrers",
		header: http.Header{"Accept": {string(types.OCIImageIndex)}}, good: []int{http.StatusOK}}
	if err := r.check(c.op, repo, c.ref); err != nil {
		return nil, err
	}
	var all []v1.Descriptor
	seen := map[v1.Hash]bool{}
	for c.url != nil {
		page, next, err := r.referrersPage(ctx, c)
		if err != nil {
			return nil, noReferrers(err)
		}
		fresh := false
		for _, d := range page {
			if !seen[d.Digest] {
				seen[d.Digest], fresh = true, true
				all = append(all, d)
			}
		}
		if len(all) > maxReferrers {
			return nil, r.fail(c, providers.Invalid, fmt.Errorf("it lists more than %d referrers", maxReferrers), hintReferrers)
		}
		if !fresh {
			break // an empty page, or one that was there before
		}
		c.url = next
	}
	return all, nil
}

func (r *Registry) referrersPage(ctx context.Context, c *call) (page []v1.Descriptor, next *url.URL, err error) {
	err = r.do(ctx, c, func(resp *http.Response) error {
		if err := r.webPage(c, resp); err != nil {
			return passing(err)
		}
		raw, err := readAll(resp.Body, providers.MaxManifest)
		if err != nil {
			return r.bodyError(c, err)
		}
		isIndex := mediaType(resp.Header) == string(types.OCIImageIndex)
		if isIndex && string(bytes.TrimSpace(raw)) == "{}" {
			return nil // Harbor's empty index, for a subject that is not there
		}
		if isIndex && !json.Valid(raw) {
			return r.fail(c, providers.Unavailable, errors.New("the host answers with a damaged index"), "")
		}
		var index struct {
			SchemaVersion int             `json:"schemaVersion"`
			MediaType     types.MediaType `json:"mediaType"`
			Manifests     []v1.Descriptor `json:"manifests"`
		}
		if !isIndex || json.Unmarshal(raw, &index) != nil || index.SchemaVersion != 2 || index.MediaType != "" && index.MediaType != types.OCIImageIndex {
			return r.fail(c, providers.Unsupported, errors.New("the host answers with something else than an index"), "")
		}
		page = index.Manifests
		next, err = r.nextPage(c, resp)
		return err
	})
	return page, next, err
}

// passing makes of what somebody before the host has done something that may be
// over in a moment: that a host has no such page is believed for days.
func passing(err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		return err
	}
	is := *e
	is.Kind = providers.Unavailable
	return &is
}

// nextPage is the address in the answer's Link header, nil for none. It is on
// the registry's own host.
func (r *Registry) nextPage(c *call, resp *http.Response) (*url.URL, error) {
	link := nextLink(resp.Header)
	if link == "" {
		return nil, nil
	}
	u, err := c.url.Parse(link)
	if err != nil || !r.isOwn(u) {
		return nil, r.fail(c, providers.Invalid, errors.New("the next page is on another host"), "")
	}
	return u, nil
}

// noReferrers turns the answers of hosts that have no such page into Unsupported.
// One that has it answers for unknown subjects with an empty index; one that goes on
// sending a web page has none.
func noReferrers(err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Code == "NAME_UNKNOWN" {
		return err
	}
	status := e.Status
	if errors.Is(err, errWebPage) {
		status = http.StatusNotFound
	}
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented,
		http.StatusBadRequest, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
		is := *e
		is.Kind, is.Hint = providers.Unsupported, ""
		return &is
	}
	return err
}
