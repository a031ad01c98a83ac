package acrtest

import (
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// A geo is what each of two regions has, while the other does not have it yet.
type geo struct {
	turn  int
	since map[string]arrival // by repository and digest or tag
}

type arrival struct {
	region int
	at     time.Time
}

func newGeo() geo { return geo{since: map[string]arrival{}} }

// next is the region that takes this request. The lock is held.
func (g *geo) next() int {
	g.turn++
	return g.turn % 2
}

// arrive notes that a region was given something. What both were given, both have;
// what one has already does not arrive again. The lock is held.
func (g *geo) arrive(region int, repo, what string) {
	key := repo + " " + what
	if at, known := g.since[key]; known && at.region != region {
		g.since[key] = arrival{region: region} // long ago
	} else if !known {
		g.since[key] = arrival{region, time.Now()}
	}
}

// lacks reports whether a region does not have something yet. The lock is held.
func (s *Server) lacks(region int, repo, what string) bool {
	at, ok := s.geo.since[repo+" "+what]
	return ok && at.region != region && time.Since(at.at) < s.quirks.GeoLag
}

// geoRead refuses to read what this region does not have yet, and notes blobs.
func (s *Server) geoRead(a *registrytest.Ask) *registrytest.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quirks.GeoLag <= 0 || a.Class == registrytest.ManifestPut {
		return nil // that has its turn in geoPut
	}
	region := s.geo.next()
	switch a.Class {
	case registrytest.UploadPut:
		s.geo.arrive(region, a.Repo, a.Digest)
	case registrytest.BlobGet, registrytest.BlobHead:
		if s.lacks(region, a.Repo, a.Digest) {
			return refuse(404, "BLOB_UNKNOWN", "blob unknown to registry", nil)
		}
	case registrytest.ManifestGet, registrytest.ManifestHead:
		if s.lacks(region, a.Repo, a.Ref) {
			return refuse(404, "MANIFEST_UNKNOWN", "manifest unknown", map[string]string{"name": a.Repo, "reference": a.Ref})
		}
	}
	return nil
}

// geoPut refuses a manifest whose blobs or children this region does not have yet,
// and notes it. The lock is held.
func (s *Server) geoPut(p registrytest.Putting) *registrytest.Refusal {
	if s.quirks.GeoLag <= 0 {
		return nil
	}
	region := s.geo.next()
	for _, d := range append(p.Content.Blobs(), p.Content.Children...) {
		if s.lacks(region, p.Repo, d.Digest.String()) {
			return refuse(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", map[string]string{"digest": d.Digest.String()})
		}
	}
	s.geo.arrive(region, p.Repo, p.Digest)
	if p.Tag != "" && p.Present != p.Digest {
		delete(s.geo.since, p.Repo+" "+p.Tag) // the tag has moved
	}
	if p.Tag != "" {
		s.geo.arrive(region, p.Repo, p.Tag)
	}
	return nil
}

// Purge takes away what the retention policy does: manifests of Docker's types
// that neither a tag nor an index names. It does nothing without Quirks.Retention.
func (s *Server) Purge(repo string) (purged int) {
	if !s.config().Retention {
		return 0
	}
	page, _, _ := s.Images(repo, "", 1<<30)
	named := map[string]bool{}
	for _, i := range page {
		for _, child := range i.Content.Children {
			named[child.Digest.String()] = true
		}
	}
	for _, i := range page {
		if len(i.Tags) > 0 || named[i.Digest.String()] || !strings.Contains(string(i.MediaType), "vnd.docker.") {
			continue
		}
		if s.Remove(repo, i.Digest.String()) == nil {
			purged++
		}
	}
	return purged
}
