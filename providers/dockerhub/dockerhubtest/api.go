package dockerhubtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/transship/transship/providers/registrytest"
	"github.com/transship/transship/providers/registrytest/plane"
)

// serveAPI answers the Hub API.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/v2/auth/token" && r.Method == http.MethodPost:
		s.login(w, r)
	case len(parts) == 4 && parts[1] == "namespaces" && parts[3] == "repositories":
		s.calls.Count("repositories")
		s.repositories(w, r, parts[2])
	case len(parts) == 6 && parts[1] == "namespaces" && parts[5] == "tags":
		s.calls.Count("tags")
		s.tags(w, r, parts[2]+"/"+parts[4])
	default:
		fail(w, http.StatusNotFound, "object not found")
	}
}

// login gives a token of ten minutes for an account's name and access token.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	s.calls.Count("login")
	var in struct{ Identifier, Secret string }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in)
	s.mu.Lock()
	defer s.mu.Unlock()
	a, known := s.accounts[in.Identifier]
	if err != nil || !known || a.password != in.Secret || s.quirks.NoLogin {
		fail(w, http.StatusUnauthorized, "Incorrect authentication credentials")
		return
	}
	s.n++
	text := fmt.Sprintf("hub-token-%d", s.n)
	s.tokens[text] = login{in.Identifier, time.Now().Add(10 * time.Minute)}
	plane.JSON(w, http.StatusOK, map[string]string{"access_token": text})
}

// EndLogins ends the API's tokens, as if their time were over.
func (s *Server) EndLogins() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// who returns whose token a request has; nobody's is no mistake, and sees what is public.
func (s *Server) who(w http.ResponseWriter, r *http.Request) (user string, ok bool) {
	text, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !given {
		return "", true
	}
	s.mu.Lock()
	t, good := s.tokens[text]
	s.mu.Unlock()
	if !good || time.Now().After(t.ends) {
		fail(w, http.StatusUnauthorized, "unauthorized")
		return "", false
	}
	return t.user, true
}

// sees reports whether somebody may read a repository.
func (s *Server) sees(user, repo string) bool {
	public := false
	s.Set(func(q *registrytest.Quirks) { public = q.AnonymousPull })
	s.mu.Lock()
	defer s.mu.Unlock()
	a, known := s.accounts[user]
	return public || known && strings.HasPrefix(repo, a.namespace+"/")
}

func (s *Server) repositories(w http.ResponseWriter, r *http.Request, namespace string) {
	user, ok := s.who(w, r)
	if !ok {
		return
	}
	var all []any
	for _, repo := range s.Repositories() {
		if name, ok := strings.CutPrefix(repo, namespace+"/"); ok && s.sees(user, repo) {
			all = append(all, map[string]any{"name": name, "namespace": namespace, "repository_type": "image", "is_private": false})
		}
	}
	s.page(w, r, len(all), func(i int) any { return all[i] })
}

func (s *Server) tags(w http.ResponseWriter, r *http.Request, repo string) {
	user, ok := s.who(w, r)
	switch {
	case !ok:
		return
	case !s.Exists(repo) || !s.sees(user, repo):
		fail(w, http.StatusNotFound, "object not found")
		return
	}
	if namespace, _, _ := strings.Cut(repo, "/"); s.config().Closed[namespace] {
		fail(w, http.StatusForbidden, "access denied")
		return
	}
	all, _, _ := s.TagPage(repo, "", 1<<30)
	bare := s.config().Digestless
	s.page(w, r, len(all), func(i int) any { return s.tag(repo, all[i], bare[all[i].Tag]) })
}

// tag is a tag as the API lists it, with the images that its index has.
func (s *Server) tag(repo string, t registrytest.Tagged, bare bool) map[string]any {
	m, _ := s.Image(repo, t.Digest)
	children := m.Content.Children
	if len(children) == 0 {
		children = []v1.Descriptor{m.Descriptor()}
	}
	var images []any
	for _, d := range children {
		p := cmp.Or(d.Platform, &v1.Platform{OS: "linux", Architecture: "amd64"})
		images = append(images, map[string]any{"architecture": p.Architecture, "os": p.OS, "variant": p.Variant, "digest": d.Digest, "size": d.Size, "status": "active"})
	}
	row := map[string]any{"name": t.Tag, "full_size": int64(len(m.Raw)), "media_type": m.MediaType, "content_type": "image",
		"tag_status": "active", "images": images, "last_updated": m.Pushed.UTC(), "tag_last_pushed": m.Pushed.UTC()}
	if !bare {
		row["digest"] = t.Digest
	}
	return row
}

// page answers with one page of all, by number, and says where the next is.
func (s *Server) page(w http.ResponseWriter, r *http.Request, all int, of func(i int) any) {
	q, quirks := r.URL.Query(), s.config()
	size, err := strconv.Atoi(q.Get("page_size"))
	if err != nil || size <= 0 {
		size = 10
	}
	size = min(size, quirks.PageMax)
	n, _ := strconv.Atoi(q.Get("page"))
	n = max(1, n)
	from, to := min((n-1)*size, all), min(n*size, all)
	var next any
	if to < all {
		u := *r.URL
		u.Scheme, u.Host = "http", cmp.Or(quirks.NextHost, r.Host)
		q.Set("page", strconv.Itoa(n+1))
		u.RawQuery = q.Encode()
		next = u.String()
	}
	results := []any{}
	for i := range to - from {
		results = append(results, of(from+i))
	}
	plane.JSON(w, http.StatusOK, map[string]any{"count": all, "next": next, "previous": nil, "results": results})
}

func fail(w http.ResponseWriter, status int, message string) {
	plane.JSON(w, status, map[string]any{"message": message, "errinfo": map[string]string{}})
}
