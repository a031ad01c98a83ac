package gitlabtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const apiPath = "/api/v4/"

// serve answers for GitLab itself.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == tokenPath {
		if !s.called(w, "token") {
			s.jwt.ServeHTTP(w, r)
		}
		return
	}
	kind, id, list, ok := readPath(r.URL)
	if !ok {
		notFound(w, "Page")
		return
	}
	if s.called(w, kind) {
		return
	}
	at, seen := s.look(w, r, kind, id)
	switch {
	case !seen:
	case list:
		s.list(w, r, at)
	default:
		send(w, http.StatusOK, fmt.Sprintf(`{"path_with_namespace":%q}`, at))
	}
}

// readPath reads the address of a group or a project, by its id or its path, which is
// escaped, or of the list of its repositories.
func readPath(u *url.URL) (kind, id string, list, ok bool) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), apiPath)
	rest, list = strings.CutSuffix(rest, "/registry/repositories")
	kind, id, _ = strings.Cut(rest, "/")
	id, err := url.PathUnescape(id)
	return strings.TrimSuffix(kind, "s"), id, list, ok && err == nil && (kind == "groups" || kind == "projects")
}

// A repository is one in a list of the REST API.
type repository struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Path     string `json:"path"`
	Project  int    `json:"project_id"`
	Location string `json:"location"`
	Created  string `json:"created_at"`
}

// look resolves what is asked for, for who asks, or answers why it does not.
func (s *Server) look(w http.ResponseWriter, r *http.Request, kind, id string) (path string, ok bool) {
	t, given, member := s.holder(r)
	if given && !member {
		unauthorized(w)
		return "", false
	}
	if member && !t.has("api", "read_api") {
		send(w, http.StatusForbidden, `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"api read_api"}`)
		return "", false
	}
	if path, ok = s.find(kind, id, member); !ok {
		notFound(w, strings.ToUpper(kind[:1])+kind[1:])
	}
	return path, ok
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, at string) {
	_, _, member := s.holder(r)
	all := []repository{}
	for i, repo := range s.Repositories() {
		project, path, in := s.project(repo)
		if in && (member || s.isPublic(path)) && strings.HasPrefix(path+"/", at+"/") {
			all = append(all, repository{ID: i + 1, Name: strings.TrimPrefix(strings.TrimPrefix(repo, path), "/"), Path: repo,
				Project: project, Location: s.Host() + "/" + repo, Created: stamp(s.began)})
		}
	}
	s.page(w, r, all)
}

// find resolves a group's or project's id or path. Who may not see it is told that
// it is not there.
func (s *Server) find(kind, id string, member bool) (path string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(id)
	if err == nil && kind == "project" && n >= 1 && n <= len(s.projects) {
		id = s.projects[n-1]
	}
	return id, slices.ContainsFunc(s.projects, func(p string) bool {
		mine := p == id
		if kind == "group" {
			mine = strings.HasPrefix(p, id+"/")
		}
		return mine && (member || s.public[p])
	})
}

func (s *Server) isPublic(project string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.public[project]
}

// page sends one page of a list, with the links that GitLab sends.
func (s *Server) page(w http.ResponseWriter, r *http.Request, all []repository) {
	q := r.URL.Query()
	size, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || size < 1 {
		size = 20
	}
	size = min(size, s.config().PageMost)
	at, err := strconv.Atoi(q.Get("page"))
	if err != nil || at < 1 {
		at = 1
	}
	last := max(1, (len(all)+size-1)/size)
	from := min((at-1)*size, len(all))
	link := func(page int, rel string) string {
		return fmt.Sprintf(`<%s%s?page=%d&per_page=%d>; rel=%q`, s.api.URL(), r.URL.EscapedPath(), page, size, rel)
	}
	links := []string{link(1, "first"), link(last, "last")}
	if at < last {
		links = append([]string{link(at+1, "next")}, links...)
	}
	w.Header().Set("Link", strings.Join(links, ", "))
	w.Header().Set("X-Total", strconv.Itoa(len(all)))
	body, err := json.Marshal(all[from:min(from+size, len(all))])
	if err != nil {
		panic(err) // structs of ours
	}
	send(w, http.StatusOK, string(body))
}

// stamp writes a time as both APIs do.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
