package registrytest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// listReferrers answers the referrers API (OCI distribution-spec v1.1, "Listing
// Referrers"); a subject that nobody refers to, or that is not there, has an
// empty list.
func (s *Server) listReferrers(x *exchange) {
	if x.q.NoReferrers {
		http.Error(x, "404 page not found", http.StatusNotFound)
		return
	}
	if _, err := v1.NewHash(x.ref); err != nil {
		digestInvalid.because(x.ref).send(x)
		return
	}
	list := append(s.store.referrers(x.repo, x.ref), x.q.MoreReferrers...)
	if want := x.r.URL.Query().Get("artifactType"); want != "" && !x.q.NoReferrersFilter {
		list = slices.DeleteFunc(list, func(d v1.Descriptor) bool { return d.ArtifactType != want })
		x.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	s.sendReferrers(x, list)
}

// sendReferrers sends one page; the next one is named by where it begins.
func (s *Server) sendReferrers(x *exchange, list []v1.Descriptor) {
	q := x.r.URL.Query()
	start, _ := strconv.Atoi(q.Get("start")) // ours, or nothing
	list = list[min(max(start, 0), len(list)):]
	if n := x.q.ReferrersPage; n > 0 && len(list) > n {
		list = list[:n]
		next := url.Values{"start": {strconv.Itoa(start + n)}}
		if t := q.Get("artifactType"); t != "" {
			next.Set("artifactType", t)
		}
		x.Header().Set("Link", "<"+x.r.URL.Path+"?"+next.Encode()+`>; rel="next"`)
	}
	body, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIImageIndex, "manifests": list,
	})
	if err != nil {
		panic(err) // descriptors
	}
	x.Header().Set("Content-Type", string(types.OCIImageIndex))
	sendJSON(x, http.StatusOK, body)
}
