package ghcrtest

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

// serveAPI answers the packages API.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	kind, owner, name, ok := readPath(r.URL.EscapedPath())
	op := "packages"
	if name != "" {
		op = "versions"
	}
	s.calls.Count(op)
	t, good := s.whose(w, r)
	switch {
	case !good:
	case !ok || r.Method != http.MethodGet || s.kindOf(owner) != kind || t.NoAPI:
		fail(w, http.StatusNotFound, "Not Found")
	case !t.may("read:packages"):
		fail(w, http.StatusForbidden, "You need at least read:packages scope to list packages.")
	case op == "packages" && r.URL.Query().Get("package_type") != "container":
		fail(w, http.StatusBadRequest, "Invalid argument.")
	case op == "packages":
		s.page(w, r, s.packages(owner))
	case !s.Exists(owner + "/" + name):
		fail(w, http.StatusNotFound, "Package not found.")
	default:
		s.page(w, r, s.versions(owner+"/"+name))
	}
}

// readPath takes orgs/O/packages and orgs/O/packages/container/N/versions below
// /api/v3/ apart, where N is one escaped element.
func readPath(escaped string) (kind, owner, name string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(escaped, "/api/v3/"), "/")
	if len(parts) < 3 || parts[0] != "orgs" && parts[0] != "users" || parts[2] != "packages" {
		return "", "", "", false
	}
	if len(parts) == 3 {
		return parts[0], parts[1], "", true
	}
	if len(parts) != 6 || parts[3] != "container" || parts[5] != "versions" {
		return "", "", "", false
	}
	name, err := url.PathUnescape(parts[4])
	return parts[0], parts[1], name, err == nil
}

func (s *Server) kindOf(owner string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.owners[owner], "users")
}

// whose returns whose token a request has, and counts the request for them.
func (s *Server) whose(w http.ResponseWriter, r *http.Request) (Token, bool) {
	text, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.tokens[text]
	switch {
	case !given:
		fail(w, http.StatusUnauthorized, "Requires authentication")
		return t, false
	case !known:
		fail(w, http.StatusUnauthorized, "Bad credentials")
		return t, false
	}
	if s.quirks.Secondary {
		fail(w, http.StatusForbidden, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
		return t, false
	}
	s.spent[t.User]++
	left := s.quirks.Hourly - s.spent[t.User]
	if s.quirks.Hourly == 0 {
		return t, true
	}
	w.Header().Set("X-Ratelimit-Limit", strconv.Itoa(s.quirks.Hourly))
	w.Header().Set("X-Ratelimit-Remaining", strconv.Itoa(max(0, left)))
	w.Header().Set("X-Ratelimit-Reset", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10))
	if left < 0 {
		fail(w, http.StatusForbidden, "API rate limit exceeded for user ID 1.")
		return t, false
	}
	return t, true
}

// A pkg is a package as the API lists it.
type pkg struct {
	ID         int               `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"package_type"`
	Owner      map[string]string `json:"owner"`
	Visibility string            `json:"visibility"`
}

func (s *Server) packages(owner string) (all []any) {
	for i, repo := range s.Repositories() {
		if name, ok := strings.CutPrefix(repo, owner+"/"); ok {
			all = append(all, pkg{i, name, "container", map[string]string{"login": owner}, "private"})
		}
	}
	return all
}

// versions lists a package's manifests, the newest first; what has no tag is among them.
func (s *Server) versions(repo string) (all []any) {
	images, _, _ := s.Images(repo, "", 1<<30)
	slices.SortStableFunc(images, func(a, b registrytest.Image) int { return b.Pushed.Compare(a.Pushed) })
	for i, m := range images {
		tags := m.Tags
		if tags == nil {
			tags = []string{}
		}
		at := m.Pushed.UTC().Format(time.RFC3339)
		all = append(all, map[string]any{"id": i, "name": m.Digest.String(), "created_at": at, "updated_at": at,
			"metadata": map[string]any{"package_type": "container", "container": map[string]any{"tags": tags}}})
	}
	return all
}

// page answers with one page of all, by number, and links to the next.
func (s *Server) page(w http.ResponseWriter, r *http.Request, all []any) {
	q, quirks := r.URL.Query(), s.config()
	size, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || size <= 0 {
		size = 30
	}
	size = min(size, quirks.PageMax)
	n, _ := strconv.Atoi(q.Get("page"))
	n = max(1, n)
	from, to := min((n-1)*size, len(all)), min(n*size, len(all))
	if to < len(all) {
		next := *r.URL
		next.Scheme, next.Host = "http", cmp.Or(quirks.NextHost, r.Host)
		q.Set("page", strconv.Itoa(n+1))
		next.RawQuery = q.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next.String()))
	}
	answer(w, http.StatusOK, append([]any{}, all[from:to]...))
}

func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away is its own business
}
