package acrtest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

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

// ControlPlane serves the token service and the metadata API, for clients without
// a socket.
func (s *Server) ControlPlane() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.serve(w, &registrytest.Ask{Request: r, Class: registrytest.Other}) {
			http.NotFound(w, r)
		}
	})
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
