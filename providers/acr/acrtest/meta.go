package acrtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/transship/transship/providers/registrytest"
)

// serve answers what no other registry has: the token service and the metadata API.
func (s *Server) serve(w http.ResponseWriter, a *registrytest.Ask) bool {
	r := a.Request
	var f *registrytest.Refusal
	rest, isMeta := strings.CutPrefix(r.URL.Path, "/acr/v1/")
	switch {
	case r.URL.Path == "/oauth2/exchange" || r.URL.Path == "/oauth2/token":
		f = s.serveOAuth(w, r)
	case isMeta:
		f = s.serveMeta(w, r, rest)
	default:
		return false
	}
	if f != nil {
		f.Send(w)
	}
	return true
}

func (s *Server) serveOAuth(w http.ResponseWriter, r *http.Request) *registrytest.Refusal {
	op := strings.TrimPrefix(r.URL.Path, "/oauth2/")
	if f := s.called(op); f != nil {
		return f
	}
	if f := s.count("oauth", s.config().OAuth); f != nil {
		return f
	}
	if op == "exchange" {
		return s.serveExchange(w, r)
	}
	return s.serveToken(w, r)
}

// A query is one to the metadata API.
type query struct {
	op, repo, ref string // ref is a tag or a digest
	need          need
}

// route reads a path below /acr/v1/, whose repository may be escaped or not.
func route(method, path string) query {
	q := query{op: "repository", repo: path}
	if path == "_catalog" {
		return query{op: "catalog", need: catalogNeed}
	}
	for _, list := range []string{"tags", "manifests"} {
		if repo, ok := strings.CutSuffix(path, "/_"+list); ok {
			q.op, q.repo = list, repo
		} else if i := strings.LastIndex(path, "/_"+list+"/"); i > 0 {
			q.op, q.repo, q.ref = "attributes", path[:i], path[i+len(list)+3:]
		}
	}
	action := map[string]string{http.MethodPatch: "metadata_write", http.MethodDelete: "delete"}[method]
	if action != "" && q.op == "repository" {
		q.op = "attributes"
	}
	q.need = need{"repository", q.repo, []string{cmp.Or(action, "metadata_read")}}
	return q
}

func (s *Server) serveMeta(w http.ResponseWriter, r *http.Request, path string) *registrytest.Refusal {
	q := route(r.Method, path)
	client, f := s.authorize(r, q.need)
	if planned := s.called(q.op); planned != nil {
		return planned
	}
	if f != nil {
		return f
	}
	if f := s.rate(client, r.Method != http.MethodGet, false); f != nil {
		return f
	}
	if q.op != "catalog" && !s.Exists(q.repo) {
		return nameUnknown(q.repo)
	}
	switch {
	case r.Method == http.MethodPatch:
		return s.patch(w, r, q)
	case r.Method == http.MethodDelete:
		return s.remove(w, q)
	case r.Method != http.MethodGet:
		return refuse(405, "UNSUPPORTED", "the operation is unsupported", nil)
	case !accepts(r):
		return refuse(406, "UNSUPPORTED", "no type in Accept is known", nil)
	}
	switch q.op {
	case "catalog":
		s.listCatalog(w, r)
	case "tags":
		return s.listTags(w, r, q.repo)
	case "manifests":
		return s.listManifests(w, r, q.repo)
	case "repository":
		s.describe(w, q.repo)
	default:
		return s.attribute(w, q)
	}
	return nil
}

// accepts looks at all values: the SDK sends two.
func accepts(r *http.Request) bool {
	values := r.Header.Values("Accept")
	return len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "json") || strings.Contains(v, "*/*") })
}

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
	order := q.Get("orderby")
	if order == "" || order == "none" {
		tags, more, _ := s.TagPage(repo, last, n)
		if more {
			link(w, r.URL.EscapedPath(), tags[len(tags)-1].Tag, n, order)
		}
		answer(w, 200, s.tagList(repo, s.tagRows(repo, tags, q.Get("digest"))))
		return nil
	}
	all, _, _ := s.TagPage(repo, "", 1<<30)
	rows := s.tagRows(repo, all, q.Get("digest"))
	slices.SortStableFunc(rows, func(a, b tagRow) int {
		if order == "timedesc" {
			a, b = b, a
		}
		return cmp.Compare(a.UpdateTime, b.UpdateTime)
	})
	from := 1 + slices.IndexFunc(rows, func(t tagRow) bool { return t.Name == last })
	to := min(len(rows), from+n)
	if to < len(rows) {
		link(w, r.URL.EscapedPath(), rows[to-1].Name, n, order)
	}
	answer(w, 200, s.tagList(repo, rows[from:to]))
	return nil
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
	n, last := page(r.URL.Query())
	images, more, _ := s.Images(repo, last, n)
	rows := []manifestRow{}
	for _, i := range images {
		if row := s.manifestRow(repo, i); row.Lock.List {
			rows = append(rows, row)
		}
	}
	if more {
		link(w, r.URL.EscapedPath(), images[len(images)-1].Digest.String(), n, r.URL.Query().Get("orderby"))
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

func (s *Server) describe(w http.ResponseWriter, repo string) {
	tags, images := len(s.Tags(repo)), len(s.Manifests(repo))
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repo)
	answer(w, 200, map[string]any{"registry": s.Host(), "imageName": repo, "createdTime": stamp(r.at), "lastUpdateTime": stamp(r.at),
		"manifestCount": images, "tagCount": tags, "changeableAttributes": r.lock})
}

// attribute answers one tag or one manifest.
func (s *Server) attribute(w http.ResponseWriter, q query) *registrytest.Refusal {
	i, ok := s.Image(q.repo, q.ref)
	isTag := !strings.Contains(q.ref, ":")
	switch {
	case !ok && isTag:
		return refuse(404, "TAG_UNKNOWN", "tag "+q.ref+" is not found", nil)
	case !ok:
		return refuse(404, "MANIFEST_UNKNOWN", "manifest "+q.ref+" is not found", nil)
	case isTag:
		rows := s.tagRows(q.repo, []registrytest.Tagged{{Tag: q.ref, Digest: i.Digest.String()}}, "")
		answer(w, 200, map[string]any{"registry": s.Host(), "imageName": q.repo, "tag": rows})
	default:
		answer(w, 200, map[string]any{"registry": s.Host(), "imageName": q.repo, "manifest": s.manifestRow(q.repo, i)})
	}
	return nil
}

// patch changes locks; what the body leaves out stays.
func (s *Server) patch(w http.ResponseWriter, r *http.Request, q query) *registrytest.Refusal {
	if _, ok := s.Image(q.repo, q.ref); q.ref != "" && !ok {
		return s.attribute(w, q)
	}
	s.mu.Lock()
	l := s.lockOf(q.repo, q.ref)
	err := json.NewDecoder(r.Body).Decode(&l)
	if err == nil {
		s.setLock(q.repo, q.ref, l)
	}
	s.mu.Unlock()
	if err != nil {
		return refuse(400, "UNSUPPORTED", "the body cannot be read", nil)
	}
	answer(w, 200, map[string]any{"registry": s.Host(), "imageName": q.repo, "changeableAttributes": l})
	return nil
}

// remove takes a tag, or the repository, away.
func (s *Server) remove(w http.ResponseWriter, q query) *registrytest.Refusal {
	if _, ok := s.Image(q.repo, q.ref); q.ref != "" && !ok {
		return s.attribute(w, q)
	}
	s.mu.Lock()
	locked := !s.lockOf(q.repo, q.ref).Delete || !s.lockOf(q.repo, "").Delete
	s.mu.Unlock()
	switch {
	case locked:
		return disallowed()
	case q.ref == "":
		s.Drop(q.repo)
	case s.Remove(q.repo, q.ref) != nil:
		return refuse(404, "TAG_UNKNOWN", "tag "+q.ref+" is not found", nil)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
