package harbortest

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
	"github.com/transship/transship/providers/registrytest/plane"
)

const apiPath = "/api/v2.0/"

// serve answers the token service and the API.
func (s *Server) serve(w http.ResponseWriter, a *registrytest.Ask) bool {
	r := a.Request
	path, isAPI := strings.CutPrefix(r.URL.EscapedPath(), apiPath)
	var f *registrytest.Refusal
	switch {
	case r.URL.Path == "/service/token":
		f = s.serveToken(w, r)
	case !isAPI || s.config().NoAPI:
		return false
	default:
		f = s.serveAPI(w, r, strings.Split(path, "/"))
	}
	if f != nil {
		f.Send(w)
	}
	return true
}

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, path []string) *registrytest.Refusal {
	user, ok := s.basic(r)
	if !ok {
		return refuse(401, "UNAUTHORIZED", "unauthorized")
	}
	switch shape := fmt.Sprint(r.Method, " ", len(path), " ", path[0]); {
	case shape == "GET 1 systeminfo":
		return s.systemInfo(w, user)
	case shape == "HEAD 1 projects":
		return s.findProject(w, r, user)
	case shape == "POST 1 projects":
		return s.makeProject(w, r, user)
	case shape == "GET 2 projects":
		return s.readProject(w, r, user, path[1])
	case shape == "GET 1 repositories":
		return s.listRepositories(w, r, user, "")
	case shape == "GET 3 projects" && path[2] == "repositories":
		return s.listRepositories(w, r, user, path[1])
	case shape == "GET 5 projects" && path[2] == "repositories" && path[4] == "artifacts":
		return s.listArtifacts(w, r, user, path[1], path[3])
	}
	return refuse(404, "NOT_FOUND", "path %s was not found", r.URL.Path)
}

func (s *Server) systemInfo(w http.ResponseWriter, user string) *registrytest.Refusal {
	if f := s.calls.Called("system info"); f != nil {
		return f
	}
	info := map[string]any{"auth_mode": "db_auth"}
	if user != "" {
		info["harbor_version"] = s.config().Version
	}
	plane.JSON(w, 200, info)
	return nil
}

func forbidden(user string) *registrytest.Refusal {
	if user == "" {
		return refuse(401, "UNAUTHORIZED", "unauthorized")
	}
	return refuse(403, "FORBIDDEN", "forbidden")
}

func (s *Server) findProject(w http.ResponseWriter, r *http.Request, user string) *registrytest.Refusal {
	if f := s.calls.Called("find project"); f != nil {
		return f
	}
	name := r.URL.Query().Get("project_name")
	_, there := s.project(name)
	switch {
	case user == "":
		return forbidden(user)
	case !there:
		return refuse(404, "NOT_FOUND", "project %s not found", name)
	}
	w.WriteHeader(200)
	return nil
}

func (s *Server) readProject(w http.ResponseWriter, r *http.Request, user, name string) *registrytest.Refusal {
	if f := s.calls.Called("project"); f != nil {
		return f
	}
	p, there := s.project(name)
	_, notNumber := strconv.Atoi(name)
	switch {
	case notNumber == nil && r.Header.Get("X-Is-Resource-Name") != "true": // it is taken for an id
		return refuse(404, "NOT_FOUND", "project %s not found", name)
	case !s.allowed(user, name, ReadProject):
		return forbidden(user)
	case !there:
		return refuse(404, "NOT_FOUND", "project %s not found", name)
	}
	registry := 0
	if p.Proxy {
		registry = 1
	}
	plane.JSON(w, 200, map[string]any{"project_id": 7, "name": name, "registry_id": registry, "metadata": map[string]string{"public": fmt.Sprint(p.Public)}})
	return nil
}

func (s *Server) makeProject(w http.ResponseWriter, r *http.Request, user string) *registrytest.Refusal {
	if f := s.calls.Called("make project"); f != nil {
		return f
	}
	var in struct {
		Name     string            `json:"project_name"`
		Limit    *int64            `json:"storage_limit"`
		Metadata map[string]string `json:"metadata"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.Name == "" {
		return refuse(400, "BAD_REQUEST", "the body cannot be read")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[user]
	if a == nil || !a.creates {
		return forbidden(user)
	}
	if _, there := s.projects[in.Name]; there {
		return refuse(409, "CONFLICT", "The project named %s already exists", in.Name)
	}
	p := Project{Public: in.Metadata["public"] == "true", StorageLimit: -1}
	if in.Limit != nil {
		p.StorageLimit = *in.Limit
	}
	s.projects[in.Name] = p
	a.may[in.Name] = Writer
	w.Header().Set("Location", apiPath+"projects/9")
	w.WriteHeader(201)
	return nil
}

func (s *Server) listRepositories(w http.ResponseWriter, r *http.Request, user, project string) *registrytest.Refusal {
	if f := s.calls.Called("repositories"); f != nil {
		return f
	}
	if _, there := s.project(project); project != "" && (!there || !s.allowed(user, project, ListRepos)) {
		return forbidden(user)
	}
	var all []map[string]any
	for _, repo := range s.Repositories() {
		if p := projectOf(repo); (project == "" || p == project) && s.allowed(user, p, ListRepos) {
			all = append(all, map[string]any{"name": repo, "project_id": 7})
		}
	}
	return s.sendPage(w, r, all)
}

func (s *Server) listArtifacts(w http.ResponseWriter, r *http.Request, user, project, escaped string) *registrytest.Refusal {
	if f := s.calls.Called("artifacts"); f != nil {
		return f
	}
	once, err := url.PathUnescape(escaped)
	name, err2 := url.PathUnescape(once)
	repo := project + "/" + name
	switch {
	case err != nil || err2 != nil || strings.Contains(name, "/") && once == name:
		return refuse(404, "NOT_FOUND", "repository %s not found", repo) // a name with a slash is escaped twice
	case !s.allowed(user, project, ListArtifacts) || !s.there(project):
		return forbidden(user)
	case !s.Exists(repo):
		return refuse(404, "NOT_FOUND", "repository %s not found", repo)
	}
	q := r.URL.Query()
	return s.sendPage(w, r, s.artifacts(repo, q.Get("with_tag") != "false", q.Get("with_accessory") == "true"))
}

// artifacts are those with a tag or without an index above them, but for accessories.
func (s *Server) artifacts(repo string, withTag, withAccessory bool) (rows []map[string]any) {
	images, _, _ := s.Images(repo, "", 1<<30)
	children := map[string]bool{}
	for _, i := range images {
		for _, c := range i.Content.Children {
			children[c.Digest.String()] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hidden, of := map[string]bool{}, map[string][]accessory{}
	for _, a := range s.accessories[repo] {
		hidden[a.Digest] = true
		of[a.Subject] = append(of[a.Subject], a)
	}
	slices.SortFunc(images, func(a, b registrytest.Image) int { return b.Pushed.Compare(a.Pushed) })
	for _, i := range images {
		digest := i.Digest.String()
		if hidden[digest] || children[digest] && len(i.Tags) == 0 {
			continue
		}
		row := map[string]any{"digest": digest, "type": "IMAGE", "manifest_media_type": i.MediaType, "media_type": configType(i),
			"artifact_type": cmp.Or(i.Content.ArtifactType, configType(i)), "size": sizeOf(i), "push_time": stamp(i.Pushed), "pull_time": "0001-01-01T00:00:00.000Z"}
		if withTag {
			row["tags"] = s.tagRows(repo, i)
		}
		if list := of[digest]; withAccessory && len(list) > 0 {
			row["accessories"] = list
		}
		rows = append(rows, row)
	}
	return rows
}

func (s *Server) tagRows(repo string, i registrytest.Image) (rows []map[string]any) {
	for _, tag := range i.Tags {
		at := s.tagged[repo+":"+tag]
		if at.IsZero() {
			at = i.Pushed
		}
		rows = append(rows, map[string]any{"name": tag, "push_time": stamp(at), "immutable": false})
	}
	return rows
}

func configType(i registrytest.Image) string {
	if i.Content.Config == nil {
		return ""
	}
	return string(i.Content.Config.MediaType)
}

func sizeOf(i registrytest.Image) (n int64) {
	n = int64(len(i.Raw))
	for _, l := range i.Content.Blobs() {
		n += l.Size
	}
	return n
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// sendPage sends the page that is asked for, by number.
func (s *Server) sendPage(w http.ResponseWriter, r *http.Request, all []map[string]any) *registrytest.Refusal {
	q := r.URL.Query()
	n, page := number(q.Get("page_size"), 10), number(q.Get("page"), 1)
	if n > s.config().PageMost {
		return refuse(422, "UNPROCESSABLE_ENTITY", "page_size in query should be less than or equal to %d", s.config().PageMost)
	}
	from := min(len(all), (page-1)*n)
	to := min(len(all), from+n)
	if !s.config().NoLink {
		w.Header().Set("X-Total-Count", strconv.Itoa(len(all)))
		var links []string
		link := func(rel string, to int) {
			q.Set("page", strconv.Itoa(to))
			links = append(links, fmt.Sprintf(`<%s?%s>; rel="%s"`, r.URL.EscapedPath(), q.Encode(), rel))
		}
		if page > 1 {
			link("prev", page-1)
		}
		if to < len(all) {
			link("next", page+1)
		}
		if len(links) > 0 {
			w.Header().Set("Link", strings.Join(links, " , "))
		}
	}
	plane.JSON(w, 200, append([]map[string]any{}, all[from:to]...))
	return nil
}

func number(text string, def int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return def
	}
	return n
}
