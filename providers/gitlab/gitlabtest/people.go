package gitlabtest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/transship/transship/providers/registrytest"
)

const tokenPath = "/jwt/auth"

// A token is what somebody signs in with: a personal access token, or a deploy
// token.
type token struct {
	user   string
	scopes []string
	deploy string // the project of a deploy token, which the API does not take
}

func (t token) has(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(t.scopes, s) })
}

// Project makes a project, whose registry is then there, and its groups.
func (s *Server) Project(path string) {
	s.mu.Lock()
	if !slices.Contains(s.projects, path) {
		s.projects = append(s.projects, path)
	}
	s.mu.Unlock()
	s.grant()
}

// Publish makes a project public: anyone may pull.
func (s *Server) Publish(path string) {
	s.Project(path)
	s.mu.Lock()
	s.public[path] = true
	s.mu.Unlock()
	s.grant()
}

// Token gives a user who is a member of every project a personal access token with
// these scopes, and returns it. A user has one: the last.
func (s *Server) Token(user string, scopes ...string) string {
	return s.issue(token{user: user, scopes: scopes})
}

// DeployToken makes a deploy token of a project, and returns its user and its text.
func (s *Server) DeployToken(project string, scopes ...string) (user, text string) {
	user = "gitlab+deploy-token-" + strings.ReplaceAll(project, "/", "-")
	return user, s.issue(token{user: user, scopes: scopes, deploy: project})
}

func (s *Server) issue(t token) string {
	text := "glpat-" + rand.Text()
	s.mu.Lock()
	maps.DeleteFunc(s.tokens, func(_ string, other token) bool { return other.user == t.user })
	s.tokens[text] = t
	s.mu.Unlock()
	s.grant()
	return text
}

// Revoke ends a token; what it was exchanged for lives on for its five minutes.
func (s *Server) Revoke(text string) {
	s.mu.Lock()
	delete(s.tokens, text)
	s.mu.Unlock()
	s.grant()
}

// grant tells the front who may do what: a token's scopes, in the projects of its
// holder and as deep below them as images may be.
func (s *Server) grant() {
	s.mu.Lock()
	users, grants := map[string]string{}, map[string][]registrytest.Grant{"": {}}
	for text, t := range s.tokens {
		users[t.user], grants[t.user] = text, []registrytest.Grant{}
		for _, p := range s.projects {
			if t.deploy == "" || t.deploy == p {
				grants[t.user] = append(grants[t.user], s.below(p, t.actions()...)...)
			}
		}
	}
	for p := range s.public {
		for user := range grants {
			grants[user] = append(grants[user], s.below(p, "pull")...)
		}
	}
	s.mu.Unlock()
	s.Set(func(q *registrytest.Quirks) { q.Users, q.Grants = users, grants })
}

// actions are those that a token's scopes allow.
func (t token) actions() (actions []string) {
	if t.has("read_registry", "write_registry", "api") {
		actions = append(actions, "pull")
	}
	if t.has("write_registry", "api") {
		actions = append(actions, "push")
	}
	return actions
}

// below are the paths that belong to a project. The caller holds s.mu.
func (s *Server) below(project string, actions ...string) (grants []registrytest.Grant) {
	for n := range s.quirks.Levels + 1 {
		grants = append(grants, registrytest.Grant{Repositories: project + strings.Repeat("/*", n), Actions: actions})
	}
	return grants
}

// holder reads the token of a request to the API. Like GitLab, it is taken as a
// Bearer or in a header of GitLab's own.
func (s *Server) holder(r *http.Request) (t token, given, ok bool) {
	text := r.Header.Get("Private-Token")
	if bearer, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); is {
		text = bearer
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok = s.tokens[text]
	return t, text != "" || r.Header.Get("Authorization") != "", ok && t.deploy == ""
}

// project finds the project that a path is below, as deep as images may be.
func (s *Server) project(repo string) (id int, path string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.projects {
		if rest, in := strings.CutPrefix(repo+"/", p+"/"); in && strings.Count(rest, "/") <= s.quirks.Levels {
			return i + 1, p, true
		}
	}
	return 0, "", false
}

func unauthorized(w http.ResponseWriter) {
	send(w, http.StatusUnauthorized, `{"message":"401 Unauthorized"}`)
}

func notFound(w http.ResponseWriter, what string) {
	send(w, http.StatusNotFound, fmt.Sprintf(`{"message":"404 %s Not Found"}`, what))
}
