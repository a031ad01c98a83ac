package gartest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// serve tells the services at one address apart by their paths.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if wait := s.Quirks().Latency; wait > 0 {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, 8<<20)
	account, verb, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/projects/-/serviceAccounts/"), ":")
	switch {
	case r.URL.Path == "/token" && r.Method == http.MethodPost:
		s.serveToken(w, r)
	case r.URL.Path == "/v1/token" && r.Method == http.MethodPost:
		s.serveExchange(w, r)
	case verb == "generateAccessToken" && r.Method == http.MethodPost:
		s.serveImpersonation(w, r, account)
	case verb == "generateIdToken" && r.Method == http.MethodPost:
		s.serveIDToken(w, r, account)
	case strings.HasPrefix(r.URL.Path, issuerPath):
		s.iam.google.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, "/computeMetadata/"):
		s.serveMetadata(w, r)
	case strings.HasPrefix(r.URL.Path, "/v1/projects/"):
		s.serveAPI(w, r)
	default:
		http.NotFound(w, r)
	}
}

// A call is one call to the Admin API by somebody who may make it.
type call struct {
	r      *http.Request
	who    string
	method string
	key    string // project/repository; project/ for a location's own
	image  string // the package
	id     string // what is asked for below that
}

// A method is one of the Admin API's, by HTTP method and the kinds of its path.
type method struct {
	name, permission string
	do               func(*Server, *call) (any, *Fault)
}

var methods = map[string]method{
	"GET locations":         {"ListLocations", "artifactregistry.locations.list", (*Server).listLocations},
	"GET repositories":      {"ListRepositories", "artifactregistry.repositories.list", (*Server).listRepositories},
	"GET repositories/*":    {"GetRepository", "artifactregistry.repositories.get", (*Server).getRepository},
	"POST repositories":     {"CreateRepository", "artifactregistry.repositories.create", (*Server).createRepository},
	"PATCH repositories/*":  {"UpdateRepository", "artifactregistry.repositories.update", (*Server).updateRepository},
	"DELETE repositories/*": {"DeleteRepository", "artifactregistry.repositories.delete", (*Server).deleteRepository},
	"GET operations/*":      {"GetOperation", "artifactregistry.repositories.get", (*Server).getOperation},
	"GET packages":          {"ListPackages", "artifactregistry.packages.list", (*Server).listPackages},
	"GET dockerImages":      {"ListDockerImages", "artifactregistry.dockerimages.list", (*Server).listDockerImages},
	"GET versions":          {"ListVersions", "artifactregistry.versions.list", (*Server).listVersions},
	"GET tags":              {"ListTags", "artifactregistry.tags.list", (*Server).listTags},
	"DELETE tags/*":         {"DeleteTag", "artifactregistry.tags.delete", (*Server).deleteTag},
}

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	c, m, ok := s.read(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.calls.Count(m.name)
	answer, f := s.answer(c, m)
	if f != nil {
		f.send(w)
		return
	}
	sendJSON(w, http.StatusOK, answer)
}

// read takes the path apart: collections and ids in turn.
func (s *Server) read(r *http.Request) (*call, method, bool) {
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/"), "/")
	c := &call{r: r}
	kind := ""
	for i := 0; i < len(parts); i += 2 {
		// Slashes in a package's name come encoded twice from the Go client, once
		// from others.
		id := ""
		if i+1 < len(parts) {
			decoded, err := url.PathUnescape(parts[i+1])
			if err != nil {
				return nil, method{}, false
			}
			id = unescape(decoded)
		}
		switch kind = parts[i]; kind {
		case "projects":
			c.key = id + "/"
		case "locations":
			if i+1 < len(parts) && id != s.location {
				c.key = "elsewhere/" // no project has anything there
			}
		case "repositories":
			c.key += id
		case "packages":
			c.image = id
		}
		c.id = id
		if i+1 < len(parts) && i+2 >= len(parts) {
			kind += "/*"
		}
	}
	m, ok := methods[r.Method+" "+kind]
	c.method = m.name
	return c, m, ok
}

var unauthenticated = &Fault{Code: 401, Status: "UNAUTHENTICATED", Reason: "ACCESS_TOKEN_EXPIRED", Message: "Request had invalid authentication credentials. " +
	"Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."}

func (s *Server) answer(c *call, m method) (any, *Fault) {
	project, _, _ := strings.Cut(c.key, "/")
	if f := s.calls.Fault(m.name); f != nil {
		return nil, f
	}
	if c.who = s.iam.bearer(bearerOf(c.r)); c.who == "" {
		return nil, unauthenticated
	}
	if s.throttled(project, c.r.Method != http.MethodGet) {
		return nil, &Fault{Code: 429, Status: "RESOURCE_EXHAUSTED", Reason: "RATE_LIMIT_EXCEEDED",
			Message: "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute per project per location' of service 'artifactregistry.googleapis.com'"}
	}
	if !s.iam.may(c.who, m.permission) || !s.knows(project) {
		return nil, s.denied(m.permission, strings.TrimSuffix(strings.TrimPrefix(c.r.URL.Path, "/v1/"), "/repositories"))
	}
	return m.do(s, c)
}

// knows reports whether there is such a project. One that is not is refused as one
// that may not be seen.
func (s *Server) knows(project string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if project == Project || strings.HasSuffix(project, ":"+Project) || project == "elsewhere" {
		return true
	}
	for key := range s.repos {
		if strings.HasPrefix(key, project+"/") {
			return true
		}
	}
	return false
}

func (s *Server) denied(permission, resource string) *Fault {
	return &Fault{Code: 403, Status: "PERMISSION_DENIED", Reason: "IAM_PERMISSION_DENIED",
		Message:  "Permission '" + permission + "' denied on resource '//artifactregistry.googleapis.com/" + resource + "' (or it may not exist).",
		Metadata: map[string]string{"permission": permission, "resource": resource}}
}

var notFound = &Fault{Code: 404, Status: "NOT_FOUND", Message: "Requested entity was not found."}

// send writes the error as googleapis do.
func (f *Fault) send(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	code := cmp.Or(f.Code, http.StatusBadRequest)
	if f.Raw != "" {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(f.Raw)) // a client that went away is its own business
		return
	}
	body := map[string]any{"code": code, "message": f.Message, "status": f.Status}
	if f.Reason != "" {
		body["details"] = []any{map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
			"reason": f.Reason, "domain": "googleapis.com", "metadata": f.Metadata}}
	}
	sendJSON(w, code, map[string]any{"error": body})
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of ours
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that went away is its own business
}

// ints reports whether the client wants enums as numbers, as the Go client does.
func (c *call) ints() bool {
	return strings.Contains(c.r.URL.Query().Get("$alt"), "enum-encoding=int")
}

// page cuts a page out of a list whose names are sorted, and names the next one.
func page[T any](s *Server, c *call, all []T, name func(T) string) (cut []T, next string, f *Fault) {
	q, query := s.config(), c.r.URL.Query()
	size, err := strconv.Atoi(cmp.Or(query.Get("pageSize"), "0"))
	if err != nil || size < 0 {
		return nil, "", &Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: "page_size is out of range"}
	}
	size = min(cmp.Or(size, q.PageDefault), q.PageMax)
	if at := query.Get("pageToken"); at != "" {
		after, err := base64.URLEncoding.DecodeString(at)
		if err != nil {
			return nil, "", &Fault{Code: 400, Status: "INVALID_ARGUMENT", Message: "page_token is invalid"}
		}
		for len(all) > 0 && name(all[0]) <= string(after) {
			all = all[1:]
		}
	}
	if len(all) > size {
		return all[:size], base64.URLEncoding.EncodeToString([]byte(name(all[size-1]))), nil
	}
	return all, "", nil
}

// list is the answer with a page in it.
func list(field string, items []any, next string) map[string]any {
	out := map[string]any{}
	if len(items) > 0 {
		out[field] = items
	}
	if next != "" {
		out["nextPageToken"] = next
	}
	return out
}
