package acrtest

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// page reads n and last: 100 unless told, and never more than 1000.
func page(q url.Values) (n int, last string) {
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n <= 0 {
		n = 100
	}
	return min(n, 1000), q.Get("last")
}

// link names the next page, relative as ACR does.
func link(w http.ResponseWriter, path, last string, n int, orderBy string) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?last=%s&n=%d&orderby=%s>; rel="next"`, path, url.QueryEscape(last), n, orderBy))
}

func (s *Server) listCatalog(w http.ResponseWriter, r *http.Request) {
	n, last := page(r.URL.Query())
	all := s.Repositories()
	from, found := slices.BinarySearch(all, last)
	if found {
		from++
	}
	to := min(len(all), from+n)
	if to < len(all) {
		link(w, "/acr/v1/_catalog", all[to-1], n, "")
	}
	answer(w, 200, map[string]any{"repositories": all[from:to]})
}

// A tagRow is a tag as the metadata API lists it.
type tagRow struct {
	Name        string `json:"name"`
	Digest      string `json:"digest"`
	CreatedTime string `json:"createdTime"`
	UpdateTime  string `json:"lastUpdateTime"`
	Signed      bool   `json:"signed"`
	Lock        Lock   `json:"changeableAttributes"`
}

func (s *Server) listTags(w http.ResponseWriter, r *http.Request, repo string) *registrytest.Refusal {
	q := r.URL.Query()
	n, last := page(q)
	order := s.order(q)
	if order == "" {
		tags, more, _ := s.TagPage(repo, last, n)
		if more {
			link(w, r.URL.EscapedPath(), tags[len(tags)-1].Tag, n, q.Get("orderby"))
		}
		answer(w, 200, s.tagList(repo, s.tagRows(repo, tags, q.Get("digest"))))
		return nil
	}
	all, _, _ := s.TagPage(repo, "", 1<<30)
	rows := byTime(s.tagRows(repo, all, q.Get("digest")), order, func(t tagRow) string { return t.UpdateTime })
	rows, more := after(rows, last, n, func(t tagRow) string { return t.Name })
	if more {
		link(w, r.URL.EscapedPath(), rows[len(rows)-1].Name, n, order)
	}
	answer(w, 200, s.tagList(repo, rows))
	return nil
}

// order is by what time a list is asked for, "" for names.
func (s *Server) order(q url.Values) string {
	order := q.Get("orderby")
	if order == "none" || s.config().IgnoreOrder {
		return ""
	}
	return order
}

func byTime[T any](rows []T, order string, at func(T) string) []T {
	slices.SortStableFunc(rows, func(a, b T) int {
		if order == "timedesc" {
			a, b = b, a
		}
		return cmp.Compare(at(a), at(b))
	})
	return rows
}

// after is the page of n rows that follows the one of that name.
func after[T any](rows []T, last string, n int, name func(T) string) (page []T, more bool) {
	from := 1 + slices.IndexFunc(rows, func(t T) bool { return name(t) == last })
	to := min(len(rows), from+n)
	return rows[from:to], to < len(rows)
}

func (s *Server) tagList(repo string, rows []tagRow) map[string]any {
	return map[string]any{"registry": s.Host(), "imageName": repo, "tags": rows}
}

// tagRows leaves out what is not listed, and other digests where one is asked for.
func (s *Server) tagRows(repo string, tags []registrytest.Tagged, digest string) []tagRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, now, rows := s.repo(repo), time.Now(), []tagRow{}
	for _, t := range tags {
		l := s.lockOf(repo, t.Tag)
		if !l.List || digest != "" && digest != t.Digest {
			continue
		}
		at := r.tag(t.Tag, t.Digest, now)
		rows = append(rows, tagRow{t.Tag, t.Digest, stamp(at.created), stamp(at.updated), false, l})
	}
	return rows
}

// A manifestRow is a manifest as the metadata API lists it.
type manifestRow struct {
	Digest          string           `json:"digest"`
	ImageSize       int64            `json:"imageSize"`
	CreatedTime     string           `json:"createdTime"`
	UpdateTime      string           `json:"lastUpdateTime"`
	Architecture    string           `json:"architecture,omitempty"`
	OS              string           `json:"os,omitempty"`
	MediaType       string           `json:"mediaType"`
	ConfigMediaType string           `json:"configMediaType,omitempty"`
	References      []map[string]any `json:"references,omitempty"`
	Tags            []string         `json:"tags,omitempty"`
	Lock            Lock             `json:"changeableAttributes"`
}

func (s *Server) listManifests(w http.ResponseWriter, r *http.Request, repo string) *registrytest.Refusal {
	q := r.URL.Query()
	n, last := page(q)
	order := s.order(q)
	var images []registrytest.Image
	var more bool
	if order == "" {
		images, more, _ = s.Images(repo, last, n)
	} else {
		images, _, _ = s.Images(repo, "", 1<<30)
	}
	next := ""
	if more {
		next = images[len(images)-1].Digest.String()
	}
	rows := []manifestRow{}
	for _, i := range images {
		if row := s.manifestRow(repo, i); row.Lock.List {
			rows = append(rows, row)
		}
	}
	if order != "" {
		rows = byTime(rows, order, func(m manifestRow) string { return m.UpdateTime })
		if rows, more = after(rows, last, n, func(m manifestRow) string { return m.Digest }); more {
			next = rows[len(rows)-1].Digest
		}
	}
	if next != "" {
		link(w, r.URL.EscapedPath(), next, n, q.Get("orderby"))
	}
	answer(w, 200, map[string]any{"registry": s.Host(), "imageName": repo, "manifests": rows})
	return nil
}

func (s *Server) manifestRow(repo string, i registrytest.Image) manifestRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest := i.Digest.String()
	row := manifestRow{Digest: digest, MediaType: string(i.MediaType), CreatedTime: stamp(i.Pushed), Lock: s.lockOf(repo, digest), Tags: i.Tags}
	updated := i.Pushed
	for _, tag := range i.Tags {
		if at := s.repo(repo).tag(tag, digest, i.Pushed); at.updated.After(updated) {
			updated = at.updated
		}
	}
	row.UpdateTime = stamp(updated)
	if most := s.quirks.TagsShown; most > 0 && len(row.Tags) > most {
		row.Tags = row.Tags[:most]
	}
	for _, b := range i.Content.Layers {
		row.ImageSize += max(0, b.Size)
	}
	if c := i.Content.Config; c != nil {
		row.ImageSize += c.Size
		row.ConfigMediaType, row.Architecture, row.OS = string(c.MediaType), "amd64", "linux"
	}
	for _, child := range i.Content.Children {
		row.ImageSize += child.Size
		row.References = append(row.References, map[string]any{"digest": child.Digest, "architecture": "amd64", "os": "linux"})
	}
	return row
}
