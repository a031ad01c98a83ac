package gartest

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// all reads a package's manifests.
func (s *Server) all(path string) (images []registrytest.Image, ok bool) {
	after := ""
	for {
		page, more, ok := s.Images(path, after, 10_000)
		if !ok {
			return nil, false
		}
		images = append(images, page...)
		if !more {
			return images, true
		}
		after = page[len(page)-1].Digest.String()
	}
}

// below returns the package's path in the data plane; ok is false if there is none.
func (s *Server) below(c *call) (path string, f *Fault) {
	path = s.prefix(c.key) + c.image
	if s.repository(c.key) == nil || c.image != "" && !s.Exists(path) {
		return "", notFound
	}
	return path, nil
}

func (s *Server) listPackages(c *call) (any, *Fault) {
	if _, f := s.below(c); f != nil {
		return nil, f
	}
	names, f := s.filter(c, s.packages(c.key), func(n string) string { return s.resource(c.key) + "/packages/" + escape(n) })
	if f != nil {
		return nil, f
	}
	names, next, f := page(s, c, names, func(n string) string { return n })
	if f != nil {
		return nil, f
	}
	var items []any
	for _, name := range names {
		items = append(items, map[string]any{"name": s.resource(c.key) + "/packages/" + escape(name), "createTime": stamp(time.Now())})
	}
	return list("packages", items, next), nil
}

// A row is a manifest of some package.
type row struct {
	image string
	registrytest.Image
}

func (r row) order() string { return r.image + "@" + r.Digest.String() }

// listDockerImages spans all packages: every manifest, tagged or not.
func (s *Server) listDockerImages(c *call) (any, *Fault) {
	if _, f := s.below(c); f != nil {
		return nil, f
	}
	var rows []row
	for _, name := range s.packages(c.key) {
		images, _ := s.all(s.prefix(c.key) + name)
		for _, i := range images {
			rows = append(rows, row{name, i})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.order() < b.order() {
			return -1
		}
		return 1
	})
	rows, next, f := page(s, c, rows, row.order)
	if f != nil {
		return nil, f
	}
	var items []any
	for _, r := range rows {
		item := map[string]any{"name": s.resource(c.key) + "/dockerImages/" + escape(r.image) + "@" + r.Digest.String(),
			"uri": s.Host() + "/" + s.prefix(c.key) + r.image + "@" + r.Digest.String(), "imageSizeBytes": strconv.FormatInt(size(r.Image), 10),
			"uploadTime": stamp(r.Pushed), "updateTime": stamp(r.Pushed), "mediaType": r.MediaType}
		if len(r.Tags) > 0 {
			item["tags"] = r.Tags
		}
		if r.Content.ArtifactType != "" {
			item["artifactType"] = r.Content.ArtifactType
		}
		items = append(items, item)
	}
	return list("dockerImages", items, next), nil
}

// size is an image's, as the service counts it: its blobs, without an index's children.
func size(i registrytest.Image) (n int64) {
	for _, b := range i.Content.Blobs() {
		n += b.Size
	}
	return n
}

func (s *Server) listVersions(c *call) (any, *Fault) {
	path, f := s.below(c)
	if f != nil {
		return nil, f
	}
	images, _ := s.all(path)
	images, next, f := page(s, c, images, func(i registrytest.Image) string { return i.Digest.String() })
	if f != nil {
		return nil, f
	}
	full := slices.Contains([]string{"FULL", "2"}, c.r.URL.Query().Get("view"))
	at := s.resource(c.key) + "/packages/" + escape(c.image)
	var items []any
	for _, i := range images {
		item := map[string]any{"name": at + "/versions/" + i.Digest.String(), "createTime": stamp(i.Pushed), "updateTime": stamp(i.Pushed)}
		if full {
			var related []any
			for _, tag := range i.Tags[:min(len(i.Tags), s.config().RelatedTags)] {
				related = append(related, map[string]any{"name": at + "/tags/" + tag, "version": item["name"]})
			}
			item["relatedTags"] = related
			item["metadata"] = map[string]any{"name": s.resource(c.key) + "/dockerImages/" + c.image + "@" + i.Digest.String(),
				"mediaType": i.MediaType, "imageSizeBytes": strconv.FormatInt(size(i), 10)}
		}
		items = append(items, item)
	}
	return list("versions", items, next), nil
}

func (s *Server) listTags(c *call) (any, *Fault) {
	path, f := s.below(c)
	if f != nil {
		return nil, f
	}
	tags := s.Tags(path)
	names, next, f := page(s, c, slices.Sorted(maps.Keys(tags)), func(t string) string { return t })
	if f != nil {
		return nil, f
	}
	at := s.resource(c.key) + "/packages/" + escape(c.image)
	var items []any
	for _, tag := range names {
		items = append(items, map[string]any{"name": at + "/tags/" + tag, "version": at + "/versions/" + tags[tag].String()})
	}
	return list("tags", items, next), nil
}

func (s *Server) deleteTag(c *call) (any, *Fault) {
	path, f := s.below(c)
	if f != nil {
		return nil, f
	}
	if s.repository(c.key).ImmutableTags {
		return nil, &Fault{Code: 400, Status: "FAILED_PRECONDITION", Message: "cannot delete tag " + c.id + ". The repository has enabled tag immutability"}
	}
	if err := s.Remove(path, c.id); err != nil {
		return nil, notFound
	}
	return map[string]any{}, nil
}
